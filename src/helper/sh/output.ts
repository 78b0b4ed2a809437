import { STREAM_SEGMENTS } from './wire.js';

/**
 * One stream of a channel as it arrives: segments in any order, repeated or missing, given on in
 * order. The device produces segment `granted` only after the grant said so, and keeps each until
 * `arrived` has passed it.
 */
export class OutputStream {
  readonly #deliver: (bytes: Buffer) => void;
  readonly #early = new Map<number, { bytes: Buffer; at: number }>();
  /** Segments below this number have arrived. */
  arrived = 0;
  /** Segments below this number exist: the device said so. */
  #known = 0;
  /** Segments below this number have left our hands. */
  #taken = 0;
  /** Segments in all, once the exit record said so. */
  total: number | undefined;
  /** When the oldest hole showed, in the clock's ms. */
  holeSince: number | undefined;

  constructor(deliver: (bytes: Buffer) => void) {
    this.#deliver = deliver;
  }

  get granted(): number {
    return this.#taken + STREAM_SEGMENTS;
  }

  get complete(): boolean {
    return this.total !== undefined && this.arrived >= this.total;
  }

  /** Takes one segment; false when it was there already or cannot be. */
  take(index: number, bytes: Buffer, now: number): boolean {
    if (index < this.arrived || index >= this.granted || this.#early.has(index)) return false;
    this.#early.set(index, { bytes, at: now });
    for (;;) {
      const next = this.#early.get(this.arrived);
      if (next === undefined) break;
      this.#early.delete(this.arrived);
      this.arrived += 1;
      this.holeSince = undefined;
      this.#deliver(next.bytes);
    }
    this.noteHoles(now);
    return true;
  }

  /** The consumer is done with one more segment. */
  released(): void {
    this.#taken += 1;
  }

  /** The device has sent this segment, more than once; false when it is here already. */
  exists(index: number, now: number): boolean {
    if (index < this.arrived || this.#early.has(index)) return false;
    this.#known = Math.max(this.#known, index + 1);
    this.noteHoles(now);
    return true;
  }

  noteHoles(now: number): void {
    if (this.missing().length === 0) this.holeSince = undefined;
    else this.holeSince ??= now;
  }

  /** Segments that must be on their way or lost: below one that has arrived or that the device told of, or below the total. */
  missing(): number[] {
    const end = Math.min(this.total ?? Math.max(this.#known, ...this.#early.keys()), this.granted);
    const missing: number[] = [];
    for (let index = this.arrived; index < end; index += 1) if (!this.#early.has(index)) missing.push(index);
    return missing;
  }
}
