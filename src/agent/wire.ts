/**
 * The agent's WebSocket. Beside messages it tells where one read of the socket ends and the next
 * begins, because one agent's fault depends on that, and leaves pings to be answered by the engine,
 * because a hung agent answers none.
 */
import type { Socket } from 'node:net';
import { WebSocket, type ClientOptions } from 'ws';
import { Fault } from '../base/errors.js';
import { INBOUND_LIMIT_BYTES, TOKEN_HEADER } from '../protocol/constants.js';

export interface WireOptions {
  tunnelUri: string;
  token: string;
  /** PEM of the authorities to trust instead of the system's. */
  ca?: string | Buffer | undefined;
  /** Accepts any certificate. */
  insecure?: boolean | undefined;
}

/** Longest wait for the WebSocket to open. */
const HANDSHAKE_MS = 15_000;
/** Longest wait for the platform's half of an orderly close. */
const CLOSE_MS = 1000;
/** Answers to a handshake that another try will not change. */
const FINAL_STATUS = [400, 401, 403, 404, 410];
/** Most UTF-8 bytes of a close reason (RFC 6455 section 5.5). */
const CLOSE_REASON_BYTES = 123;

/** The tunnel could not be opened. `final`: another try would end alike. */
export class Unopened extends Error {
  readonly fault: Fault;
  readonly final: boolean;

  constructor(fault: Fault, final: boolean) {
    super(fault.message, { cause: fault });
    this.fault = fault;
    this.final = final;
  }
}

export class Wire {
  onRead: () => void = () => {};
  onMessage: (bytes: Buffer, binary: boolean) => void = () => {};
  onPing: (data: Buffer) => void = () => {};
  onPong: () => void = () => {};
  /** Some of what was sent has left. */
  onDrain: () => void = () => {};
  onClosed: (code: number, reason: string) => void = () => {};
  /** When anything at all was last received, in milliseconds of the monotonic clock. */
  lastHeard = performance.now();
  readonly #socket: WebSocket;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
  }

  /** Rejects with Unopened. Nothing is lost between its resolution and the setting of the handlers. */
  static open(options: WireOptions, signal: AbortSignal): Promise<Wire> {
    return new Promise((resolve, reject) => {
      const socket = connect(options);
      const wire = new Wire(socket);
      const abort = (): void => socket.terminate();
      signal.addEventListener('abort', abort, { once: true });
      const fail = (fault: Fault, final: boolean): void => {
        signal.removeEventListener('abort', abort);
        reject(new Unopened(fault, final));
      };
      socket.on('unexpected-response', (request, response) => {
        request.destroy();
        fail(refusal(options.tunnelUri, response.statusCode ?? 0), FINAL_STATUS.includes(response.statusCode ?? 0));
      });
      socket.on('error', (cause: Error & { code?: string }) => fail(...unreachable(options.tunnelUri, cause)));
      let raw: Socket | undefined;
      socket.on('upgrade', (response) => (raw = response.socket));
      socket.on('open', () => {
        signal.removeEventListener('abort', abort);
        // Before the WebSocket's own listener, so that it runs before the messages of the read.
        raw?.prependListener('data', () => {
          wire.lastHeard = performance.now();
          wire.onRead();
        });
        socket.on('message', (data: Buffer, binary) => wire.onMessage(data, binary));
        socket.on('ping', (data: Buffer) => wire.onPing(data));
        socket.on('pong', () => wire.onPong());
        socket.on('close', (code, reason) => wire.onClosed(code, reason.toString('utf8')));
        socket.pause(); // until the owner has set its handlers
        resolve(wire);
      });
    });
  }

  /** Bytes handed over that the kernel has not taken. */
  get buffered(): number {
    return this.#socket.bufferedAmount;
  }

  send(bytes: Buffer): void {
    if (this.#socket.readyState !== WebSocket.OPEN) return;
    this.#socket.send(bytes, { binary: false }, () => this.onDrain());
  }

  ping(): void {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.ping();
  }

  pong(data?: Buffer): void {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.pong(data);
  }

  /** Closes in order. As .NET does, a reason too long for a close frame turns into 1000 and none. */
  close(code: number, reason: string): void {
    if (Buffer.byteLength(reason) > CLOSE_REASON_BYTES) this.#socket.close(1000);
    else this.#socket.close(code, reason);
  }

  /** Ends without a close frame, as a crashed process or a cut line does. */
  terminate(): void {
    this.#socket.terminate();
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }
}

function connect(options: WireOptions): WebSocket {
  const settings: ClientOptions & { closeTimeout: number } = {
    headers: { [TOKEN_HEADER]: options.token },
    handshakeTimeout: HANDSHAKE_MS,
    closeTimeout: CLOSE_MS,
    perMessageDeflate: false,
    skipUTF8Validation: true,
    autoPong: false,
    maxPayload: INBOUND_LIMIT_BYTES,
    rejectUnauthorized: options.insecure !== true,
  };
  if (options.ca !== undefined) settings.ca = options.ca;
  if (!/^wss?:\/\/[^/]/.test(options.tunnelUri) || !URL.canParse(options.tunnelUri)) {
    throw new Unopened(new Fault('USAGE', 'the tunnel URI is not a ws:// or wss:// address'), true);
  }
  try {
    return new WebSocket(options.tunnelUri, settings);
  } catch (cause) {
    throw new Unopened(new Fault('USAGE', 'the tunnel URI or the token holds characters that cannot be sent', { cause }), true);
  }
}

function refusal(uri: string, status: number): Fault {
  const host = hostOf(uri);
  if (status === 401 || status === 403) {
    return new Fault('TUNNEL', `${host} refused the device token (HTTP ${status}): the token belongs to another tunnel or has expired`);
  }
  if (status === 404 || status === 410) return new Fault('TUNNEL', `${host} knows no such tunnel (HTTP ${status}): check the tunnel URI`);
  return new Fault('TUNNEL', `${host} did not open the tunnel (HTTP ${status})`);
}

function unreachable(uri: string, cause: Error & { code?: string }): [fault: Fault, final: boolean] {
  const code = cause.code ?? '';
  if (/CERT|SELF_SIGNED|ISSUER|ALTNAME/.test(code)) {
    return [new Fault('TUNNEL', `the certificate of ${hostOf(uri)} is not trusted (${code}): give its authority with a CA file`, { cause }), true];
  }
  return [new Fault('TUNNEL', `${hostOf(uri)} cannot be reached (${code === '' ? cause.message : code})`, { cause }), false];
}

function hostOf(uri: string): string {
  return new URL(uri).host;
}
