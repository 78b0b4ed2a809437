import { createServer, type AddressInfo, type Socket } from 'node:net';
import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { silentLog } from '../../../src/base/log.js';
import { decodeFrame } from '../../../src/protocol/decode.js';
import { encodeUnchecked, newRequestId } from '../../../src/protocol/encode.js';
import type { Frame } from '../../../src/protocol/frames.js';
import { TunnelClient } from '../../../src/tunnel/client.js';
import { SEND_LIMIT_BYTES, type TunnelOptions } from '../../../src/tunnel/options.js';
import { eventually, Platform, Recorder, TOKEN } from './platform.js';
import { TLS } from './tls.js';

let platform: Platform;
let recorder: Recorder;
const requestId = newRequestId();

function uri(): string {
  return `ws://127.0.0.1:${platform.port}/v5/iot/tunnels/t/source-connect`;
}

async function open(options: Partial<TunnelOptions> = {}): Promise<void> {
  recorder = new Recorder(uri(), options).start();
  await recorder.opened();
}

function received(): Frame[] {
  return platform.messages.map(({ bytes }) => {
    const decoded = decodeFrame(bytes);
    if (decoded.kind !== 'frame') throw new Error(`the client sent ${bytes.toString()}`);
    return decoded.frame;
  });
}

beforeEach(async () => {
  platform = await Platform.start();
});

afterEach(async () => {
  await recorder.tunnel.close();
  await platform.stop();
  expect(recorder.lines.join('')).not.toContain(TOKEN);
});

describe('connecting', () => {
  it('shows the token in the documented header, offers no extension and uses the URI as it is', async () => {
    await open();
    const { headers, url } = platform.requests[0]!;
    expect(headers['tunnel_access_token']).toBe(TOKEN);
    expect(headers['sec-websocket-extensions']).toBeUndefined();
    expect(url).toBe('/v5/iot/tunnels/t/source-connect');
    expect(recorder.tunnel.state).toBe('open');
  });

  it.each<[string, Partial<TunnelOptions>, string]>([
    ['a URI that is none', { uri: 'tunnel' }, 'is not a URI'],
    ['an https URI', { uri: 'https://x/' }, 'must begin with wss://'],
    ['an empty token', { token: '' }, 'the tunnel token is empty'],
    ['a token with a line end', { token: 'abc\n' }, 'holds white space'],
    ['a token that is not ASCII', { token: 'äbc' }, 'characters that are not ASCII'],
    ['a CA that is no certificate', { ca: 'hello' }, 'holds no PEM certificate'],
  ])('refuses %s before it connects', async (_name, wrong, words) => {
    await open();
    const make = (): TunnelClient => new TunnelClient({ uri: uri(), token: TOKEN, log: silentLog(), ...wrong });
    expect(make).toThrow(expect.objectContaining({ code: 'USAGE', message: expect.stringContaining(words) as string }) as Error);
    expect(make).not.toThrow(/abc|äbc/);
  });

  it('gives up an attempt that is not answered, although bytes trickle in, and tries again', async () => {
    const sockets: Socket[] = [];
    const tarpit = createServer((socket) => {
      sockets.push(socket);
      socket.on('error', () => undefined);
      socket.write('HTTP/1.1 101 Switching');
    }).listen(0, '127.0.0.1');
    await once(tarpit, 'listening');
    const trickle = setInterval(() => sockets.forEach((socket) => socket.write('x')), 10);
    recorder = new Recorder(`ws://127.0.0.1:${(tarpit.address() as AddressInfo).port}/`, { timing: { handshakeMs: 100 } }).start();
    await eventually(() => sockets.length >= 2);
    expect(recorder.losses[0]!.cause.message).toMatch(/did not accept the connection within 0\.1 s/);
    await recorder.tunnel.close();
    clearInterval(trickle);
    sockets.forEach((socket) => socket.destroy());
    await new Promise((resolve) => tarpit.close(resolve));
  });

  it('keeps trying while nobody listens, and then opens', async () => {
    const { port } = platform;
    await platform.stop();
    recorder = new Recorder(`ws://127.0.0.1:${port}/`).start();
    await eventually(() => recorder.losses.length >= 3);
    expect(recorder.losses[0]!.cause).toMatchObject({ code: 'TUNNEL', message: expect.stringContaining('ECONNREFUSED') as string });
    await new Promise<void>((resolve) => platform.server.listen(port, '127.0.0.1', resolve));
    await recorder.opened();
  });
});

