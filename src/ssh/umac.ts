/**
 * UMAC (RFC 4418) with tags of 64 and 128 bits, which OpenSSH's clients ask for first of all
 * (draft-miller-secsh-umac). Here since neither OpenSSL nor ssh2 has it: ssh2-core.ts hands it to ssh2 in the
 * place of an HMAC. Block cipher and comparison are Node's; this file is the hash between them.
 *
 * One instance holds what is derived from one key, and authenticates one packet at a time: the packet's
 * number first, as ssh2 gives it, then its bytes.
 */
import { createCipheriv, type Cipher } from 'node:crypto';
import { Fault } from '../base/errors.js';

/** Bytes of a key: AES-128's (RFC 4418 section 3.2.1). */
export const UMAC_KEY_BYTES = 16;
/** The first layer hashes so many bytes to eight (L1KEYLEN, section 5.2). */
const BLOCK_BYTES = 1024;
/** Longer messages would need the second layer's larger prime (section 5.3.1). ssh2 takes 256 kB at most. */
const MESSAGE_LIMIT_BYTES = 1 << 24;

const P36 = 2 ** 36 - 5;
const P64 = 2n ** 64n - 59n;
/** Values of the second layer from here on are hashed as two (section 5.3.2). */
const MAX_WORD = 2n ** 64n - 2n ** 32n;
const OFFSET64 = 59n;

/** One of the hashes whose results stand side by side in the tag, 32 bits each. */
interface Lane {
  /** Where its key for the first layer begins, in words. */
  from: number;
  /** Second layer. */
  k64: bigint;
  /** Third layer: of its eight factors the last four, since the first four have nothing but zeros to work on. */
  factors: number[];
  mask: number;
}

export class Umac {
  readonly #tagBytes: 8 | 16;
  readonly #pad: Cipher;
  readonly #words: Uint32Array;
  readonly #lanes: Lane[];
  readonly #block = Buffer.alloc(BLOCK_BYTES);
  readonly #view = new DataView(this.#block.buffer, this.#block.byteOffset, BLOCK_BYTES);
  /** The first layer's results of this message, by lane. */
  #hashes: bigint[][] = [];
  #filled = 0;
  #length = 0;
  #nonce: Buffer | undefined;

