import type { ClientChannel } from 'ssh2';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Fault } from '../../../src/base/errors.js';
import type { Device } from '../../../src/mux/device.js';
import { pack } from '../../../src/ssh/wire.js';
import type { FakeChannel } from './fake-device.js';
import { closed, exec, finished, PATIENCE_MS, run, sendRaw, startHarness, until, type Harness } from './harness.js';

let harness: Harness;
beforeEach(async () => { harness = await startHarness({ rekeyBytes: 3_000_000 }); });
afterEach(() => harness.close());

async function running(): Promise<FakeChannel> {
  await until(() => harness.gateway.device.channels.length > 0, 'the device has a channel');
  return harness.gateway.device.channels.at(-1) as FakeChannel;
}

/** The client's number for its only channel is 0; ours too. */
const CHANNEL = 0;
const requestHead = (name: string, wantReply: boolean) => [{ byte: 98 }, { uint32: CHANNEL }, { string: name }, { bool: wantReply }] as const;

describe('a session', () => {
  it('brings the command to the device byte for byte', async () => {
    const client = await harness.connect();
    client.exec('placeholder', () => {});
    const first = await running();
    expect(first.request).toMatchObject({ kind: 'exec', command: Buffer.from('placeholder') });
    const odd = Buffer.from([0x66, 0xff, 0xfe, 0x80, 0x0a, 0x27]);
    sendRaw(client, pack({ byte: 90 }, { string: 'session' }, { uint32: 77 }, { uint32: 1000 }, { uint32: 1000 }));
    sendRaw(client, pack({ byte: 98 }, { uint32: 1 }, { string: 'exec' }, { bool: false }, { string: odd }));
    await until(() => harness.gateway.device.channels.length === 2, 'the second command arrived');
    expect(harness.gateway.device.channels[1]?.request).toMatchObject({ command: odd });
  });

  it('takes a command of 200 kB', async () => {
    const client = await harness.connect();
    const command = 'x'.repeat(200_000);
    client.exec(command, () => {});
    const channel = await running();
    expect(channel.request.kind === 'exec' && channel.request.command?.length).toBe(command.length);
  });

  it('ends with the rest of both streams, the exit status, EOF and close', async () => {
    const client = await harness.connect();
    harness.gateway.device.onOpen = (channel) => {
      channel.events.opened();
      channel.events.data('out', Buffer.from('out'));
      channel.events.data('err', Buffer.from('err'));
      channel.exit(37);
    };
    const result = await run(client, 'x');
    expect(result).toMatchObject({ out: Buffer.from('out'), err: Buffer.from('err'), code: 37 });
  });

  it('tells which signal ended the program', async () => {
    const client = await harness.connect();
    harness.gateway.device.onOpen = (channel) => {
      channel.events.outcome({ kind: 'signal', signal: 'TERM', coreDumped: false, message: '' });
      channel.events.eof();
      channel.events.closed(undefined);
    };
    expect(await run(client, 'x')).toMatchObject({ code: null, signal: 'SIGTERM' });
  });

  it('is byte-exact when both streams are large, the reader slow and keys are renewed', { timeout: 60_000 }, async () => {
    const client = await harness.connect();
    const total = 8 * 1024 * 1024;
    const pattern = (stream: 'out' | 'err'): Buffer => Buffer.alloc(total, stream === 'out' ? 'abcdefghijk' : '0123456789AB');
    let inFlight = 0;
    let most = 0;
    harness.gateway.device.onOpen = (channel) => {
      const left = { out: pattern('out'), err: pattern('err') };
      const feed = (): void => {
        for (const stream of ['out', 'err'] as const) {
          while (left[stream].length > 0 && inFlight < 1024 * 1024) {
            const piece = left[stream].subarray(0, 50_000);
            left[stream] = left[stream].subarray(piece.length);
            inFlight += piece.length;
            most = Math.max(most, inFlight);
            channel.events.data(stream, piece);
          }
        }
        if (left.out.length === 0 && left.err.length === 0) {
          channel.onConsumed = () => {};
          channel.exit(0);
        }
      };
      let before = 0;
      channel.onConsumed = () => {
        inFlight -= channel.consumedBytes - before;
        before = channel.consumedBytes;
        queueMicrotask(feed);
      };
      feed();
    };
    const channel = await exec(client, 'x');
    channel.pause();
    channel.stderr.pause();
    await until(() => inFlight >= 1024 * 1024, 'the device is held back by a client that does not read');
    const result = finished(channel);
    channel.resume();
    channel.stderr.resume();
    const { out, err, code } = await result;
    expect(out.equals(pattern('out'))).toBe(true);
    expect(err.equals(pattern('err'))).toBe(true);
    expect(code).toBe(0);
    expect(most).toBeLessThanOrEqual(1024 * 1024 + 50_000);
  });

  it('holds the client back while the device takes no more input', async () => {
    const client = await harness.connect();
    const channel = await exec(client, 'x');
    const device = await running();
    device.takes = false;
    const sent = 4 * 1024 * 1024;
    channel.end(Buffer.alloc(sent, 'x'));
    await until(() => device.input.length >= 512 * 1024, 'one window has arrived');
    expect(device.input.length).toBe(512 * 1024);
    device.takes = true;
    device.events.drain();
    await until(() => device.calls.includes('end'), 'all input and EOF have arrived');
    expect(device.input.length).toBe(sent);
  });

  it('passes terminal, size changes, environment and signals on', async () => {
    const client = await harness.connect();
    const opened = new Promise<ClientChannel>((resolve, reject) => {
      client.shell({ term: 'vt220', cols: 90, rows: 33, modes: { ECHO: 0, VINTR: 3 } }, { env: { LC_ALL: 'C', PATH: '/evil' } }, (error, channel) => (error === undefined ? resolve(channel) : reject(error)));
    });
    const channel = await opened;
    const device = await running();
    expect(device.request).toMatchObject({
      kind: 'exec', command: undefined,
      pty: { term: 'vt220', size: { cols: 90, rows: 33 }, modes: expect.arrayContaining([[53, 0], [1, 3]]) },
    });
    const env = device.request.kind === 'exec' ? device.request.env : {};
    expect(env).toMatchObject({ LC_ALL: 'C', SSH_CONNECTION: expect.stringMatching(/^127\.0\.0\.1 \d+ 127\.0\.0\.1 \d+$/) });
    expect(env).not.toHaveProperty('PATH');
    channel.setWindow(50, 120, 0, 0);
    channel.signal('INT');
    sendRaw(client, pack(...requestHead('signal', false), { string: 'BOGUS' }));
    channel.signal('HUP');
    await until(() => device.calls.includes('signal HUP'), 'the signals have arrived');
    expect(device.calls).toEqual(['resize 120x50', 'signal INT', 'signal HUP']);
  });

  it('closes the output alone when the client can write no more', async () => {
    const client = await harness.connect();
    const channel = await exec(client, 'yes');
    const result = finished(channel);
    const device = await running();
    sendRaw(client, pack(...requestHead('eow@openssh.com', false)));
    await until(() => device.calls.includes('closeOutput'), 'the output was closed');
    device.events.data('out', Buffer.from('too late'));
    device.events.data('err', Buffer.from('still heard'));
    expect(device.consumedBytes).toBe('too late'.length + 'still heard'.length);
    device.exit(0);
    expect(await result).toMatchObject({ out: Buffer.alloc(0), err: Buffer.from('still heard') });
  });

  it('hangs up the program when the client closes the channel or is gone', async () => {
    const client = await harness.connect();
    (await exec(client, 'one')).close();
    const first = await running();
    await until(() => first.calls.includes('close'), 'the first is hung up');
    await exec(client, 'two');
    const second = await running();
    client.destroy();
    await until(() => second.calls.includes('close'), 'the second is hung up');
  });

  it('delivers all that a client sent which ends its input and closes without waiting', async () => {
    const client = await harness.connect();
    const channel = await exec(client, 'cat');
    const device = await running();
    channel.end('all of it');
    await until(() => device.calls.includes('end'), 'the input has ended');
    channel.close();
    await until(() => device.calls.includes('closeOutput'), 'the output is not wanted any more');
    expect(device.calls).toEqual(['end', 'closeOutput']);
  });

  it('says on stderr why the device refused, and gives no exit status', async () => {
    const client = await harness.connect();
    harness.gateway.device.onOpen = (channel) => channel.events.refused({ code: 'unsupported', message: 'This device has no shell.' });
    const result = await run(client, 'x');
    expect(result.err.toString()).toBe('iotda-ssh: This device has no shell.\n');
    expect(result.code).toBeUndefined();
  });

  it('is granted before a device that answers at once is heard', async () => {
    const client = await harness.connect();
    harness.gateway.device.openNow = (_request, events) => {
      events.refused({ code: 'unsupported', message: 'No.' });
    };
    expect((await run(client, 'x')).err.toString()).toBe('iotda-ssh: No.\n');
    harness.gateway.device.openNow = (_request, events) => {
      events.opened();
      events.data('out', Buffer.from('quick'));
      events.outcome({ kind: 'status', status: 9 });
      events.eof();
      events.closed(undefined);
    };
    expect(await run(client, 'x')).toMatchObject({ code: 9, out: Buffer.from('quick') });
  });

  it('says on stderr that the device was lost, after all output that came, and gives no exit status', async () => {
    const client = await harness.connect();
    harness.gateway.device.onOpen = (channel) => {
      channel.events.opened();
      channel.events.data('out', Buffer.from('partial'));
      channel.events.closed(new Fault('DEVICE_LOST', 'The device is gone.'));
    };
    const result = await run(client, 'x');
    expect(result).toMatchObject({ out: Buffer.from('partial'), code: undefined });
    expect(result.err.toString()).toBe('iotda-ssh: The device is gone.\n');
  });

  it('starts only one program', async () => {
    const client = await harness.connect();
    await exec(client, 'first');
    sendRaw(client, pack(...requestHead('exec', false), { string: 'second' }));
    sendRaw(client, pack(...requestHead('shell', false)));
    await exec(client, 'third');
    expect(harness.gateway.device.channels.map((channel) => channel.request.kind === 'exec' && channel.request.command?.toString())).toEqual(['first', 'third']);
  });

  it.each(['x11-req', 'pty-req', 'no-such-request'])('answers an unwanted %s with a refusal and goes on', async (name) => {
    const client = await harness.connect();
    const channel = await exec(client, 'x');
    const result = finished(channel);
    const device = await running();
    sendRaw(client, pack(...requestHead(name, false), { string: 'rest' }));
    device.exit(5);
    expect(await result).toMatchObject({ code: 5 });
  });

  it('refuses subsystems other than sftp', async () => {
    const client = await harness.connect();
    await expect(new Promise((resolve, reject) => {
      client.subsys('netconf', (error, channel) => (error === undefined ? resolve(channel) : reject(error)));
    })).rejects.toThrow();
    client.subsys('sftp', () => {});
    expect((await running()).request).toEqual({ kind: 'sftp' });
  });
});

