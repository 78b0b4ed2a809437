/** The platform's side for self-hosting, tests and the demo: two WebSocket endpoints per tunnel. */
import { createServer as createHttpServer, STATUS_CODES, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { WebSocketServer } from 'ws';
import { Fault } from '../base/errors.js';
import { LineBudget } from '../base/log.js';
import { systemReason } from '../base/system-error.js';
import { TOKEN_HEADER } from '../protocol/constants.js';
import { sameToken, verifyTunnels, type TunnelEntry } from './config.js';
import { Exchange, type LegStats } from './exchange.js';
import { DEVICE_LIMIT_BYTES, RELAY_TIMING, SOURCE_LIMIT_BYTES, type LegName, type RelayOptions } from './options.js';

export interface RelayHandle {
  host: string;
  port: number;
  /** `ws://host:port` or `wss://…`, for building URIs. */
  address: string;
  /** The URI of a leg, for clients on this machine. */
  uri(tunnelId: string, leg: LegName): string;
  /** Closes every leg (1001: they may come back to another relay) and stops listening. */
  close(): Promise<void>;
  /** For tests: cuts a leg (its peer sees 1006) or closes it with `code`. False when it is not there. */
  drop(leg: LegName, how?: { tunnelId?: string; code?: number }): boolean;
  /** By tunnel id. */
  stats(): Record<string, Record<LegName, LegStats>>;
}

const PATH = /^\/v5\/iot\/tunnels\/([A-Za-z0-9_-]{1,128})\/(source|device)-connect$/;

/** "Going away" (RFC 6455 section 7.4.1). */
const CLOSE_GOING_AWAY = 1001;

/** Most bytes of request headers: real tokens are signed blobs of some kilobytes. */
const HEADERS_LIMIT_BYTES = 32 * 1024;

/** Lines of the log about connections that are refused: at once, and then a second. */
const REFUSED_LINES = 100;
const REFUSED_LINES_PER_S = 10;
/** Open connections, of tunnels and of strangers. */
const CONNECTIONS_LIMIT = 4096;

interface Tunnel {
  entry: TunnelEntry;
  exchange: Exchange;
}

/**
 * Starts listening. Rejects with a Fault: USAGE for the tunnels list or the TLS files, LOCAL for an
 * address that cannot be used.
 */
export async function startRelay(options: RelayOptions): Promise<RelayHandle> {
  const log = options.log.child({ part: 'relay' });
  const timing = { ...RELAY_TIMING, ...options.timing };
  const tunnels = new Map<string, Tunnel>();
  for (const entry of verifyTunnels(options.tunnels, 'the tunnels list')) {
    const exchange = new Exchange(entry.tunnel_id, options, timing, log.child({ tunnel: entry.tunnel_id, device: entry.device_id }));
    tunnels.set(entry.tunnel_id, { entry, exchange });
  }

  const server = createServer(options, timing.headersMs);
  server.maxConnections = CONNECTIONS_LIMIT;
  const sockets: Record<LegName, WebSocketServer> = {
    source: webSockets(options.limits?.sourceBytes ?? SOURCE_LIMIT_BYTES),
    device: webSockets(options.limits?.deviceBytes ?? DEVICE_LIMIT_BYTES),
  };
  const refusedLines = new LineBudget(REFUSED_LINES, REFUSED_LINES_PER_S);
  server.on('upgrade', (request, socket, head) => {
    socket.on('error', () => socket.destroy());
    const admitted = admit(request, tunnels);
    if ('status' in admitted) {
      const more = refusedLines.take();
      if (more !== undefined) log.warn({ status: admitted.status, from: request.socket.remoteAddress, ...more }, `connection refused: ${admitted.reason}`);
      refuse(socket, admitted.status, admitted.reason);
      return;
    }
    sockets[admitted.leg].handleUpgrade(request, socket, head, (ws) => {
      admitted.tunnel.exchange.attach(admitted.leg, ws, socket as Socket);
    });
  });

  const { host, port } = await listen(server, options);
  server.on('error', (error) => log.error({ reason: error.message }, 'the relay cannot accept a connection'));
  const address = `${options.tls === undefined ? 'ws' : 'wss'}://${host.includes(':') ? `[${host}]` : host}:${port}`;
  log.info({ address, tunnels: tunnels.size }, 'relay listens');

  return {
    host,
    port,
    address,
    uri: (tunnelId, leg) => `${address}/v5/iot/tunnels/${tunnelId}/${leg}-connect`,
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      await Promise.all([...tunnels.values()].map(({ exchange }) => exchange.close(CLOSE_GOING_AWAY)));
      server.closeAllConnections();
      await closed;
    },
    drop(leg, how) {
      const chosen = how?.tunnelId === undefined ? [...tunnels.values()] : [tunnels.get(how.tunnelId)];
      return chosen.map((tunnel) => tunnel?.exchange.drop(leg, how?.code) === true).includes(true);
    },
    stats: () => Object.fromEntries([...tunnels].map(([id, { exchange }]) => [id, exchange.stats()])),
  };
}

