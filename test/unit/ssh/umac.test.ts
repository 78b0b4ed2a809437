import { createCipheriv, randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Umac, polynomial } from '../../../src/ssh/umac.js';

const KEY = Buffer.from('abcdefghijklmnop');
const NONCE = Buffer.from('bcdefghi');
const P64 = 2n ** 64n - 59n;

function tag(bytes: 8 | 16, message: Uint8Array, key = KEY, nonce = NONCE): string {
  return new Umac(key, bytes).update(nonce).update(message).digest().toString('hex');
}

describe('UMAC', () => {
  // RFC 4418, appendix: tags of 64 and of 96 bits. The latter are how those of 128 begin.
  it.each([
    ['', 1, '6e155fad26900be1', '32fedb100c79ad58f07ff764'],
    ['a', 3, '44b5cb542f220104', '185e4fe905cba7bd85e4c2dc'],
    ['a', 2 ** 10, '26bf2f5d60118bd9', '7a54abe04af82d60fb298c3c'],
    ['a', 2 ** 15, '27f8ef643b0d118d', '7b136bd911e4b734286ef2be'],
    ['a', 2 ** 20, 'a4477e87e9f55853', 'f8acfa3ac31cfeea047f7b11'],
    ['abc', 1, 'd4d7b9f6bd4fbfcf', '883c3d4b97a61976ffcf2323'],
    ['abc', 500, 'd4cf26ddefd5c01a', '8824a260c53c66a36c9260a6'],
  ])('makes the tags of RFC 4418: %j, %i times', (text, times, short, long) => {
    const message = Buffer.from(text.repeat(times));
    expect(tag(8, message)).toBe(short);
    expect(tag(16, message).slice(0, 24)).toBe(long);
  });

  it('makes the tags of a plain transcription of the RFC, at all lengths around its groups and blocks', () => {
    const lengths = [0, 1, 31, 32, 33, 63, 64, 1023, 1024, 1025, 1056, 2047, 2048, 2049, 3071, 5000];
    for (const length of lengths) {
      const key = randomBytes(16);
      const nonce = randomBytes(8);
      const message = randomBytes(length);
      for (const bytes of [8, 16] as const) expect(tag(bytes, message, key, nonce), `${length} bytes`).toBe(transcription(key, message, nonce, bytes));
      // The largest words there are: sums overflow here if they ever do.
      message.fill(0xff);
      for (const bytes of [8, 16] as const) expect(tag(bytes, message, key, nonce), `${length} bytes`).toBe(transcription(key, message, nonce, bytes));
    }
  });

  it('does not care in which pieces a message comes, nor what it did before', () => {
    const umac = new Umac(KEY, 8);
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 1500 }), { maxLength: 6 }), (pieces) => {
        umac.update(NONCE);
        for (const piece of pieces) umac.update(piece);
        expect(umac.digest().toString('hex')).toBe(tag(8, Buffer.concat(pieces)));
      }),
      { numRuns: 200 },
    );
    const message = randomBytes(2100);
    for (let cut = 0; cut <= message.length; cut += 1) {
      umac.update(NONCE).update(message.subarray(0, cut)).update(message.subarray(cut));
      expect(umac.digest().equals(new Umac(KEY, 8).update(NONCE).update(message).digest())).toBe(true);
    }
  });

  it('makes another tag for another bit of message, number or key', () => {
    const message = randomBytes(1500);
    const seen = new Set([tag(8, message)]);
    for (let bit = 0; bit < message.length * 8; bit += 37) {
      const changed = Buffer.from(message);
      changed[bit >> 3]! ^= 1 << (bit & 7);
      seen.add(tag(8, changed));
    }
    expect(seen.size).toBe(1 + Math.ceil((message.length * 8) / 37));
    for (let number = 0; number < 100; number += 1) {
      const nonce = Buffer.alloc(4);
      nonce.writeUInt32BE(number);
      seen.add(tag(8, message, KEY, nonce));
    }
    expect(seen.size).toBe(101 + Math.ceil((message.length * 8) / 37));
  });

  it('takes a number of four bytes as the low half of one of eight', () => {
    const message = randomBytes(100);
    expect(tag(8, message, KEY, Buffer.from('01020304', 'hex'))).toBe(tag(8, message, KEY, Buffer.from('0000000001020304', 'hex')));
  });

  it('hashes the words that the prime does not reach as two', () => {
    const word = fc.bigInt({ min: 2n ** 64n - 2n ** 33n, max: 2n ** 64n - 1n });
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 2n ** 57n }), fc.array(word, { minLength: 2, maxLength: 5 }), (k, words) => {
        expect(polynomial(k, words)).toBe(poly(k, words));
      }),
    );
  });

  it('refuses a key of another length', () => {
    expect(() => new Umac(Buffer.alloc(32), 8)).toThrow(/16 bytes, not 32/);
  });
});

