/** Such a piece is no longer than an inline line: if it does not pass, nothing does. */
export const PIECE_BYTES = 512;

/**
 * One block of standard input (or of a blob) that does not get across as a whole, cut into pieces that the device
 * puts aside one by one. They are not lines of their own: each bears the line's number, may be repeated without harm, and
 * does nothing until the line itself says that this many make the block, with its checksum. So it does not matter which
 * copies of the whole block are on their way still: the line is done once, with the same bytes either way.
 */
export class Pieces {
  readonly q: number;
  readonly count: number;
  readonly #bytes: Buffer;
  /** Pieces below this one are on the device. */
  #arrived = 0;

  constructor(q: number, bytes: Buffer) {
    this.q = q;
    this.#bytes = bytes;
    this.count = Math.ceil(bytes.length / PIECE_BYTES);
  }

  get complete(): boolean {
    return this.#arrived >= this.count;
  }

  /** The piece to send, one at a time; undefined when the device has them all. */
  get next(): { index: number; bytes: Buffer } | undefined {
    if (this.complete) return undefined;
    const at = this.#arrived * PIECE_BYTES;
    return { index: this.#arrived, bytes: this.#bytes.subarray(at, at + PIECE_BYTES) };
  }

  /** False for old news. */
  arrived(q: number, index: number): boolean {
    if (q !== this.q || index !== this.#arrived) return false;
    this.#arrived += 1;
    return true;
  }

  restart(): void {
    this.#arrived = 0;
  }
}