type Admission = { tunnel: Tunnel; leg: LegName } | { status: number; reason: string };

function admit(request: IncomingMessage, tunnels: ReadonlyMap<string, Tunnel>): Admission {
  const match = PATH.exec((request.url ?? '').split('?', 1)[0]!);
  const tunnel = match === null ? undefined : tunnels.get(match[1]!);
  if (tunnel === undefined) return { status: 404, reason: 'no such tunnel' };
  const leg = match![2] as LegName;
  const token = request.headers[TOKEN_HEADER];
  const expected = leg === 'source' ? tunnel.entry.source_token : tunnel.entry.device_token;
  if (typeof token !== 'string' || !sameToken(expected, token)) return { status: 401, reason: 'wrong or missing tunnel_access_token' };
  return { tunnel, leg };
}

/** Plain requests. The platform's REST calls (create, list, show, close, delete) would go here. */
function answer(request: IncomingMessage, response: ServerResponse): void {
  const known = PATH.test((request.url ?? '').split('?', 1)[0]!);
  const status = known ? 426 : 404;
  if (known) response.setHeader('Upgrade', 'websocket');
  response.writeHead(status, { 'Content-Type': 'application/json', Connection: 'close' });
  response.end(errorBody(status, known ? 'this is a WebSocket endpoint' : 'no such resource'));
  request.resume();
}

function refuse(socket: Duplex, status: number, reason: string): void {
  const body = errorBody(status, reason);
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close\r\nContent-Type: application/json\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    () => socket.destroy(),
  );
}

/** The shape of the platform's errors. */
function errorBody(status: number, reason: string): string {
  return JSON.stringify({ error_code: `RELAY.${status}`, error_msg: reason });
}

function createServer(options: RelayOptions, headersMs: number): Server {
  const settings = { headersTimeout: headersMs, requestTimeout: headersMs, maxHeaderSize: HEADERS_LIMIT_BYTES };
  if (options.tls === undefined) return createHttpServer(settings, answer);
  try {
    return createHttpsServer({ ...settings, handshakeTimeout: headersMs, ...options.tls }, answer);
  } catch (cause) {
    throw new Fault('USAGE', 'the TLS certificate and key do not work: both must be PEM and belong together', { cause });
  }
}

function webSockets(maxPayload: number): WebSocketServer {
  return new WebSocketServer({
    noServer: true,
    clientTracking: false,
    // No extension and no look into the text: what came in goes out, byte for byte.
    perMessageDeflate: false,
    skipUTF8Validation: true,
    maxPayload,
  });
}

function listen(server: Server, options: RelayOptions): Promise<{ host: string; port: number }> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      reject(new Fault('LOCAL', `the relay cannot listen on ${options.host}:${options.port}: ${systemReason(cause)}; choose another with --listen`, { cause }));
    });
    server.listen(options.port, options.host, () => {
      const { address, port } = server.address() as AddressInfo;
      resolve({ host: address, port });
    });
  });
}
