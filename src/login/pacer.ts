import type { FrameOf } from '../protocol/frames.js';
import type { Tunnel } from '../tunnel/tunnel.js';

type CommandFrame = FrameOf<'command'>;

/** Bytes of text that may wait for their turn; the layers above hold back long before. */
const WAITING_LIMIT_BYTES = 1024 * 1024;

/**
 * Sends command frames one by one, at least `gapMs` apart. The C agent takes one message when its socket
 * becomes readable and leaves what came with it to the next time; and where TLS on the way to it puts
 * frames together, the one that a record's end cuts is lost, as often as the same frames are sent in
 * the same burst.
 */
export class Pacer {
  readonly #tunnel: Tunnel;
  readonly #gapMs: () => number;
  #waiting: CommandFrame[] = [];
  #waitingBytes = 0;
  #sentAt = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;

  constructor(tunnel: Tunnel, gapMs: () => number) {
    this.#tunnel = tunnel;
    this.#gapMs = gapMs;
  }

  /** Bytes not yet taken by the operating system. */
  get buffered(): number {
    return this.#waitingBytes + this.#tunnel.buffered;
  }

  send(frame: CommandFrame): void {
    if (this.#waiting.length === 0 && this.#leftMs() <= 0) {
      this.#put(frame);
      return;
    }
    // A path without promises: a frame too many is lost like any other.
    if (this.#waitingBytes + frame.data.length > WAITING_LIMIT_BYTES) return;
    this.#waiting.push(frame);
    this.#waitingBytes += frame.data.length;
    this.#arm();
  }

  /** Drops what waits. */
  clear(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#waiting = [];
    this.#waitingBytes = 0;
  }

  #leftMs(): number {
    return this.#sentAt + this.#gapMs() - performance.now();
  }

  #put(frame: CommandFrame): void {
    this.#sentAt = performance.now();
    this.#tunnel.send(frame);
  }

  #arm(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      if (this.#leftMs() <= 0) {
        const frame = this.#waiting.shift();
        if (frame === undefined) return;
        this.#waitingBytes -= frame.data.length;
        this.#put(frame);
      }
      if (this.#waiting.length > 0) this.#arm();
    }, Math.max(1, Math.ceil(this.#leftMs())));
  }
}
