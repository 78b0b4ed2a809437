import { unpinned } from './unpinned.js';

/**
 * Pieces before they are joined. Windows and credit bound bytes, not pieces: what comes byte by byte would else
 * take a hundred times its memory, and a queue of that length its time.
 */
const PIECES_LIMIT = 1024;

/** Bytes that wait in order, put in and taken out in pieces of any size. */
export class ByteQueue {
  #pieces: Buffer[] = [];
  #length = 0;

  /** Bytes that wait. */
  get length(): number {
    return this.#length;
  }

  push(bytes: Buffer): void {
    if (bytes.length === 0) return;
    this.#pieces.push(unpinned(bytes));
    this.#length += bytes.length;
    if (this.#pieces.length > PIECES_LIMIT) this.#pieces = [Buffer.concat(this.#pieces)];
  }

  /** Puts back what was taken. */
  unshift(bytes: Buffer): void {
    if (bytes.length === 0) return;
    this.#pieces.unshift(bytes);
    this.#length += bytes.length;
  }

  /** The first `most` bytes, or all there are, in pieces. */
  take(most: number): Buffer[] {
    const parts: Buffer[] = [];
    let left = Math.min(most, this.#length);
    this.#length -= left;
    while (left > 0) {
      const first = this.#pieces[0] as Buffer;
      if (first.length <= left) {
        parts.push(first);
        this.#pieces.shift();
      } else {
        parts.push(first.subarray(0, left));
        this.#pieces[0] = first.subarray(left);
      }
      left -= Math.min(left, first.length);
    }
    return parts;
  }

  clear(): void {
    this.#pieces = [];
    this.#length = 0;
  }
}
