/** A platform, or a relay in its place, that means harm. It sees the password and the terminal anyway; here is what it cannot do beside. */
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { pino } from 'pino';
import { afterEach, describe, expect, it } from 'vitest';
import { silentLog, type Log } from '../../src/base/log.js';
import { Login } from '../../src/login/login.js';
import { encodeUnchecked, newRequestId } from '../../src/protocol/encode.js';
import type { Frame } from '../../src/protocol/frames.js';
import type { PeerFrame, Tunnel, TunnelEvents } from '../../src/tunnel/tunnel.js';
import { eventually, Platform, Recorder, TOKEN } from '../unit/tunnel/platform.js';
import { heldBytes, MiB } from './memory.js';

describe('a platform on the other end of the tunnel', () => {
  let platform: Platform | undefined;
  let recorder: Recorder | undefined;
  afterEach(async () => {
    await recorder?.tunnel.close();
    await platform?.stop();
  });

  async function connected(): Promise<{ platform: Platform; recorder: Recorder }> {
    platform = await Platform.start();
    recorder = new Recorder(`ws://127.0.0.1:${String(platform.port)}/source-connect`).start();
    await recorder.opened();
    await eventually(() => platform?.sockets.length === 1);
    return { platform, recorder };
  }

  it('that pings without reading the answers does not have them pile up here', async () => {
    const { platform: server, recorder: client } = await connected();
    const { last } = server;
    last.pause();
    let most = 0;
    for (let round = 0; round < 200; round += 1) {
      await new Promise<void>((resolve, reject) => {
        for (let at = 0; at < 999; at += 1) last.ping(Buffer.alloc(125));
        last.ping(Buffer.alloc(125), false, (error) => (error ? reject(error) : resolve()));
      });
      most = Math.max(most, client.tunnel.buffered);
    }
    // 25 MB of answers were asked for; the sockets of both ends take a few, and we keep no more than this.
    expect(most).toBeLessThan(128 * 1024);
    last.resume();
    server.say('connect_tunnel');
    await eventually(() => client.ups.length > 0);
  });

  it('that sends a frame of any size has it refused before it is in memory, and is tried again', async () => {
    const { platform: server, recorder: client } = await connected();
    server.last.send(Buffer.alloc(32 * MiB, 0x20));
    await eventually(() => client.losses.length > 0);
    await client.opened(2);
    expect(client.ends).toEqual([]);
  });

  it('that sends a message byte by byte, with pongs between them, does not have all of that kept', async () => {
    const { platform: server, recorder: client } = await connected();
    const { last } = server;
    const before = heldBytes();
    let most = 0;
    last.send('{', { fin: false });
    for (let at = 0; at < 3_000 && client.losses.length === 0; at += 1) {
      await new Promise<void>((resolve) => {
        for (let n = 0; n < 500; n += 1) last.pong(Buffer.alloc(125));
        last.send(' ', { fin: false }, () => resolve());
      });
      if (at % 200 === 199) most = Math.max(most, heldBytes() - before);
    }
    expect(most).toBeLessThan(128 * MiB);
    await eventually(() => client.losses.length > 0);
    await client.opened(2);
    expect(client.ends).toEqual([]);
  });

  it('that sends rubbish all day fills no log, and none of its words gets into it', async () => {
    const { platform: server, recorder: client } = await connected();
    for (let at = 0; at < 5_000; at += 1) {
      server.last.send(`{"operation_type":"command","data":"secret words ${String(at)}`);
      server.last.send(Buffer.from('\u001b]0;owned\u0007'));
      server.say('connect_tunnel');
    }
    await eventually(() => client.ups.length === 5_000);
    expect(client.lines.length).toBeLessThan(100);
    expect(client.lines.join('')).not.toMatch(/secret words|owned/);
  });

  it('that repeats the token in its refusal does not get it into a log or an error', async () => {
    platform = await Platform.start();
    platform.refuse = { status: 401, body: `no such token: ${TOKEN}` };
    recorder = new Recorder(`ws://127.0.0.1:${String(platform.port)}/x`).start();
    const fault = await recorder.ended();
    expect(`${fault.message} ${recorder.lines.join(' ')}`).not.toContain(TOKEN.slice(0, 12));
    expect(fault.message).toContain('HTTP 401');
  });

  it('that repeats the token as it closes does not get it into a log or an error', async () => {
    const { platform: server, recorder: client } = await connected();
    server.last.close(1002, `bad ${TOKEN}`);
    const fault = await client.ended();
    expect(`${fault.message} ${client.lines.join(' ')}`).not.toContain(TOKEN.slice(0, 12));
    expect(fault.message).toContain('close code 1002');
  });

  it('that puts control characters into its words has them taken out', async () => {
    const { platform: server, recorder: client } = await connected();
    server.last.close(4000, '\u001b[2Jgone\u009b31m\r\nfake line');
    const { message } = await client.ended();
    expect(message).toMatch(/^[\x20-\x7e]+$/);
    expect(message).toContain('gone');
  });

  it('that insists on compression, which could hide bombs, is not talked to', async () => {
    const server = createServer();
    const sockets: Duplex[] = [];
    server.on('upgrade', (request, socket) => {
      const accept = createHash('sha1').update(`${String(request.headers['sec-websocket-key'])}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
      sockets.push(socket);
      socket.on('error', () => undefined);
      socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n`);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    recorder = new Recorder(`ws://127.0.0.1:${String((server.address() as AddressInfo).port)}/x`).start();
    await eventually(() => (recorder?.losses.length ?? 0) > 0);
    expect(recorder.opens).toEqual([]);
    await recorder.tunnel.close();
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
});

type Unaddressed<F> = F extends unknown ? Omit<F, 'requestId'> : never;

/** A tunnel whose platform is the test. */
function scripted(): { tunnel: Tunnel; events: () => TunnelEvents; sent: Frame[]; deliver(frame: Unaddressed<PeerFrame>): void } {
  let events: TunnelEvents | undefined;
  const sent: Frame[] = [];
  const tunnel: Tunnel = {
    state: 'open',
    buffered: 0,
    start: (given) => { events = given; },
    send: (frame) => {
      // As the real one: what no frame can hold is refused by a throw.
      encodeUnchecked(frame);
      sent.push(frame);
      return true;
    },
    reset: () => undefined,
    close: () => Promise.resolve(),
  };
  return {
    tunnel, sent,
    events: () => events as TunnelEvents,
    deliver: (frame) => (events as TunnelEvents).frame({ ...frame, requestId: newRequestId() } as PeerFrame),
  };
}

describe('a login', () => {
  let login: Login | undefined;
  const abort = new AbortController();
  afterEach(() => login?.close());

  function started(log: Log = silentLog()): ReturnType<typeof scripted> & { login: Login; open(password?: string): Promise<unknown> } {
    const script = scripted();
    const made = new Login(script.tunnel, { log });
    login = made;
    made.start();
    script.events().open();
    script.events().deviceUp({ repeated: false, assumed: false });
    return { ...script, login: made, open: (password = 'secret-7') => made.open({ user: 'root', password }, false, abort.signal).catch((thrown: unknown) => thrown) };
  }

  const settled = async (promise: Promise<unknown>): Promise<unknown> => Promise.race([promise, new Promise((resolve) => setTimeout(resolve, 30, 'waiting'))]);

  it('is not believed for what an earlier session prints: only for output after the agent’s answer', async () => {
    const { open, deliver } = started();
    const opening = open();
    await settled(opening);
    deliver({ operation: 'command_response', data: Buffer.from('alice@device:~$ cat private\r\nof alice\r\n') });
    deliver({ operation: 'connect_response', data: Buffer.alloc(0), bare: true });
    expect(await settled(opening)).toBe('waiting');
    deliver({ operation: 'command_response', data: Buffer.from('bob@device:~$ ') });
    const carrier = (await opening) as { onText: (bytes: Buffer) => void };
    let text = '';
    carrier.onText = (bytes) => { text += bytes.toString(); };
    // And none of the other user's bytes are handed on.
    expect(text).toBe('bob@device:~$ ');
  });

  it('takes a bounded amount of memory, whatever is sent before it is decided', async () => {
    const { open, deliver } = started();
    const opening = open();
    await settled(opening);
    const before = heldBytes();
    for (let at = 0; at < 4_000; at += 1) {
      // Views of whole frames, as the decoder gives them.
      deliver({ operation: 'command_response', data: Buffer.alloc(100_000, 0x78).subarray(0, 1 + (at % 3)) });
      deliver({ operation: 'command_response', data: Buffer.alloc(10_000, 0x41) });
    }
    expect(heldBytes() - before).toBeLessThan(4 * MiB);
    expect(await settled(opening)).toBe('waiting');
    deliver({ operation: 'connect_response', data: Buffer.from('$ ') });
    const carrier = (await opening) as { onText: (bytes: Buffer) => void };
    const again = heldBytes();
    for (let at = 0; at < 4_000; at += 1) deliver({ operation: 'command_response', data: Buffer.alloc(100_000, 0x78).subarray(0, 2) });
    expect(heldBytes() - again).toBeLessThan(4 * MiB);
    let bytes = 0;
    carrier.onText = (text) => { bytes += text.length; };
    expect(bytes).toBeLessThanOrEqual(64 * 1024);
  });

  it('whose refusal repeats the password gets it into no log and no error', async () => {
    const lines: string[] = [];
    const { open, deliver } = started(pino({ level: 'trace' }, { write: (line: string) => lines.push(line) }));
    const opening = open();
    await settled(opening);
    deliver({ operation: 'disconnect', status: '400', message: 'wrong password secret-7 for root' });
    expect(await opening).toMatchObject({ code: 'DENIED' });
    expect(`${String(await opening)} ${lines.join(' ')}`).not.toContain('secret-7');
  });

  it('is not ended twice, and a platform that ends nothing all day fills no log', async () => {
    const lines: string[] = [];
    const { deliver } = started(pino({ level: 'info' }, { write: (line: string) => lines.push(line) }));
    for (let at = 0; at < 1_000; at += 1) deliver({ operation: 'disconnect', status: at % 2 === 0 ? '408' : '1006', message: '\u001b[31m' });
    expect(lines).toEqual([]);
    await Promise.resolve();
  });
});
