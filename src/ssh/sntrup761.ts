/**
 * Streamlined NTRU Prime 761 (NTRU Prime, NIST round 3, section 3.4 and 4): the sender's half of the key
 * encapsulation, which is all that a server needs. OpenSSH's first choice from 9.0 to 9.8.
 *
 * The keys are the client's and good for one exchange; the running time may depend on the secret.
 */
import { createHash, randomBytes } from 'node:crypto';

const P = 761;
const Q = 4591;
const Q_HALF = (Q - 1) / 2;
/** Coefficients of the secret that are not zero. */
const WEIGHT = 286;
const ROUNDED_MODULUS = (Q + 2) / 3;

export const SNTRUP_KEY_BYTES = 1158;
export const SNTRUP_CIPHERTEXT_BYTES = 1039;

/** A ciphertext for the holder of `publicKey`, and the secret of 32 bytes that both then know. */
export function encapsulate(publicKey: Uint8Array, secret: Int8Array = randomShort()): { cipherText: Buffer; sharedSecret: Buffer } {
  if (publicKey.length !== SNTRUP_KEY_BYTES) throw new Error('an sntrup761 key has 1158 bytes');
  const key = decode(publicKey, new Array<number>(P).fill(Q)).map((value) => value - Q_HALF);
  const product = multiply(key, secret);
  // Each coefficient rounded to a multiple of three: what hides the secret.
  const rounded = product.map((value) => (value - centered(value, 3) + Q_HALF) / 3);
  const encoded = smallBytes(secret);
  const inner = encode(rounded, new Array<number>(P).fill(ROUNDED_MODULUS));
  const session = hash(3, encoded);
  const cipherText = Buffer.concat([inner, hash(2, session, hash(4, publicKey))]);
  return { cipherText, sharedSecret: hash(1, session, cipherText) };
}

/** P coefficients from -1, 0, 1, of which WEIGHT are not 0, evenly chosen. */
export function randomShort(): Int8Array {
  const random = new Uint32Array(P);
  const bytes = randomBytes(P * 4);
  for (let at = 0; at < P; at += 1) {
    const word = bytes.readUInt32LE(at * 4);
    // The low two bits are the coefficient plus one, the others its place after sorting.
    random[at] = at < WEIGHT ? word & -2 : (word & -3) | 1;
  }
  random.sort();
  return Int8Array.from(random, (word) => (word & 3) - 1);
}

/** Product in the ring of polynomials modulo x^761 - x - 1 and 4591. */
function multiply(a: readonly number[], b: Int8Array): number[] {
  const product = new Float64Array(2 * P - 1);
  for (let i = 0; i < P; i += 1) {
    const sign = b[i] ?? 0;
    if (sign === 0) continue;
    for (let j = 0; j < P; j += 1) product[i + j] = (product[i + j] ?? 0) + sign * (a[j] ?? 0);
  }
  for (let i = 2 * P - 2; i >= P; i -= 1) {
    const high = product[i] ?? 0;
    product[i - P] = (product[i - P] ?? 0) + high;
    product[i - P + 1] = (product[i - P + 1] ?? 0) + high;
  }
  return Array.from(product.subarray(0, P), (value) => centered(value, Q));
}

/** The representative of `value` modulo an odd `modulus` that is nearest to 0. */
function centered(value: number, modulus: number): number {
  const half = (modulus - 1) / 2;
  const rest = (value + half) % modulus;
  return (rest < 0 ? rest + modulus : rest) - half;
}

/** Four coefficients in a byte. */
function smallBytes(secret: Int8Array): Buffer {
  const bytes = Buffer.alloc(Math.ceil(P / 4));
  for (let at = 0; at < P; at += 1) bytes[at >> 2] = (bytes[at >> 2] ?? 0) | (((secret[at] ?? 0) + 1) << (2 * (at & 3)));
  return bytes;
}

/** Numbers below their moduli as bytes, pairs first (section 4.5). */
function encode(values: readonly number[], moduli: readonly number[]): Buffer {
  const out: number[] = [];
  let level = { values: [...values], moduli: [...moduli] };
  while (level.values.length > 1) {
    const next: typeof level = { values: [], moduli: [] };
    for (let at = 0; at + 1 < level.values.length; at += 2) {
      const base = level.moduli[at] ?? 1;
      let value = (level.values[at] ?? 0) + (level.values[at + 1] ?? 0) * base;
      let modulus = (level.moduli[at + 1] ?? 1) * base;
      for (; modulus >= 16_384; modulus = Math.ceil(modulus / 256)) {
        out.push(value % 256);
        value = Math.floor(value / 256);
      }
      next.values.push(value);
      next.moduli.push(modulus);
    }
    if (level.values.length % 2 === 1) {
      next.values.push(level.values.at(-1) ?? 0);
      next.moduli.push(level.moduli.at(-1) ?? 1);
    }
    level = next;
  }
  let value = level.values[0] ?? 0;
  for (let modulus = level.moduli[0] ?? 1; modulus > 1; modulus = Math.ceil(modulus / 256)) {
    out.push(value % 256);
    value = Math.floor(value / 256);
  }
  return Buffer.from(out);
}

/** The reverse; whatever the bytes are, each result is below its modulus. */
function decode(bytes: Uint8Array, moduli: readonly number[]): number[] {
  if (moduli.length === 1) {
    const [modulus = 1] = moduli;
    const value = modulus === 1 ? 0 : modulus <= 256 ? bytes[0] ?? 0 : (bytes[0] ?? 0) + 256 * (bytes[1] ?? 0);
    return [value % modulus];
  }
  const bottoms: { value: number; scale: number }[] = [];
  const upper: number[] = [];
  let read = 0;
  for (let at = 0; at + 1 < moduli.length; at += 2) {
    let modulus = (moduli[at] ?? 1) * (moduli[at + 1] ?? 1);
    const bottom = { value: 0, scale: 1 };
    for (; modulus >= 16_384; modulus = Math.ceil(modulus / 256)) {
      bottom.value += (bytes[read] ?? 0) * bottom.scale;
      bottom.scale *= 256;
      read += 1;
    }
    bottoms.push(bottom);
    upper.push(modulus);
  }
  if (moduli.length % 2 === 1) upper.push(moduli.at(-1) ?? 1);
  const tops = decode(bytes.subarray(read), upper);
  const values = bottoms.flatMap(({ value, scale }, pair) => {
    const all = value + scale * (tops[pair] ?? 0);
    const [low = 1, high = 1] = moduli.slice(2 * pair, 2 * pair + 2);
    return [all % low, Math.floor(all / low) % high];
  });
  if (moduli.length % 2 === 1) values.push(tops.at(-1) ?? 0);
  return values;
}

function hash(domain: number, ...parts: readonly Uint8Array[]): Buffer {
  const state = createHash('sha512').update(Uint8Array.of(domain));
  for (const part of parts) state.update(part);
  return state.digest().subarray(0, 32);
}
