import { QUEUE_LEAST_BYTES, QUEUE_MS, RATES, RENEW_FIRST_MS, RENEW_MS, RTTS, WINDOW_MIN_BYTES } from './wire.js';

/** Share of the window, and of what the path holds without a queue, that goes on while the queue is drained. */
const DRAINED_WINDOW = 0.25;
const DRAINED_PATH = 0.5;

/**
 * What is known of the path: how long a round trip takes without a queue, and how much arrives. It gives
 * the window that fills the path and lets little queue up before it, so that a typed key does not wait
 * behind a copy (the idea of BBR, draft-cardwell-iccrg-bbr-congestion-control).
 */
export class Path {
  /** The round trip without a queue in ms, as far as it was seen so. */
  #rttMs = Infinity;
  /** When that is to be measured anew. */
  #renewAt = 0;
  #lastRtts: number[] = [];
  /** Bytes per ms over the last round trips. */
  #rates: number[] = [];
  /** While the queue is drained to measure the path: from when what is measured counts, and the window before. */
  #drain: { from: number; until: number; window: number; rtts: number[] } | undefined;

  /** The window is being kept small, to measure. */
  get draining(): boolean {
    return this.#drain !== undefined;
  }

  /** A round trip of `rttMs` and the rate during it; `limited`: the window was full, so it tells the path's rate. */
  measured(rttMs: number, rate: number, limited: boolean, now: number): void {
    if (this.#drain === undefined && (limited || rate > this.#rate)) this.#rates = [...this.#rates, rate].slice(-RATES);
    this.#lastRtts = [...this.#lastRtts, rttMs].slice(-RTTS);
    this.#rttMs = Math.min(this.#rttMs, median(this.#lastRtts));
    this.#renewAt ||= now + RENEW_FIRST_MS;
    if (this.#drain !== undefined && now >= this.#drain.from) this.#drain.rtts.push(rttMs);
  }

  /** The largest window, in bytes, that does not lengthen what queues: Infinity where nothing does. */
  get mostBytes(): number {
    // The least of them holds what waits in the path all the time, and no jitter.
    if (this.#lastRtts.length === 0 || Math.min(...this.#lastRtts) <= this.#longest) return Infinity;
    return Math.max(QUEUE_LEAST_BYTES, Math.floor(this.#rate * this.#longest));
  }

  /**
   * What looks like a queue may be a path that has become longer, and the shortest round trip may have held
   * a queue from the beginning. Now and then this gives the window for the next two round trips, in which
   * no queue of ours is left and what is measured is the path; and in the end that to which it may grow
   * again quickly, Infinity when the path has become longer.
   */
  renew(window: number, limited: boolean, srttMs: number, now: number): { window: number } | { threshold: number } | undefined {
    const drain = this.#drain;
    if (drain === undefined) {
      // Where the window limits nothing, no queue is ours.
      if (!limited || now < this.#renewAt) return undefined;
      this.#drain = { from: now + srttMs, until: now + 2 * srttMs, window, rtts: [] };
      return { window: Math.max(WINDOW_MIN_BYTES, Math.floor(Math.min(DRAINED_WINDOW * window, DRAINED_PATH * this.#rate * this.#rttMs))) };
    }
    if (now < drain.until || drain.rtts.length === 0) return undefined;
    const rttMs = median(drain.rtts);
    const longer = rttMs > this.#longest;
    this.#drain = undefined;
    this.#rttMs = rttMs;
    this.#renewAt = now + RENEW_MS;
    this.#lastRtts = [];
    return { threshold: longer ? Infinity : drain.window };
  }

  /** Something was lost: a drain is over. Gives the window before it, if there was one. */
  cancelDrain(): number | undefined {
    const window = this.#drain?.window;
    if (window !== undefined) this.#renewAt = 0;
    this.#drain = undefined;
    return window;
  }

  get #rate(): number {
    return Math.max(0, ...this.#rates);
  }

  /**
   * The longest round trip, in ms, that the window may cause. A quarter of the window goes out at once,
   * and queues behind itself for as long as that share of the round trip.
   */
  get #longest(): number {
    return this.#rttMs + Math.max(QUEUE_MS, this.#rttMs / 4);
  }
}

function median(numbers: readonly number[]): number {
  return [...numbers].sort((a, b) => a - b)[(numbers.length - 1) >> 1] ?? Infinity;
}