describe('TLS', () => {
  let secure: Platform;
  const tls = async (cert: string): Promise<string> => {
    secure = await Platform.start({ cert, key: TLS.key });
    return `wss://127.0.0.1:${secure.port}/`;
  };
  afterEach(() => secure.stop());

  it('opens when the certificate is signed by the given CA', async () => {
    recorder = new Recorder(await tls(TLS.cert), { ca: TLS.ca }).start();
    await recorder.opened();
  });

  it('ends for good on an unknown issuer, and names --ca', async () => {
    recorder = new Recorder(await tls(TLS.cert)).start();
    expect((await recorder.ended()).message).toMatch(/certificate of 127\.0\.0\.1:\d+ was not accepted .*--ca/);
    expect(secure.requests.length).toBe(0);
  });

  it('ends for good on a certificate for another name', async () => {
    recorder = new Recorder(await tls(TLS.other), { ca: TLS.ca }).start();
    expect((await recorder.ended()).message).toMatch(/ERR_TLS_CERT_ALTNAME_INVALID.*host name/);
  });

  it('opens without a check when told to, and warns loudly', async () => {
    recorder = new Recorder(await tls(TLS.other), { insecure: true }).start();
    await recorder.opened();
    expect(recorder.lines.join('')).toContain('CERTIFICATES ARE NOT CHECKED');
  });
});

describe('news of the device', () => {
  it('passes connect_tunnel on, and marks every further one as repeated', async () => {
    await open();
    platform.say('connect_tunnel');
    platform.say('connect_tunnel');
    await eventually(() => recorder.ups.length === 2);
    expect(recorder.ups).toEqual([{ repeated: false, assumed: false }, { repeated: true, assumed: false }]);
  });

  it('assumes the device after the grace time without connect_tunnel; a late one is then a repetition', async () => {
    await open({ timing: { deviceGraceMs: 10 } });
    await eventually(() => recorder.ups.length === 1);
    platform.say('connect_tunnel');
    await eventually(() => recorder.ups.length === 2);
    expect(recorder.ups).toEqual([{ repeated: false, assumed: true }, { repeated: true, assumed: false }]);
  });

  it('starts afresh on every connection', async () => {
    await open();
    platform.say('connect_tunnel');
    await eventually(() => recorder.ups.length === 1);
    platform.last.terminate();
    await recorder.opened(2);
    platform.say('connect_tunnel');
    await eventually(() => recorder.ups.length === 2);
    expect(recorder.ups[1]).toEqual({ repeated: false, assumed: false });
  });
});

describe('frames', () => {
  it('arrive in order with the exact bytes of a character that was cut, in text messages', async () => {
    await open();
    const parts = [Buffer.from([0x61, 0xe4, 0xbd]), Buffer.from([0xa0]), Buffer.from('\n')];
    for (const data of parts) {
      platform.last.send(encodeUnchecked({ operation: 'command_response', requestId, data }, 'cjson'), { binary: false });
    }
    await eventually(() => recorder.frames.length === 3);
    expect(recorder.frames).toEqual(parts.map((data) => ({ operation: 'command_response', requestId, data })));
  });

  it('pass for connect_response and disconnect, and for no other operation', async () => {
    await open();
    const sent: Frame[] = [
      { operation: 'command', requestId, data: 'x' },
      { operation: 'connect', requestId, username: 'u', password: 'p' },
      { operation: 'pong', requestId },
      { operation: 'connect_response', requestId, data: Buffer.from('hi') },
      { operation: 'disconnect', requestId: 'SSH_timeout_disconnect', status: '408', message: 'idle' },
    ];
    for (const frame of sent) platform.last.send(encodeUnchecked(frame), { binary: false });
    await eventually(() => recorder.frames.length === 2);
    expect(recorder.frames).toEqual(sent.slice(3));
  });

  it('survive rubbish between them, of which the log tells without quoting it', async () => {
    await open();
    for (const rubbish of ['', 'hunter2', '{}', '{"operation_type":"resize"}', '{"operation_type":"command_response","data":"hunter2']) {
      platform.last.send(rubbish);
    }
    platform.last.send(Buffer.from([0xff, 0xfe]), { binary: true });
    platform.last.send(encodeUnchecked({ operation: 'command_response', requestId, data: Buffer.from('ok') }), { binary: true });
    await eventually(() => recorder.frames.length === 1);
    expect(recorder.lines.join('')).toContain('malformed message ignored');
    expect(recorder.lines.join('')).not.toContain('hunter2');
  });

  it('go out as one unfragmented text message each, in order', async () => {
    await open();
    const data = ['first', 'x'.repeat(9_000), 'é', ''];
    for (const text of data) expect(recorder.tunnel.send({ operation: 'command', requestId, data: text })).toBe(true);
    await eventually(() => platform.messages.length === 4);
    expect(received()).toEqual(data.map((text) => ({ operation: 'command', requestId, data: text })));
    expect(platform.messages.map(({ binary }) => binary)).toEqual([false, false, false, false]);
  });

  it('are refused by the gate before they can harm', async () => {
    await open();
    expect(() => recorder.tunnel.send({ operation: 'command', requestId: 'short', data: '' })).toThrow(/request_id/);
    expect(() => recorder.tunnel.send({ operation: 'command', requestId, data: '\0' })).toThrow(/NUL/);
  });

  it('are dropped while there is no connection', async () => {
    recorder = new Recorder(uri());
    expect(recorder.tunnel.send({ operation: 'command', requestId, data: 'early' })).toBe(false);
    recorder.start();
    expect(recorder.tunnel.send({ operation: 'command', requestId, data: 'early' })).toBe(false);
    await recorder.opened();
    expect(recorder.tunnel.send({ operation: 'command', requestId, data: 'now' })).toBe(true);
    await eventually(() => platform.messages.length === 1);
    expect(received()).toEqual([{ operation: 'command', requestId, data: 'now' }]);
  });

  it('are dropped, not piled up, when the platform takes nothing', async () => {
    await open();
    platform.last.pause();
    const frame: Frame = { operation: 'command', requestId, data: 'x'.repeat(9_000) };
    let sent = 0;
    while (recorder.tunnel.send(frame)) sent++;
    expect(recorder.tunnel.buffered).toBeLessThanOrEqual(SEND_LIMIT_BYTES);
    expect(recorder.lines.join('')).toContain('frame dropped');
    platform.last.resume();
    await eventually(() => platform.messages.length === sent);
    await eventually(() => recorder.tunnel.buffered === 0);
    expect(recorder.tunnel.send(frame)).toBe(true);
  });
});