// --- RFC 4418, word for word, with whole numbers of any size.

function transcription(key: Buffer, message: Buffer, nonce: Buffer, tagBytes: 8 | 16): string {
  const lanes = tagBytes / 4;
  const blocks: Buffer[] = [];
  for (let at = 0; at === 0 || at < message.length; at += 1024) blocks.push(message.subarray(at, at + 1024));
  const [k1, k2, k3, k4] = [kdf(key, 1, 1024 + 16 * (lanes - 1)), kdf(key, 2, 24 * lanes), kdf(key, 3, 64 * lanes), kdf(key, 4, 4 * lanes)];
  const hash = Array.from({ length: lanes }, (_, lane) => {
    const hashed = blocks.map((block) => nh(k1.subarray(16 * lane), block));
    const k64 = BigInt(`0x${k2.subarray(24 * lane, 24 * lane + 8).toString('hex')}`) & 0x01ffffff01ffffffn;
    const second = hashed.length === 1 ? hashed[0]! : poly(k64, hashed);
    const m = Buffer.from(second.toString(16).padStart(32, '0'), 'hex');
    let y = 0n;
    for (let i = 0; i < 8; i += 1) y += BigInt(m.readUInt16BE(2 * i)) * (k3.readBigUInt64BE(64 * lane + 8 * i) % (2n ** 36n - 5n));
    return Number((y % (2n ** 36n - 5n)) & 0xffffffffn) ^ k4.readInt32BE(4 * lane);
  });
  const out = Buffer.alloc(tagBytes);
  hash.forEach((value, i) => out.writeInt32BE(value, 4 * i));
  const index = tagBytes === 8 ? nonce[7]! & 1 : 0;
  const block = Buffer.concat([nonce, Buffer.alloc(8)]);
  if (tagBytes === 8) block[7]! &= 0xfe;
  const pad = encrypt(kdf(key, 0, 16), block).subarray(index * tagBytes);
  return Buffer.from(out.map((byte, i) => byte ^ pad[i]!)).toString('hex');
}

function kdf(key: Buffer, index: number, bytes: number): Buffer {
  const parts: Buffer[] = [];
  for (let i = 1; parts.length * 16 < bytes; i += 1) {
    parts.push(encrypt(key, Buffer.from(index.toString(16).padStart(16, '0') + i.toString(16).padStart(16, '0'), 'hex')));
  }
  return Buffer.concat(parts).subarray(0, bytes);
}

function encrypt(key: Buffer, block: Buffer): Buffer {
  const cipher = createCipheriv('aes-128-ecb', key, null).setAutoPadding(false);
  return Buffer.concat([cipher.update(block), cipher.final()]);
}

function nh(key: Buffer, block: Buffer): bigint {
  const padded = Buffer.concat([block, Buffer.alloc(Math.max(32, Math.ceil(block.length / 32) * 32) - block.length)]);
  const sum = (at: number): bigint => BigInt((padded.readUInt32LE(at) + key.readUInt32BE(at)) % 2 ** 32);
  let y = 0n;
  for (let at = 0; at < padded.length; at += 32) for (let i = at; i < at + 16; i += 4) y += sum(i) * sum(i + 16);
  return (y + BigInt(block.length * 8)) % 2n ** 64n;
}

function poly(k: bigint, words: readonly bigint[]): bigint {
  let y = 1n;
  for (const word of words) {
    if (word >= 2n ** 64n - 2n ** 32n) {
      y = (k * y + (P64 - 1n)) % P64;
      y = (k * y + (word - 59n)) % P64;
    } else {
      y = (k * y + word) % P64;
    }
  }
  return y;
}
