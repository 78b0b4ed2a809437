import { createServer, type Server } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { verifyOptions } from '../../../src/tunnel/options.js';
import { silentLog } from '../../../src/base/log.js';
import { proxyFor } from '../../../src/tunnel/proxy.js';
import { eventually, Platform, Recorder, TOKEN } from './platform.js';
import { TLS } from './tls.js';

const NAMES = ['http_proxy', 'https_proxy', 'all_proxy', 'no_proxy', 'wss_proxy', 'ws_proxy'];

function shown(uri: string): string | undefined {
  const endpoint = verifyOptions({ uri, token: TOKEN, log: silentLog() });
  return proxyFor(endpoint, new AbortController().signal)?.shown;
}

beforeEach(() => {
  for (const name of NAMES) {
    vi.stubEnv(name, '');
    vi.stubEnv(name.toUpperCase(), '');
  }
});
afterEach(() => vi.unstubAllEnvs());

describe('the proxy from the environment', () => {
  it('is HTTPS_PROXY for wss and HTTP_PROXY for ws, less what NO_PROXY names', () => {
    vi.stubEnv('HTTPS_PROXY', 'http://secure.test:3128');
    vi.stubEnv('HTTP_PROXY', 'http://user:hunter2@plain.test:8080');
    vi.stubEnv('NO_PROXY', '.direct.test');
    expect(shown('wss://tunnel.test/x')).toBe('secure.test:3128');
    expect(shown('ws://tunnel.test/x')).toBe('plain.test:8080');
    expect(shown('wss://a.direct.test/x')).toBeUndefined();
  });

  it('is never used for this machine', () => {
    vi.stubEnv('ALL_PROXY', 'http://secure.test:3128');
    for (const host of ['localhost', '127.0.0.1', '127.1.2.3', '[::1]', 'x.localhost']) expect(shown(`ws://${host}:1/`), host).toBeUndefined();
    expect(shown('ws://127.0.0.1.test:1/')).toBe('secure.test:3128');
  });

  it('is refused when it is no HTTP proxy, without showing its password', () => {
    vi.stubEnv('ALL_PROXY', 'socks5://user:hunter2@plain.test:1080');
    expect(() => shown('wss://tunnel.test/')).toThrow(/of kind socks5:/);
    vi.stubEnv('ALL_PROXY', 'http://user:hunter2@');
    expect(() => shown('wss://tunnel.test/')).toThrow(/is not a URL/);
    expect(() => shown('wss://tunnel.test/')).not.toThrow(/hunter2/);
  });
});

describe('connecting through a proxy', () => {
  let platform: Platform;
  let proxy: Server;
  let asked: { target: string; authorization: string | undefined }[];
  let status: number | undefined;
  let sockets: Socket[];
  let recorder: Recorder;

  beforeEach(async () => {
    asked = [];
    sockets = [];
    status = 200;
    proxy = createServer();
    proxy.on('connect', (request, socket: Socket) => {
      asked.push({ target: request.url ?? '', authorization: request.headers['proxy-authorization'] });
      socket.on('error', () => undefined);
      sockets.push(socket);
      if (status === undefined) {
        socket.resume(); // or it would not see the end
        return;
      }
      if (status !== 200) {
        socket.end(`HTTP/1.1 ${status} No\r\nContent-Length: 0\r\n\r\n`);
        return;
      }
      const onward = connect(platform.port, '127.0.0.1', () => {
        socket.write('HTTP/1.1 200 OK\r\n\r\n');
        onward.pipe(socket).pipe(onward);
      });
      onward.on('error', () => socket.destroy());
    });
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    vi.stubEnv('ALL_PROXY', `http://user:hunter2@127.0.0.1:${(proxy.address() as AddressInfo).port}`);
  });

  afterEach(async () => {
    await recorder.tunnel.close();
    await platform.stop();
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => proxy.close(resolve));
    expect(recorder.lines.join('')).not.toMatch(/hunter2/);
  });

  it('asks the proxy for the host by name, with TLS inside and the token unseen by the proxy', async () => {
    platform = await Platform.start({ cert: TLS.other, key: TLS.key });
    recorder = new Recorder('wss://elsewhere.example/x', { ca: TLS.ca }).start();
    await recorder.opened();
    expect(asked).toEqual([{ target: 'elsewhere.example:443', authorization: `Basic ${Buffer.from('user:hunter2').toString('base64')}` }]);
    expect(platform.requests[0]!.headers['tunnel_access_token']).toBe(TOKEN);
  });

  it('checks the certificate against the host of the URI, also where that is an address', async () => {
    platform = await Platform.start({ cert: TLS.address, key: TLS.key });
    recorder = new Recorder('wss://192.0.2.1/x', { ca: TLS.address }).start();
    await recorder.opened();
    await recorder.tunnel.close();
    await platform.stop();
    // Made out to localhost and 127.0.0.1, which is where the proxy is.
    platform = await Platform.start({ cert: TLS.cert, key: TLS.key });
    recorder = new Recorder('wss://192.0.2.1/x', { ca: TLS.ca }).start();
    expect((await recorder.ended()).message).toMatch(/certificate of 192\.0\.2\.1 was not accepted/);
  });

  it('names the proxy when that is what cannot be reached', async () => {
    platform = await Platform.start();
    vi.stubEnv('ALL_PROXY', 'http://user:hunter2@127.0.0.1:9');
    recorder = new Recorder('ws://tunnel.test/x').start();
    await eventually(() => recorder.losses.length > 0);
    expect(recorder.losses[0]!.cause.message).toMatch(/no connection to tunnel\.test through the proxy 127\.0\.0\.1:9 \(ECONNREFUSED\)/);
  });

  it('says that the proxy wants a password, and tries again when it cannot reach the host', async () => {
    platform = await Platform.start();
    status = 502;
    recorder = new Recorder('ws://tunnel.test/x').start();
    await eventually(() => recorder.losses.length > 0);
    expect(recorder.losses[0]!.cause.message).toMatch(/HTTP 502 through the proxy 127\.0\.0\.1:\d+/);
    status = 407;
    expect((await recorder.ended()).message).toMatch(/proxy asks for a user and password/);
  });

  it('leaves no connection to a proxy that never answers', async () => {
    platform = await Platform.start();
    status = undefined;
    recorder = new Recorder('ws://tunnel.test/x', { timing: { handshakeMs: 50 } }).start();
    await eventually(() => recorder.losses.length >= 3);
    await recorder.tunnel.close();
    await eventually(() => sockets.every((socket) => socket.readableEnded || socket.destroyed));
  });

  it('ends with one sentence when the variable is wrong', async () => {
    platform = await Platform.start();
    vi.stubEnv('ALL_PROXY', 'socks5://user:hunter2@plain.test:1080');
    recorder = new Recorder('ws://tunnel.test/x').start();
    expect((await recorder.ended()).message).toMatch(/of kind socks5:/);
  });
});