describe('heartbeat', () => {
  it('sends a JSON ping and a WebSocket ping, and answers the platform’s', async () => {
    let pings = 0;
    platform.onConnection = (ws) => ws.on('ping', () => pings++);
    await open({ timing: { pingEveryMs: 20 } });
    platform.say('ping');
    await eventually(() => pings >= 2 && platform.messages.length >= 3);
    const operations = received().map(({ operation }) => operation);
    expect(operations).toContain('pong');
    expect(operations.filter((operation) => operation === 'ping').length).toBeGreaterThanOrEqual(2);
  });

  it('notices a platform that falls silent, and reconnects', async () => {
    await open({ timing: { pingEveryMs: 20, silenceMs: 60 } });
    platform.last.pause(); // its automatic pongs stop with it
    await recorder.opened(2);
    expect(recorder.losses[0]!.cause.message).toMatch(/not a byte from the platform for 0\.06 s/);
  });

  it('takes a platform that only answers WebSocket pings for alive', async () => {
    let pings = 0;
    platform.onConnection = (ws) => ws.on('ping', () => pings++);
    await open({ timing: { pingEveryMs: 20, silenceMs: 200 } });
    await eventually(() => pings >= 30);
    expect(recorder.losses).toEqual([]);
  });
});

describe('reconnecting', () => {
  it.each([1001, 1006, 1011, 1012, 3000, 4001])('comes back after close code %i', async (code) => {
    await open();
    if (code === 1006) platform.last.terminate();
    else platform.last.close(code, 'for a reason');
    await recorder.opened(2);
    expect(recorder.losses[0]!.cause.code).toBe('TUNNEL');
    expect(recorder.losses[0]!.retryInMs).toBeGreaterThan(0);
    expect(recorder.ends).toEqual([]);
  });

  it.each([
    [1000, /closed the tunnel \(close code 1000, "for a reason"\).*create a new tunnel/],
    [1002, /refused the tunnel token or it expired/],
    [4000, /another client took over this tunnel/],
  ])('ends for good on close code %i and says what to do', async (code, words) => {
    await open();
    platform.last.close(code, 'for a reason');
    expect((await recorder.ended()).message).toMatch(words);
    expect(recorder.tunnel.state).toBe('ended');
    expect(recorder.tunnel.send({ operation: 'ping', requestId })).toBe(false);
    expect(platform.sockets.length).toBe(1);
  });

  it.each([
    [400, /HTTP 400.*check the tunnel URI/],
    [401, /HTTP 401.*token was refused or expired/],
    [403, /HTTP 403, "\{"error_code":"IOTDA.000004"\}".*token was refused/],
    [404, /HTTP 404.*tunnel is gone/],
    [407, /HTTP 407.*proxy URL/],
  ])('ends for good on HTTP %i and says what to do', async (status, words) => {
    platform.refuse = { status, body: '{"error_code":"IOTDA.000004"}' };
    recorder = new Recorder(uri()).start();
    expect(await recorder.ended()).toMatchObject({ code: 'TUNNEL', message: expect.stringMatching(words) as string });
    expect(platform.requests.length).toBe(1);
  });

  it.each([200, 302, 408, 429, 500, 503])('tries again after HTTP %i', async (status) => {
    platform.refuse = { status };
    recorder = new Recorder(uri()).start();
    await eventually(() => recorder.losses.length >= 2);
    platform.refuse = undefined;
    await recorder.opened();
    expect(recorder.losses[0]!.cause.message).toContain(`HTTP ${status}`);
  });

  it('comes back after a message over the inbound limit, for which its own 1009 or 1002 is not held against it', async () => {
    await open();
    platform.last.send('x'.repeat(256 * 1024 + 1));
    await recorder.opened(2);
    expect(recorder.losses[0]!.cause.message).toContain('WS_ERR_UNSUPPORTED_MESSAGE_LENGTH');
  });

  it('comes back after a broken WebSocket frame although both sides then say 1002', async () => {
    platform.onConnection = (ws) => {
      if (platform.sockets.length === 1) (ws as unknown as { _socket: Socket })._socket.write(Buffer.from([0xf0, 0]));
    };
    recorder = new Recorder(uri()).start();
    await recorder.opened(2);
    expect(recorder.losses[0]!.cause.message).toContain('WS_ERR_UNEXPECTED_RSV');
  });

  it.each([
    ['waits longer each time when connections do not last', 60_000, (third: number) => third >= 10],
    ['begins again with the first step after a connection that lasted', 0, (third: number) => third === 5],
  ])('%s', async (_name, healthyMs, expected) => {
    await open({ timing: { healthyMs, retryMaxMs: 1_000 } });
    for (let times = 1; times <= 3; times++) {
      platform.last.terminate();
      await recorder.opened(times + 1);
    }
    expect(recorder.losses.map(({ retryInMs }) => retryInMs)[2]).toSatisfy(expected);
  });

  it('resets on demand: at once, with the cause, and hears nothing more of the old connection', async () => {
    await open({ timing: { retryMinMs: 60_000, retryMaxMs: 60_000 } });
    const old = platform.last;
    const closed = once(old, 'close');
    recorder.tunnel.reset('the device does not answer');
    expect(recorder.losses).toMatchObject([{ retryInMs: 0, cause: { code: 'TUNNEL', message: 'the tunnel was reset: the device does not answer' } }]);
    old.send(encodeUnchecked({ operation: 'command_response', requestId, data: Buffer.from('late') }), { binary: false });
    await recorder.opened(2);
    expect((await closed)[0]).toBe(1001);
    expect(recorder.frames).toEqual([]);
    expect(recorder.losses.length).toBe(1);
  });

  it('resets out of the wait for the next attempt', async () => {
    platform.refuse = { status: 503 };
    recorder = new Recorder(uri(), { timing: { retryMinMs: 60_000, retryMaxMs: 60_000 } }).start();
    await eventually(() => recorder.losses.length === 1);
    platform.refuse = undefined;
    recorder.tunnel.reset('the operator asks');
    await recorder.opened();
  });
});

describe('close', () => {
  it('ends normally with 1000 and without a further event', async () => {
    await open();
    const closed = once(platform.last, 'close');
    await recorder.tunnel.close();
    expect((await closed)[0]).toBe(1000);
    expect(recorder.tunnel.state).toBe('closed');
    expect(recorder.losses.length + recorder.ends.length).toBe(0);
    recorder.tunnel.reset('too late');
    expect(recorder.tunnel.state).toBe('closed');
  });

  it('does not wait for a platform that does not answer', async () => {
    await open();
    platform.last.pause();
    await recorder.tunnel.close();
    expect(recorder.tunnel.state).toBe('closed');
  });

  it('works before start, during an attempt and twice', async () => {
    recorder = new Recorder(uri());
    await recorder.tunnel.close();
    recorder = new Recorder(uri()).start();
    await recorder.tunnel.close();
    await recorder.tunnel.close();
    expect(recorder.opens.length + recorder.losses.length + recorder.ends.length).toBe(0);
  });
});