  constructor(key: Buffer, tagBytes: 8 | 16) {
    if (key.length !== UMAC_KEY_BYTES) throw new Fault('INTERNAL', `UMAC's key has 16 bytes, not ${String(key.length)}.`);
    const lanes = tagBytes / 4;
    this.#tagBytes = tagBytes;
    const layer1 = derive(key, 1, BLOCK_BYTES + (lanes - 1) * 16);
    this.#words = Uint32Array.from({ length: layer1.length / 4 }, (_, i) => layer1.readUInt32BE(4 * i));
    const layer2 = derive(key, 2, 24 * lanes);
    const factors = derive(key, 3, 64 * lanes);
    const masks = derive(key, 4, 4 * lanes);
    this.#lanes = Array.from({ length: lanes }, (_, lane) => ({
      from: 4 * lane,
      k64: layer2.readBigUInt64BE(24 * lane) & 0x01ff_ffff_01ff_ffffn,
      factors: [4, 5, 6, 7].map((i) => Number(factors.readBigUInt64BE(64 * lane + 8 * i) % BigInt(P36))),
      mask: masks.readUInt32BE(4 * lane),
    }));
    this.#pad = aes(derive(key, 0, UMAC_KEY_BYTES));
    this.#begin();
  }

  /** First the packet's number (a nonce of 4 or 8 bytes, never twice with one key), then its bytes in any pieces. */
  update(bytes: Uint8Array): this {
    if (this.#nonce === undefined) {
      this.#nonce = Buffer.alloc(8);
      this.#nonce.set(bytes, 8 - bytes.length);
      return this;
    }
    this.#length += bytes.length;
    if (this.#length > MESSAGE_LIMIT_BYTES) throw new Fault('INTERNAL', 'A message is too long for this UMAC.');
    for (let at = 0; at < bytes.length; ) {
      // A full block is hashed when more comes: the last one of a message may be full as well.
      if (this.#filled === BLOCK_BYTES) this.#hashBlock();
      const piece = bytes.subarray(at, at + BLOCK_BYTES - this.#filled);
      this.#block.set(piece, this.#filled);
      this.#filled += piece.length;
      at += piece.length;
    }
    return this;
  }

  /** The tag; afterwards the next message may begin. */
  digest(): Buffer {
    this.#hashBlock();
    const tag = this.#mask();
    this.#lanes.forEach((lane, i) => {
      tag.writeUInt32BE((tag.readUInt32BE(4 * i) ^ this.#hash(lane, this.#hashes[i] as bigint[])) >>> 0, 4 * i);
    });
    this.#begin();
    return tag;
  }

  #begin(): void {
    this.#nonce = undefined;
    this.#length = this.#filled = 0;
    this.#hashes = this.#lanes.map(() => []);
  }

  /** Section 3.3: a block of AES for each nonce, of which short tags take a half each. */
  #mask(): Buffer {
    const nonce = Buffer.alloc(16);
    nonce.set(this.#nonce ?? Buffer.alloc(8));
    if (this.#tagBytes === 16) return this.#pad.update(nonce);
    const half = (nonce[7] as number) & 1;
    nonce[7] = (nonce[7] as number) & ~1;
    return this.#pad.update(nonce).subarray(8 * half, 8 * half + 8);
  }

  /** First layer (section 5.2): the block as it is filled. */
  #hashBlock(): void {
    // Whole groups of 32 bytes, at least one.
    const end = Math.max(32, Math.ceil(this.#filled / 32) * 32);
    this.#block.fill(0, this.#filled, end);
    this.#lanes.forEach((lane, i) => {
      (this.#hashes[i] as bigint[]).push(this.#nh(lane.from, end / 4, 8 * this.#filled));
    });
    this.#filled = 0;
  }

  /**
   * NH (section 5.2.2): products of 32 by 32 bits, summed modulo 2^64. A product goes in as two of 32 by 16
   * bits, which a double holds exactly, as it does the sums of sixteen of them.
   */
  #nh(from: number, words: number, bits: number): bigint {
    const view = this.#view;
    const key = this.#words;
    let low = bits;
    let high = 0;
    for (let at = 0; at < words; at += 8) {
      let upper = 0;
      let lower = 0;
      for (let i = at; i < at + 4; i += 1) {
        const a = (view.getUint32(4 * i, true) + (key[from + i] as number)) >>> 0;
        const b = (view.getUint32(4 * i + 16, true) + (key[from + i + 4] as number)) >>> 0;
        upper += (a >>> 16) * b;
        lower += (a & 0xffff) * b;
      }
      // upper * 2^16 + lower, in two halves of 32 bits.
      const carried = lower + (upper % 0x1_0000) * 0x1_0000 + low;
      low = carried % 0x1_0000_0000;
      high = (high + Math.floor(upper / 0x1_0000) + Math.floor(carried / 0x1_0000_0000)) % 0x1_0000_0000;
    }
    return (BigInt(high) << 32n) | BigInt(low);
  }

  /** Second and third layer (sections 5.3 and 5.4). */
  #hash(lane: Lane, hashes: readonly bigint[]): number {
    const value = hashes.length === 1 ? (hashes[0] as bigint) : polynomial(lane.k64, hashes);
    let sum = 0;
    for (let i = 0; i < 4; i += 1) {
      const word = Number((value >> BigInt(16 * (3 - i))) & 0xffffn);
      sum = (sum + word * (lane.factors[i] as number)) % P36;
    }
    return ((sum % 0x1_0000_0000) ^ lane.mask) >>> 0;
  }
}

/** POLY with the prime of 64 bits (section 5.3.2). */
export function polynomial(k: bigint, words: readonly bigint[]): bigint {
  let y = 1n;
  for (const word of words) {
    if (word >= MAX_WORD) {
      y = (k * y + P64 - 1n) % P64;
      y = (k * y + word - OFFSET64) % P64;
    } else {
      y = (k * y + word) % P64;
    }
  }
  return y;
}

/** KDF (section 3.2.1): so many bytes for the purpose of that number. */
function derive(key: Buffer, purpose: number, bytes: number): Buffer {
  const blocks = Buffer.alloc(Math.ceil(bytes / 16) * 16);
  for (let at = 0; at < blocks.length; at += 16) {
    blocks[at + 7] = purpose;
    blocks[at + 15] = at / 16 + 1;
  }
  return aes(key).update(blocks).subarray(0, bytes);
}

function aes(key: Buffer): Cipher {
  // Single blocks by themselves, as UMAC wants them; nothing that a peer chose is encrypted.
  return createCipheriv('aes-128-ecb', key, null).setAutoPadding(false);
}
