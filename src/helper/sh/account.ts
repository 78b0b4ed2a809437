import { SEGMENT_MAX_BYTES, SEGMENT_MIN_BYTES } from './wire.js';

/** Output on its way that the device may have, in characters of text. */
const WINDOW_START = 128 * 1024;
const WINDOW_MIN = 32 * 1024;
const WINDOW_MAX = 768 * 1024;
/** One loss event shrinks once; what is lost in the same moment belongs to it. */
const LOSS_EVENT_MS = 1_000;

/**
 * How much output may be on its way, and in how large pieces: both grow while everything arrives and
 * shrink with loss. The stock agent drops output when its socket is full.
 */
export class Account {
  /** Characters of segments that arrived since the last attach. */
  received = 0;
  window = WINDOW_START;
  segmentBytes = SEGMENT_MAX_BYTES;
  #told = 0;
  #good = 0;
  #lossAt = Number.NEGATIVE_INFINITY;

  /** Arrived and not yet told to the device. */
  get untold(): number {
    return this.received - this.#told;
  }

  arrived(chars: number): void {
    this.received += chars;
    this.#good += chars;
    if (this.#good < 2 * this.window) return;
    this.#good = 0;
    this.window = Math.min(WINDOW_MAX, this.window + 64 * 1024);
    this.segmentBytes = Math.min(SEGMENT_MAX_BYTES, this.segmentBytes * 2);
  }

  lost(now: number): void {
    this.#good = 0;
    if (now - this.#lossAt < LOSS_EVENT_MS) return;
    this.#lossAt = now;
    this.window = Math.max(WINDOW_MIN, Math.floor(this.window / 2));
    this.segmentBytes = Math.max(SEGMENT_MIN_BYTES, Math.floor(this.segmentBytes / 2));
  }

  told(): void {
    this.#told = this.received;
  }

  /** A new front counts from zero. */
  restart(): void {
    this.received = 0;
    this.#told = 0;
  }
}
