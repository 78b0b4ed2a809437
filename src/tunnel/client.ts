/** The tunnel on a real WebSocket: connects, keeps alive, reconnects, and tells frames from noise. */
import { Fault } from '../base/errors.js';
import type { Log } from '../base/log.js';
import { decodeFrame } from '../protocol/decode.js';
import { encodeFrame, newRequestId } from '../protocol/encode.js';
import type { Frame } from '../protocol/frames.js';
import { Backoff } from './backoff.js';
import { endingByDeadline, type Ending } from './ending.js';
import { SEND_LIMIT_BYTES, TUNNEL_TIMING, verifyOptions, type Endpoint, type TunnelOptions, type TunnelTiming } from './options.js';
import { TunnelSocket } from './socket.js';
import type { Tunnel, TunnelEvents, TunnelState } from './tunnel.js';

/** Looks at the peer's signs of life this many times per heartbeat. */
const TICKS_PER_PING = 4;

/** What belongs to one connection and goes with it. */
interface Connection {
  socket: TunnelSocket;
  openedAt: number | undefined;
  deviceSeen: boolean;
  grace: NodeJS.Timeout | undefined;
  heartbeat: NodeJS.Timeout | undefined;
  /** Messages that were no frame, and frames not sent for want of room. */
  malformed: number;
  dropped: number;
  /** connect_tunnel frames. */
  announced: number;
}

export class TunnelClient implements Tunnel {
  readonly #options: TunnelOptions;
  readonly #timing: TunnelTiming;
  readonly #endpoint: Endpoint;
  readonly #log: Log;
  readonly #backoff: Backoff;
  #events: TunnelEvents | undefined;
  #state: TunnelState = 'idle';
  #connection: Connection | undefined;
  #retry: NodeJS.Timeout | undefined;
  #attempts = 0;

  /** Throws a Fault (USAGE) when an option cannot be right. */
  constructor(options: TunnelOptions) {
    this.#endpoint = verifyOptions(options);
    this.#options = options;
    this.#timing = { ...TUNNEL_TIMING, ...options.timing };
    this.#log = options.log.child({ part: 'tunnel' });
    this.#backoff = new Backoff(this.#timing.retryMinMs, this.#timing.retryMaxMs);
  }

  get state(): TunnelState {
    return this.#state;
  }

  get buffered(): number {
    return this.#connection?.socket.buffered ?? 0;
  }

