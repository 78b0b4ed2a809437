/** A client that was let in and means harm to the bridge, or to those who share the session with it. */
import { pino } from 'pino';
import { afterEach, describe, expect, it } from 'vitest';
import type { SftpChanges } from '../../src/helper/sh/sftp-changes.js';
import { NAMES_LIMIT, SftpHandles } from '../../src/helper/sh/sftp-handles.js';
import type { Entry } from '../../src/helper/sh/sftp-paths.js';
import type { Device } from '../../src/mux/device.js';
import { readPtyRequest } from '../../src/ssh/pty.js';
import { pack, WireReader } from '../../src/ssh/wire.js';
import type { FakeGateway } from '../unit/ssh/fake-device.js';
import { closed, exec, sendRaw, startHarness, until, type Harness } from '../unit/ssh/harness.js';
import { heldBytes, MiB } from './memory.js';

let harness: Harness;
afterEach(() => harness.close());

/** The device is not there until this is called. */
function keepAway(gateway: FakeGateway): () => void {
  let come: (device: Device) => void = () => undefined;
  gateway.deviceReady = new Promise((resolve) => { come = resolve; });
  return () => {
    come(gateway.device);
  };
}

describe('a client that was let in', () => {
  it('cannot fill the memory with a packet that inflates beyond its bound', async () => {
    harness = await startHarness();
    const client = await harness.connect({ algorithms: { compress: ['zlib@openssh.com'] } });
    await exec(client, 'x');
    const gone = closed(client);
    const before = heldBytes();
    // 8 MiB of zeros are 8 KB on the wire, less than many an honest packet.
    sendRaw(client, pack({ byte: 94 }, { uint32: 0 }, { string: Buffer.alloc(8 * MiB) }));
    await gone;
    expect(heldBytes() - before).toBeLessThan(16 * MiB);
    expect(harness.gateway.device.channels.every((channel) => channel.input.length === 0)).toBe(true);
    await harness.connect();
  });

  it('cannot set variables that the operator does not allow, nor ones with names or values without end', async () => {
    harness = await startHarness();
    const client = await harness.connect();
    const variables: Record<string, string> = { LC_ALL: 'C', LD_PRELOAD: '/tmp/evil.so', PATH: '/tmp', [`LC_${'X'.repeat(300)}`]: 'x', LC_LONG: 'x'.repeat(33_000), 'LC_A=B': 'x' };
    client.exec('x', { env: variables }, () => undefined);
    await until(() => harness.gateway.device.channels.length === 1, 'the program runs');
    const { request } = harness.gateway.device.channels[0] ?? {};
    expect(request).toMatchObject({ kind: 'exec' });
    const env = request?.kind === 'exec' ? request.env : {};
    expect(Object.keys(env).sort()).toEqual(['LC_ALL', 'SSH_CLIENT', 'SSH_CONNECTION']);
  });

  it('cannot have kept more than 64 kB of variables for a program that he never starts, nor a terminal mode twice', async () => {
    harness = await startHarness();
    const client = await harness.connect();
    const env = Object.fromEntries(Array.from({ length: 20 }, (_, n) => [`LC_${String.fromCharCode(65 + n)}`, 'x'.repeat(10_000)]));
    client.exec('x', { env, pty: { term: 'xterm' } }, () => undefined);
    await until(() => harness.gateway.device.channels.length === 1, 'the program runs');
    const { request } = harness.gateway.device.channels[0] ?? {};
    const kept = request?.kind === 'exec' ? Object.keys(request.env).filter((name) => name.startsWith('LC_')) : [];
    expect(kept).toEqual(['LC_A', 'LC_B', 'LC_C', 'LC_D', 'LC_E', 'LC_F']);
    const modes = Buffer.concat(Array.from({ length: 40_000 }, (_, n) => Buffer.of(1 + (n % 3), 0, 0, n >> 8, n & 0xff)));
    const body = pack({ string: 'xterm' }, { uint32: 80 }, { uint32: 24 }, { uint32: 0 }, { uint32: 0 }, { string: modes });
    expect(readPtyRequest(new WireReader(body)).modes).toEqual([[1, 39_999], [2, 39_997], [3, 39_998]]);
  });

  it('has no more kept of the name of his terminal than is handed on', async () => {
    harness = await startHarness();
    const client = await harness.connect();
    const before = heldBytes();
    for (let n = 0; n < 200; n += 1) {
      sendRaw(client, pack({ byte: 90 }, { string: 'session' }, { uint32: n }, { uint32: 0 }, { uint32: 32_768 }));
      const size = [{ uint32: 80 }, { uint32: 24 }, { uint32: 0 }, { uint32: 0 }];
      sendRaw(client, pack({ byte: 98 }, { uint32: n }, { string: 'pty-req' }, { bool: false }, { string: Buffer.alloc(250_000, 'x') }, ...size, { string: '' }));
    }
    await exec(client, 'x');
    expect(heldBytes() - before).toBeLessThan(16 * MiB);
  });

  it('cannot have kept what he asks of a device that is not there, and closes, again and again', async () => {
    harness = await startHarness();
    const come = keepAway(harness.gateway);
    const client = await harness.connect();
    const before = heldBytes();
    for (let n = 0; n < 1_000; n += 1) {
      sendRaw(client, pack({ byte: 90 }, { string: 'session' }, { uint32: n }, { uint32: 0 }, { uint32: 32_768 }));
      sendRaw(client, pack({ byte: 98 }, { uint32: n }, { string: 'exec' }, { bool: false }, { string: Buffer.alloc(200_000, 'x') }));
      sendRaw(client, pack({ byte: 97 }, { uint32: n }));
      if (n % 50 === 0) await new Promise((resolve) => setTimeout(resolve, 20));
    }
    const last = exec(client, 'x');
    await last;
    expect(heldBytes() - before).toBeLessThan(32 * MiB);
    come();
    // What was closed is not begun, and what waits no more counts no more.
    await until(() => harness.gateway.device.channels.length === 1, 'the last one runs');
    await exec(client, 'y');
    await until(() => harness.gateway.device.channels.length === 2, 'another one runs');
  });

  it('nor the input of what he has ended and closed', async () => {
    harness = await startHarness();
    const come = keepAway(harness.gateway);
    const client = await harness.connect();
    const before = heldBytes();
    for (let n = 0; n < 200; n += 1) {
      sendRaw(client, pack({ byte: 90 }, { string: 'session' }, { uint32: n }, { uint32: 0 }, { uint32: 32_768 }));
      sendRaw(client, pack({ byte: 98 }, { uint32: n }, { string: 'exec' }, { bool: false }, { string: 'cat' }));
      for (let part = 0; part < 16; part += 1) sendRaw(client, pack({ byte: 94 }, { uint32: n }, { string: Buffer.alloc(32_000, 'x') }));
      sendRaw(client, pack({ byte: 96 }, { uint32: n }));
      sendRaw(client, pack({ byte: 97 }, { uint32: n }));
      if (n % 10 === 0) await new Promise((resolve) => setTimeout(resolve, 20));
    }
    await exec(client, 'x');
    expect(heldBytes() - before).toBeLessThan(32 * MiB);
    come();
    await until(() => harness.gateway.device.channels.length === 1, 'the last one runs');
  });

  it('cannot have the names of one large folder kept again and again', () => {
    const handles = new SftpHandles({} as SftpChanges);
    const folder = (count: number): void => {
      handles.checkNames(count);
      handles.add({ kind: 'directory', entries: new Array<Entry>(count), at: 0 });
    };
    // One alone is a large folder.
    folder(NAMES_LIMIT + 1);
    expect(() => folder(1)).toThrow('Too many names in open folders');
    void handles.close(handles.take(Buffer.alloc(4)));
    for (let n = 0; n < 10; n += 1) folder(NAMES_LIMIT / 10);
    expect(() => folder(1)).toThrow('Too many names in open folders');
  });

  it('cannot have a name without end come back with each connection to his listener', async () => {
    harness = await startHarness();
    const client = await harness.connect();
    const listen = (host: string, port: number): void => {
      sendRaw(client, pack({ byte: 80 }, { string: 'tcpip-forward' }, { bool: false }, { string: host }, { uint32: port }));
    };
    listen('x'.repeat(250_000), 2000);
    listen('x'.repeat(1_000), 2001);
    await exec(client, 'x');
    expect(harness.gateway.device.listeners.map(({ request }) => (request.kind === 'tcp' ? request.port : 0))).toEqual([2001]);
  });

  it('cannot open sessions without end behind a request that the device has not answered', async () => {
    harness = await startHarness();
    const client = await harness.connect();
    const gone = closed(client);
    sendRaw(client, pack({ byte: 80 }, { string: 'tcpip-forward' }, { bool: true }, { string: 'localhost' }, { uint32: 2000 }));
    for (let n = 0; n < 5_000; n += 1) {
      sendRaw(client, pack({ byte: 90 }, { string: 'session' }, { uint32: n }, { uint32: 0 }, { uint32: 32_768 }));
      sendRaw(client, pack({ byte: 97 }, { uint32: n % 1024 }));
      if (n % 100 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    }
    await gone;
    await harness.connect();
  });

  it('cannot fill the log with a path that is as long as a packet', async () => {
    const lines: string[] = [];
    harness = await startHarness({ log: pino({ level: 'info' }, { write: (line) => lines.push(line) }) });
    const client = await harness.connect();
    sendRaw(client, pack({ byte: 80 }, { string: 'streamlocal-forward@openssh.com' }, { bool: false }, { string: Buffer.alloc(250_000, 'x') }));
    await exec(client, 'x');
    harness.gateway.device.listeners[0]?.events.refused({ code: 'connect-failed', message: 'too long' });
    expect(lines.filter((line) => line.includes('refused a request')).length).toBe(1);
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThan(1_000);
  });

  it('cannot fill the log by coming again and again', async () => {
    const lines: string[] = [];
    harness = await startHarness({ log: pino({ level: 'info' }, { write: (line) => lines.push((JSON.parse(line) as { msg: string }).msg) }) });
    for (let at = 0; at < 10; at += 1) {
      const client = await harness.connect();
      for (let n = 0; n < 60; n += 1) sendRaw(client, pack({ byte: 90 }, { string: `x${n}` }, { uint32: 100_000 + n }, { uint32: 1000 }, { uint32: 1000 }));
      await exec(client, 'x');
      client.destroy();
    }
    expect(lines.filter((line) => line === 'refused to open a channel').length).toBeLessThan(200);
  });

  it.each(['a client that was let in', 'strangers'])('cannot fill the log: %s', async (who) => {
    const lines: string[] = [];
    const log = pino({ level: 'info' }, { write: (line) => lines.push((JSON.parse(line) as { msg: string }).msg) });
    harness = await startHarness({ log });
    if (who === 'strangers') {
      for (let n = 0; n < 300; n += 1) {
        const socket = await harness.socket();
        const over = new Promise((resolve) => socket.once('close', resolve));
        socket.resume().end('rubbish\n');
        await over;
      }
      expect(lines.filter((line) => line === 'connection ended').length).toBeGreaterThan(90);
    } else {
      const client = await harness.connect();
      for (let n = 0; n < 2_000; n += 1) sendRaw(client, pack({ byte: 90 }, { string: `x${n}` }, { uint32: 100_000 + n }, { uint32: 1000 }, { uint32: 1000 }));
      await exec(client, 'x');
      expect(lines.filter((line) => line === 'refused to open a channel').length).toBeGreaterThan(40);
    }
    // A burst, and a little with time: the bound is of a busy machine's minute.
    expect(lines.length).toBeLessThan(200);
  });

  it('that does not read costs no more than its windows, and the others nothing', async () => {
    harness = await startHarness();
    const slow = await harness.connect();
    const channel = await exec(slow, 'flood');
    channel.pause();
    await until(() => harness.gateway.device.channels.length === 1, 'the program runs');
    const flood = harness.gateway.device.channels[0];
    // A device keeps to its credit: it sends again what was taken, and no more than the credit beyond.
    const credit = MiB;
    let sent = 0;
    const send = (): void => {
      while (flood !== undefined && sent - flood.consumedBytes < credit && sent < 64 * MiB) {
        sent += 32_768;
        flood.events.data('out', Buffer.alloc(32_768));
      }
    };
    if (flood !== undefined) flood.onConsumed = () => setImmediate(send);
    send();
    const other = await harness.connect();
    harness.gateway.device.onOpen = (opened) => opened.exit(0);
    await exec(other, 'x');
    expect(sent).toBeLessThan(8 * MiB);
    slow.destroy();
    await until(() => flood?.calls.includes('close') === true, 'the flood is hung up');
  });
});
