import type { Range } from './packet.js';
import { REASSEMBLY_LIMIT_BYTES, REASSEMBLY_LIMIT_PIECES } from './wire.js';

/** True when packet number a was used after b (modulo 2^32). */
export function pnAfter(a: number, b: number): boolean {
  return a !== b && ((a - b) >>> 0) < 0x8000_0000;
}

/** What a DATA packet did, which decides how soon it is acknowledged. */
export type Arrival = 'in-order' | 'gap' | 'repeat';

/**
 * Puts the stream together: every byte once, in order. Holds at most REASSEMBLY_LIMIT_BYTES of
 * bytes that came before their turn, in at most REASSEMBLY_LIMIT_PIECES.
 */
export class Receiver {
  /** The next offset needed. */
  recv = 0;
  /** The largest packet number seen; 0 before the first. */
  pn = 0;
  /** Disjoint pieces beyond recv, ascending. */
  readonly #early: { start: number; bytes: Buffer }[] = [];
  #earlyBytes = 0;

  get earlyBytes(): number {
    return this.#earlyBytes;
  }

  /** Takes one DATA packet and delivers what is now in order. */
  take(pn: number, offset: number, payload: Buffer, deliver: (bytes: Buffer) => void): Arrival {
    const skipped = this.pn !== 0 && pnAfter(pn, this.pn) && ((pn - this.pn) >>> 0) > 1;
    if (this.pn === 0 || pnAfter(pn, this.pn)) this.pn = pn;
    const end = offset + payload.length;
    if (end <= this.recv) return 'repeat';
    if (offset > this.recv) {
      this.#keep(offset, payload);
      return 'gap';
    }
    this.#deliver(payload.subarray(this.recv - offset), deliver);
    this.#drain(deliver);
    return skipped || this.#early.length > 0 ? 'gap' : 'in-order';
  }

  /** What is held beyond recv, ascending, adjacent pieces joined. */
  ranges(): Range[] {
    const ranges: Range[] = [];
    for (const piece of this.#early) {
      const last = ranges.at(-1);
      const end = piece.start + piece.bytes.length;
      if (last !== undefined && last.end === piece.start) last.end = end;
      else ranges.push({ start: piece.start, end });
    }
    return ranges;
  }

  #deliver(bytes: Buffer, deliver: (bytes: Buffer) => void): void {
    this.recv += bytes.length;
    deliver(bytes);
  }

  #drain(deliver: (bytes: Buffer) => void): void {
    for (let first = this.#early[0]; first !== undefined && first.start <= this.recv; first = this.#early[0]) {
      this.#early.shift();
      this.#earlyBytes -= first.bytes.length;
      const skip = this.recv - first.start;
      if (skip < first.bytes.length) this.#deliver(first.bytes.subarray(skip), deliver);
    }
  }

  /** Inserts the parts of [start, start+payload) that are not held yet. */
  #keep(start: number, payload: Buffer): void {
    const end = start + payload.length;
    if (end > this.recv + REASSEMBLY_LIMIT_BYTES) return;
    // What is not kept comes again. The bound is for a device that sends every other byte.
    if (this.#early.length >= REASSEMBLY_LIMIT_PIECES) return;
    let index = this.#firstFrom(start);
    const before = this.#early[index - 1];
    let from = before === undefined ? start : Math.max(start, before.start + before.bytes.length);
    while (from < end) {
      const next = this.#early[index];
      const to = next === undefined ? end : Math.min(end, next.start);
      if (to > from) {
        const part = payload.subarray(from - start, to - start);
        // A view would keep the whole packet in memory for the few bytes of it that were new.
        const bytes = part.length === payload.length ? part : Buffer.from(part);
        this.#early.splice(index, 0, { start: from, bytes });
        this.#earlyBytes += bytes.length;
        index += 1;
      }
      if (next === undefined) break;
      from = Math.max(to, next.start + next.bytes.length);
      index += 1;
    }
  }

  /** The index of the first piece that begins at `start` or later. Halved, since a device may begin again and again with the first of many. */
  #firstFrom(start: number): number {
    let low = 0;
    let high = this.#early.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#early[middle]?.start ?? 0) < start) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
