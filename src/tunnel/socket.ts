/** One connection attempt and its WebSocket: the adapter between `ws` and the client. */
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { checkServerIdentity, type PeerCertificate } from 'node:tls';
import { WebSocket, type ClientOptions } from 'ws';
import { toFault } from '../base/errors.js';
import { boundUnfinished } from '../base/unfinished.js';
import { INBOUND_LIMIT_BYTES, TOKEN_HEADER } from '../protocol/constants.js';
import { endingByClose, endingByDeadline, endingByError, endingByStatus, type Ending } from './ending.js';
import type { Endpoint, TunnelOptions, TunnelTiming } from './options.js';
import { proxyFor } from './proxy.js';

/**
 * The certificate is checked against the URI's host, whatever the socket beneath was opened to: through a
 * proxy node would take `localhost` where the host is an address, since addresses are not told by SNI.
 */
function identityOf(hostname: string): Pick<ClientOptions, 'checkServerIdentity'> {
  const host = hostname.replace(/^\[|\]$/g, '');
  const check = (_: string, certificate: PeerCertificate): Error | undefined => checkServerIdentity(host, certificate);
  // @types/ws has a type of its own for what ws only hands on to node:tls.
  return { checkServerIdentity: check as unknown as NonNullable<ClientOptions['checkServerIdentity']> };
}

/** After `ended`, and after close() or drop(), nothing more is called. */
export interface SocketEvents {
  open(): void;
  message(bytes: Buffer): void;
  ended(ending: Ending): void;
}

/** Most bytes read of the body of a refused upgrade. */
const BODY_LIMIT_BYTES = 2_048;
/** Characters of the token that may not show up in them: a long one may be repeated in part. */
const TOKEN_SHOWN = 12;

/** Bytes waiting in the socket above which pings are not answered. */
const PONG_BACKLOG_BYTES = 64 * 1024;

/** "Going away" (RFC 6455 section 7.4.1): 1000 would tell a device agent never to come back. */
const CLOSE_GOING_AWAY = 1001;

export class TunnelSocket {
  readonly #ws: WebSocket;
  readonly #where: string;
  readonly #timing: TunnelTiming;
  readonly #abort = new AbortController();
  readonly #handshake: NodeJS.Timeout;
  #events: SocketEvents | undefined;
  #raw: Socket | undefined;
  #proxy: string | undefined;
  #error: Error | undefined;
  readonly #token: string;

  constructor(endpoint: Endpoint, options: TunnelOptions, timing: TunnelTiming, events: SocketEvents) {
    this.#events = events;
    this.#token = options.token;
    this.#timing = timing;
    this.#where = endpoint.url.host;
    const proxy = proxyFor(endpoint, this.#abort.signal);
    this.#proxy = proxy?.shown;
    this.#ws = new WebSocket(endpoint.url, {
      headers: { [TOKEN_HEADER]: options.token },
      agent: proxy?.agent,
      ca: options.ca,
      rejectUnauthorized: options.insecure !== true,
      ...identityOf(endpoint.url.hostname),
      // The C agent offers and understands no extension, and the relay must keep bytes untouched.
      perMessageDeflate: false,
      // Agents cut UTF-8 sequences at their read boundaries: valid text frames are not to be had.
      skipUTF8Validation: true,
      autoPong: false,
      maxPayload: INBOUND_LIMIT_BYTES,
    });
    // The handshakeTimeout of ws is an idle time, which a peer that trickles bytes never reaches.
    this.#handshake = setTimeout(() => {
      this.#end(endingByDeadline('handshake', timing.handshakeMs, this.#where));
      this.#ws.terminate();
    }, timing.handshakeMs);
    // A platform that pings without reading the answers must not have them piled up here.
    this.#ws.on('ping', (data) => {
      if (this.#ws.bufferedAmount <= PONG_BACKLOG_BYTES) this.#ws.pong(data);
    });
    boundUnfinished(this.#ws, () => this.bytesRead, () => {
      this.#error ??= Object.assign(new Error('a message without end'), { code: 'WS_ERR_UNFINISHED_MESSAGE' });
      this.#ws.terminate();
    });
    this.#ws.on('upgrade', (response) => (this.#raw = response.socket));
    this.#ws.on('open', () => {
      clearTimeout(this.#handshake);
      this.#events?.open();
    });
    this.#ws.on('message', (data) => this.#events?.message(data as Buffer));
    this.#ws.on('unexpected-response', (_request, response) => void this.#refused(response));
    this.#ws.on('error', (error) => (this.#error ??= error));
    this.#ws.on('close', (code, reason) => {
      // An error of ours comes first: the code may then be the peer's echo of our own close frame.
      const error = this.#error;
      this.#end(error === undefined ? endingByClose(code, this.#words(reason.toString('utf8'))) : endingByError(error, this.#where, this.#proxy));
    });
  }

  /** Bytes not yet taken by the operating system. */
  get buffered(): number {
    return this.#ws.bufferedAmount;
  }

  /** Bytes that ever came in; it grows with every sign of life, whole message or not. */
  get bytesRead(): number {
    return this.#raw?.bytesRead ?? 0;
  }

  /** One unfragmented text message: the C agent drops every other kind. */
  send(bytes: Buffer): void {
    this.#ws.send(bytes, { binary: false, fin: true });
  }

  ping(): void {
    this.#ws.ping();
  }

  /** Leaves politely: 1000 when the tunnel is over, 1001 when we will be back. */
  close(forGood: boolean): Promise<void> {
    this.#events = undefined;
    clearTimeout(this.#handshake);
    const ws = this.#ws;
    if (ws.readyState === WebSocket.CLOSED) return Promise.resolve();
    const gone = new Promise<void>((resolve) => ws.once('close', () => resolve()));
    const deadline = setTimeout(() => ws.terminate(), this.#timing.closeMs);
    if (ws.readyState === WebSocket.CONNECTING) this.drop();
    else if (forGood) ws.close(1000, 'bridge ends');
    else ws.close(CLOSE_GOING_AWAY, 'bridge reconnects');
    return gone.finally(() => clearTimeout(deadline));
  }

  /** Leaves at once, without a close frame. */
  drop(): void {
    this.#events = undefined;
    clearTimeout(this.#handshake);
    this.#abort.abort();
    this.#ws.terminate();
  }

  #end(ending: Ending): void {
    clearTimeout(this.#handshake);
    const events = this.#events;
    this.#events = undefined;
    this.#abort.abort();
    events?.ended(ending);
  }

  async #refused(response: IncomingMessage): Promise<void> {
    let body = '';
    try {
      for await (const chunk of response.setEncoding('latin1')) {
        body += String(chunk);
        if (body.length >= BODY_LIMIT_BYTES) break;
      }
    } catch (thrown) {
      this.#error ??= toFault(thrown, 'TUNNEL'); // cut off in the body: the status is known all the same
    }
    this.#end(endingByStatus(response.statusCode ?? 0, this.#words(body.slice(0, BODY_LIMIT_BYTES)), this.#proxy));
    this.#ws.terminate();
  }

  /** The platform's own words, unless it repeats the token that it was shown. */
  #words(text: string): string {
    return text.includes(this.#token.slice(0, TOKEN_SHOWN)) ? 'words left out: they hold the token' : text;
  }
}