  start(events: TunnelEvents): void {
    if (this.#state !== 'idle') throw new Fault('INTERNAL', 'a tunnel can be started once');
    this.#events = events;
    const { loopback, url, shown } = this.#endpoint;
    if (this.#options.insecure === true && url.protocol === 'wss:') {
      this.#log.warn({ uri: shown }, 'CERTIFICATES ARE NOT CHECKED: anyone on the path can read the device password; use --ca instead');
    }
    if (url.protocol === 'ws:' && !loopback) {
      this.#log.warn({ uri: shown }, 'THE TUNNEL IS NOT ENCRYPTED: anyone on the path can read the device password; use wss://');
    }
    this.#connect();
  }

  send(frame: Frame): boolean {
    const bytes = encodeFrame(frame);
    const connection = this.#connection;
    if (this.#state !== 'open' || connection === undefined) return false;
    if (connection.socket.buffered + bytes.length > SEND_LIMIT_BYTES) {
      if (worthSaying(++connection.dropped)) {
        this.#log.warn({ dropped: connection.dropped, limitBytes: SEND_LIMIT_BYTES }, 'frame dropped: the platform takes nothing');
      }
      return false;
    }
    connection.socket.send(bytes);
    return true;
  }

  reset(cause: string): void {
    if (this.#state !== 'open' && this.#state !== 'connecting' && this.#state !== 'waiting') return;
    this.#log.info({ cause }, 'tunnel reset');
    this.#rewardHealth();
    void this.#release()?.close(false);
    this.#connect();
    this.#events?.lost({ cause: new Fault('TUNNEL', `the tunnel was reset: ${cause}`), retryInMs: 0 });
  }

  async close(): Promise<void> {
    if (this.#state !== 'ended') this.#state = 'closed';
    this.#events = undefined;
    await this.#release()?.close(true);
  }

  #connect(): void {
    this.#state = 'connecting';
    this.#attempts++;
    this.#log.debug({ uri: this.#endpoint.shown, attempt: this.#attempts }, 'connecting');
    let connection: Connection | undefined;
    const socket = this.#tryOpen({
      open: () => this.#opened(connection!),
      message: (bytes) => this.#message(connection!, bytes),
      ended: (ending) => this.#lost(ending),
    });
    if (socket === undefined) return;
    connection = { socket, openedAt: undefined, deviceSeen: false, grace: undefined, heartbeat: undefined, malformed: 0, dropped: 0, announced: 0 };
    this.#connection = connection;
  }

  /** A bad proxy variable shows only here; it ends the tunnel as everything else does, by event. */
  #tryOpen(events: ConstructorParameters<typeof TunnelSocket>[3]): TunnelSocket | undefined {
    try {
      return new TunnelSocket(this.#endpoint, this.#options, this.#timing, events);
    } catch (thrown) {
      const cause = thrown instanceof Error ? thrown : new Error(String(thrown));
      const fault = new Fault('TUNNEL', cause.message, { cause });
      setImmediate(() => this.#lost({ final: true, fault }));
      return undefined;
    }
  }

  #opened(connection: Connection): void {
    this.#state = 'open';
    this.#attempts = 0;
    connection.openedAt = performance.now();
    connection.heartbeat = this.#startHeartbeat(connection);
    connection.grace = setTimeout(() => {
      if (connection.deviceSeen) return;
      connection.deviceSeen = true;
      this.#log.info({ afterMs: this.#timing.deviceGraceMs }, 'no connect_tunnel: assuming that the device is there');
      this.#events?.deviceUp({ repeated: false, assumed: true });
    }, this.#timing.deviceGraceMs);
    this.#log.info({ uri: this.#endpoint.shown }, 'tunnel open');
    this.#events?.open();
  }

  /**
   * Silence is counted in ticks, not by the clock: a process that was stopped or a machine that
   * slept would else blame the peer for its own absence before reading what had come.
   */
  #startHeartbeat(connection: Connection): NodeJS.Timeout {
    const { pingEveryMs, silenceMs } = this.#timing;
    const tickMs = pingEveryMs / TICKS_PER_PING;
    let seen = connection.socket.bytesRead;
    let silentMs = 0;
    let ticks = 0;
    return setInterval(() => {
      const now = connection.socket.bytesRead;
      silentMs = now === seen ? silentMs + tickMs : 0;
      seen = now;
      if (silentMs >= silenceMs) {
        connection.socket.drop();
        this.#lost(endingByDeadline('silence', silenceMs, this.#endpoint.shown));
        return;
      }
      if (++ticks % TICKS_PER_PING !== 0) return;
      this.send({ operation: 'ping', requestId: newRequestId() });
      connection.socket.ping();
    }, tickMs);
  }

  #message(connection: Connection, bytes: Buffer): void {
    const decoded = decodeFrame(bytes);
    if (decoded.kind === 'fault') {
      if (worthSaying(++connection.malformed)) {
        this.#log.warn({ reason: decoded.fault.message, count: connection.malformed }, 'malformed message ignored');
      }
      return;
    }
    if (decoded.kind === 'ignored') {
      this.#log.debug({ reason: decoded.reason }, 'frame ignored');
      return;
    }
    const frame = decoded.frame;
    switch (frame.operation) {
      case 'connect_tunnel': {
        const repeated = connection.deviceSeen;
        connection.deviceSeen = true;
        clearTimeout(connection.grace);
        if (worthSaying(++connection.announced)) this.#log.info({ repeated, count: connection.announced }, 'device is up');
        this.#events?.deviceUp({ repeated, assumed: false });
        return;
      }
      case 'connect_response':
      case 'command_response':
      case 'disconnect':
        this.#events?.frame(frame);
        return;
      case 'ping':
        this.send({ operation: 'pong', requestId: newRequestId() });
        return;
      case 'pong':
        return;
      default:
        this.#log.debug({ operation: frame.operation }, 'frame for a device ignored');
    }
  }

  #lost(ending: Ending): void {
    if (this.#state === 'closed' || this.#state === 'ended') return;
    this.#rewardHealth();
    this.#release();
    if (ending.final) {
      this.#state = 'ended';
      this.#log.error({ reason: ending.fault.message }, 'tunnel ended');
      this.#events?.ended(ending.fault);
      return;
    }
    const retryInMs = this.#backoff.next();
    this.#state = 'waiting';
    this.#retry = setTimeout(() => this.#connect(), retryInMs);
    this.#log.warn({ reason: ending.fault.message, retryInMs, attempt: this.#attempts }, 'tunnel lost');
    this.#events?.lost({ cause: ending.fault, retryInMs });
  }

  /** A connection that held for long was no failed attempt: begin again with the first step. */
  #rewardHealth(): void {
    const openedAt = this.#connection?.openedAt;
    if (openedAt !== undefined && performance.now() - openedAt >= this.#timing.healthyMs) this.#backoff.reset();
  }

  /** Stops every timer; the socket, if there is one, is the caller's to close. */
  #release(): TunnelSocket | undefined {
    clearTimeout(this.#retry);
    const connection = this.#connection;
    this.#connection = undefined;
    clearTimeout(connection?.grace);
    clearInterval(connection?.heartbeat);
    return connection?.socket;
  }
}

/** The 1st, 2nd, 4th, 8th … time: a peer that sends rubbish all day must not fill the log. */
function worthSaying(count: number): boolean {
  return (count & (count - 1)) === 0;
}