describe('a session on a device that is still being started', () => {
  let ready: (device: Device) => void;
  let fail: (fault: Fault) => void;
  beforeEach(() => {
    harness.gateway.deviceReady = new Promise((resolve, reject) => {
      ready = resolve;
      fail = reject;
    });
    harness.gateway.deviceReady.catch(() => {});
  });

  it('keeps what the client sends and holds it back after one window', async () => {
    const client = await harness.connect();
    const channel = await exec(client, 'x');
    channel.signal('USR1');
    channel.end(Buffer.alloc(1024 * 1024, 'y'));
    await exec(client, 'also');
    ready(harness.gateway.device);
    await until(() => harness.gateway.device.channels.length === 2, 'both are started');
    const device = harness.gateway.device.channels[0] as FakeChannel;
    expect(device.calls).toContain('signal USR1');
    await until(() => device.calls.includes('end'), 'all input has arrived');
    expect(device.input.length).toBe(1024 * 1024);
  });

  it('tells why it could not be started', async () => {
    const client = await harness.connect();
    const channel = await exec(client, 'x');
    const result = finished(channel);
    fail(new Fault('DEVICE_LOST', 'The helper did not start.'));
    expect(await result).toMatchObject({ err: Buffer.from('iotda-ssh: The helper did not start.\n'), code: undefined });
  });

  it('opens nothing for a client that left', async () => {
    const client = await harness.connect();
    await exec(client, 'x');
    client.end();
    await closed(client);
    await until(() => harness.gateway.leases.size === 0, 'the lease is released');
    ready(harness.gateway.device);
    await harness.gateway.deviceReady;
    expect(harness.gateway.device.channels).toEqual([]);
  });
}, PATIENCE_MS);
