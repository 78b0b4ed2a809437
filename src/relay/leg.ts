/** One end of a tunnel while it is connected: a WebSocket, the line towards it, and its life signs. */
import type { Socket } from 'node:net';
import type { WebSocket } from 'ws';
import { boundUnfinished } from '../base/unfinished.js';
import { DelayLine } from './line.js';
import { DELAY_LIMIT_BYTES, HIGH_WATER_BYTES, LOW_WATER_BYTES, type RelayTiming } from './options.js';

export interface LegEvents {
  message(bytes: Buffer, binary: boolean): void;
  /** The leg takes too much (true) or has room again (false). */
  congested(full: boolean): void;
  closed(code: number): void;
}

/** Looks at the peer's signs of life this many times per ping. */
const TICKS_PER_PING = 4;

export class Leg {
  /** Resolves when the WebSocket is gone. */
  readonly gone: Promise<void>;
  framesOut = 0;
  bytesOut = 0;
  readonly #ws: WebSocket;
  readonly #line: DelayLine;
  readonly #events: LegEvents;
  readonly #closeMs: number;
  readonly #heartbeat: NodeJS.Timeout;
  #full = false;

  constructor(ws: WebSocket, socket: Socket, timing: RelayTiming, events: LegEvents) {
    this.#ws = ws;
    this.#events = events;
    this.#closeMs = timing.closeMs;
    this.#line = new DelayLine(({ bytes, binary }) => {
      this.framesOut++;
      this.bytesOut += bytes.length;
      ws.send(bytes, { binary, fin: true }, () => this.#weigh());
      this.#weigh();
    });
    ws.on('message', (data, binary) => events.message(data as Buffer, binary));
    boundUnfinished(ws, () => socket.bytesRead, () => this.cut());
    // The close event follows and carries the code; for a message over the limit ws sends 1009.
    ws.on('error', () => undefined);
    this.gone = new Promise((resolve) => {
      ws.on('close', (code) => {
        clearInterval(this.#heartbeat);
        this.#line.close();
        events.closed(code);
        resolve();
      });
    });
    this.#heartbeat = this.#startHeartbeat(socket, timing);
  }

  /** True while this leg takes too much to be sent more. */
  get full(): boolean {
    return this.#full;
  }

  /** Sends after `delayMs`, in order. */
  send(bytes: Buffer, binary: boolean, delayMs: number, until?: Promise<unknown>): void {
    this.#line.push({ bytes, binary }, delayMs, until);
    this.#weigh();
  }

  /** Reads this leg, or leaves its messages to the sender's own socket. */
  flow(on: boolean): void {
    if (on) this.#ws.resume();
    else this.#ws.pause();
  }

  close(code: number, reason: string): void {
    this.#ws.resume(); // a paused socket would not see the peer's close frame
    this.#ws.close(code, reason);
    const deadline = setTimeout(() => this.#ws.terminate(), this.#closeMs);
    void this.gone.then(() => clearTimeout(deadline));
  }

  /** Cuts the connection without a close frame: the peer sees 1006. */
  cut(): void {
    this.#ws.terminate();
  }

  #weigh(): void {
    const socketBytes = this.#ws.bufferedAmount;
    const lineBytes = this.#line.bytes;
    if (!this.#full && (socketBytes > HIGH_WATER_BYTES || lineBytes > DELAY_LIMIT_BYTES)) {
      this.#full = true;
      this.#events.congested(true);
    } else if (this.#full && socketBytes < LOW_WATER_BYTES && lineBytes < DELAY_LIMIT_BYTES / 2) {
      this.#full = false;
      this.#events.congested(false);
    }
  }

  /** Counted in ticks: time in which this process did not run is not the peer's silence. */
  #startHeartbeat(socket: Socket, timing: RelayTiming): NodeJS.Timeout {
    const tickMs = timing.pingEveryMs / TICKS_PER_PING;
    let seen = socket.bytesRead;
    let silentMs = 0;
    let ticks = 0;
    return setInterval(() => {
      const now = socket.bytesRead;
      // While we do not read this leg, its silence is ours.
      silentMs = now === seen && !this.#ws.isPaused ? silentMs + tickMs : 0;
      seen = now;
      if (silentMs >= timing.silenceMs) this.cut();
      else if (++ticks % TICKS_PER_PING === 0) this.#ws.ping();
    }, tickMs);
  }
}
