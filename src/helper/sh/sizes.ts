import { PIECE_BYTES } from './pieces.js';
import { BLOCK_MAX_BYTES, BLOCK_MIN_BYTES } from './wire.js';

/** Growth of a block after a loss, per block that got through; before the first loss it doubles. */
const BLOCK_STEP_BYTES = 1024;
const BLOCK_FIRST_BYTES = 6 * 1024;
/** Most bytes of a block on a path that has lost some: every piece lost costs a whole block. */
const BLOCK_LOSSY_BYTES = 16 * 1024;
/** The size of frames where large ones do not pass, and what must arrive before they, and blocks, are tried twice as large. */
const FRAME_MIN_CHARS = 1_200;
const GROW_CHARS = 128 * 1024;
/** Least characters on their way at a time where more of them get lost, and the share of what arrives that is added. */
const BURST_MIN_CHARS = 2_000;
const BURST_GROWTH = 1 / 8;

/** What the way up was seen to bear: the sizes of blocks and frames, and what may be on its way at a time. */
export class Sizes {
  #lossy = false;
  #blockBytes = BLOCK_FIRST_BYTES;
  #blockMost = BLOCK_MAX_BYTES;
  #frameChars = Number.POSITIVE_INFINITY;
  #burstChars = Number.POSITIVE_INFINITY;
  #sinceLost = 0;

  /** Bytes of the next block, at most `share`. */
  block(share: number): number {
    return Math.min(this.#blockMost, Math.max(BLOCK_MIN_BYTES, Math.min(this.#blockBytes, share)));
  }

  /** A larger block has to be cut again. */
  get blockMost(): number {
    return this.#blockMost;
  }

  get frameChars(): number {
    return this.#frameChars;
  }

  get burstChars(): number {
    return this.#burstChars;
  }

  /** So much got through. */
  arrived(chars: number): void {
    this.#burstChars += chars * BURST_GROWTH;
    this.#sinceLost += chars;
    if (this.#sinceLost < GROW_CHARS) return;
    this.#sinceLost = 0;
    this.#frameChars *= 2;
    this.#blockMost = Math.min(BLOCK_MAX_BYTES, this.#blockMost * 2);
  }

  /** A block got through at the first try. */
  blockArrived(): void {
    const next = this.#lossy ? this.#blockBytes + BLOCK_STEP_BYTES : this.#blockBytes * 2;
    this.#blockBytes = Math.min(this.#lossy ? BLOCK_LOSSY_BYTES : BLOCK_MAX_BYTES, next);
  }

  /** A block got through in pieces, and not otherwise. */
  bearsPieces(): void {
    this.#blockMost = PIECE_BYTES;
  }

  /** Something was lost; `windowChars`, where that is no chance any more: what was on its way at most. */
  lost(windowChars: number | undefined): void {
    this.#lossy = true;
    this.#blockBytes = Math.max(BLOCK_MIN_BYTES, Math.floor(Math.min(this.#blockBytes, BLOCK_LOSSY_BYTES) / 2));
    if (windowChars === undefined) return;
    this.#frameChars = FRAME_MIN_CHARS;
    this.#burstChars = Math.max(BURST_MIN_CHARS, Math.floor(Math.min(this.#burstChars, windowChars) / 2));
    this.#sinceLost = 0;
  }
}
