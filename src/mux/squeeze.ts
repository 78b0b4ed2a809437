import { deflateSync } from 'node:zlib';

/** Less is not worth compressing. */
const LEAST_BYTES = 512;
/** Bytes that are compressed at once. */
const MOST_BYTES = 32 * 1024;
/** Messages that pass as they are after one that did not compress, doubling up to this. */
const SKIP_MOST = 127;
/** Fast, and most of what there is to gain. */
const LEVEL = 1;

/** Compresses what a channel sends where that helps, and gets out of the way where it does not. */
export class Squeezer {
  #skip = 0;
  #back = 0;

  /** How many of `waiting` bytes to compress now; 0: send them as they are. */
  wants(waiting: number): number {
    if (waiting < LEAST_BYTES) return 0;
    if (this.#skip > 0) {
      this.#skip -= 1;
      return 0;
    }
    return Math.min(waiting, MOST_BYTES);
  }

  /** The bytes as one zlib stream, or undefined when they are not worth it. */
  squeeze(bytes: Buffer): Buffer | undefined {
    const packed = deflateSync(bytes, { level: LEVEL });
    if (packed.length * 10 < bytes.length * 9) {
      this.#back = 0;
      return packed;
    }
    this.#back = this.#skip = Math.min(SKIP_MOST, 2 * this.#back + 1);
    return undefined;
  }
}
