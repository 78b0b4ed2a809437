/** The reconnect ladder: exponential steps with jitter, so that a fleet does not return in step. */
export class Backoff {
  readonly #minMs: number;
  readonly #maxMs: number;
  readonly #random: () => number;
  #step = 0;

  /** `random` gives numbers in [0, 1). */
  constructor(minMs: number, maxMs: number, random: () => number = Math.random) {
    this.#minMs = minMs;
    this.#maxMs = maxMs;
    this.#random = random;
  }

  /** Milliseconds to wait: between the step before and this one, at least `minMs`. */
  next(): number {
    const full = Math.min(this.#maxMs, this.#minMs * 2 ** this.#step);
    const floor = Math.max(this.#minMs, full / 2);
    if (full < this.#maxMs) this.#step++;
    return Math.round(floor + (full - floor) * this.#random());
  }

  reset(): void {
    this.#step = 0;
  }
}
