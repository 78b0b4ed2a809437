/**
 * Public keys in SSH's wire form and their signatures, verified with node:crypto alone. ssh2 does not
 * know the security keys (sk-), so none of its key code is used for authentication.
 */
import { createHash, createPublicKey, verify, type JsonWebKey, type KeyObject } from 'node:crypto';
import { Fault } from '../base/errors.js';
import { DEFAULT_ALGORITHMS, SIGNATURE_ALGORITHMS, WEAK } from './algorithms.js';
import { WireReader } from './wire.js';

const CURVES: Readonly<Record<string, { jwk: string; bytes: number; hash: string }>> = {
  nistp256: { jwk: 'P-256', bytes: 32, hash: 'sha256' },
  nistp384: { jwk: 'P-384', bytes: 48, hash: 'sha384' },
  nistp521: { jwk: 'P-521', bytes: 66, hash: 'sha512' },
};

/** Hashes of the signatures of RSA keys (RFC 8332; the last is RFC 4253's). */
export const RSA_HASHES: Readonly<Record<string, string>> = { 'rsa-sha2-256': 'sha256', 'rsa-sha2-512': 'sha512', 'ssh-rsa': 'sha1' };

/** Stricter than sshd's RequiredRSASize (1024), and the largest that sshd takes, in bits. */
const MIN_RSA_BITS = 2048;
const MAX_RSA_BITS = 16384;
/** FIDO, flags of the signature: the user touched the authenticator; and showed it a PIN or a finger. */
const USER_PRESENT = 0x01;
const USER_VERIFIED = 0x04;

const THE_KEY = 'The public key';

interface ParsedKey {
  type: string;
  key: KeyObject;
  curve: string | undefined;
  /** FIDO application string of a security key, e.g. "ssh:". */
  application: Buffer | undefined;
}

/** SHA256:… as ssh-keygen -l prints it. */
export function fingerprint(blob: Buffer): string {
  return `SHA256:${createHash('sha256').update(blob).digest('base64').replace(/=+$/, '')}`;
}

/** The key type named in a wire form blob. Throws a Fault when it is no public key at all. */
export function keyType(blob: Buffer): string {
  return new WireReader(blob, 0, THE_KEY).latin1('key type');
}

/** The type of the keys that sign by an algorithm, a weak one included; undefined when it is not known. */
export function signatureKeyType(algorithm: string): string | undefined {
  return SIGNATURE_ALGORITHMS.get(algorithm) ?? WEAK.publicKeys.find((name) => name === algorithm);
}

/** Throws a Fault when the blob is not a usable key of a type we accept. */
export function checkPublicKey(blob: Buffer): void {
  parseKey(blob);
}

/**
 * Whether `signature` (SSH wire form) by `blob`'s key under `algorithm` covers `data`, and the algorithm is
 * one of the accepted. Never throws: what cannot be read is not a signature.
 */
export function verifySignature(
  algorithm: string, blob: Buffer, signature: Buffer, data: Buffer, accepted: readonly string[] = DEFAULT_ALGORITHMS.publicKeys,
): boolean {
  try {
    if (!accepted.includes(algorithm)) return false;
    const parsed = parseKey(blob);
    if (signatureKeyType(algorithm) !== parsed.type) return false;
    const reader = new WireReader(signature);
    if (reader.latin1('signature algorithm') !== algorithm) return false;
    const body = reader.bytes('signature');
    if (parsed.application === undefined) return reader.left === 0 && verifyBody(algorithm, parsed, body, data);
    // PROTOCOL.u2f: flags and counter follow; what is signed is built from hashes.
    const flags = reader.byte('flags');
    const tail = Buffer.alloc(5);
    tail.writeUInt8(flags, 0);
    tail.writeUInt32BE(reader.uint32('counter'), 1);
    if (reader.left !== 0 || (flags & USER_PRESENT) === 0) return false;
    return verifyBody(algorithm, parsed, body, Buffer.concat([sha256(parsed.application), tail, sha256(data)]));
  } catch {
    return false;
  }
}

/** Whether a signature that was verified says that the key's user was as well; only security keys can deny it. */
export function attestsUser(algorithm: string, signature: Buffer): boolean {
  if (!algorithm.startsWith('sk-')) return true;
  const reader = new WireReader(signature);
  reader.bytes('signature algorithm');
  reader.bytes('signature');
  return (reader.byte('flags') & USER_VERIFIED) !== 0;
}

function verifyBody(algorithm: string, parsed: ParsedKey, body: Buffer, data: Buffer): boolean {
  const rsaHash = RSA_HASHES[algorithm];
  if (rsaHash !== undefined) return verify(rsaHash, data, parsed.key, body);
  if (parsed.curve === undefined) return verify(null, data, parsed.key, body);
  const curve = CURVES[parsed.curve];
  if (curve === undefined) return false;
  const reader = new WireReader(body);
  const r = fixedLength(reader.bytes('r'), curve.bytes);
  const s = fixedLength(reader.bytes('s'), curve.bytes);
  return verify(curve.hash, data, { key: parsed.key, dsaEncoding: 'ieee-p1363' }, Buffer.concat([r, s]));
}

function parseKey(blob: Buffer): ParsedKey {
  const reader = new WireReader(blob, 0, THE_KEY);
  const type = reader.latin1('key type');
  const parsed = readKey(type, reader);
  if (reader.left !== 0) throw new Fault('PROTOCOL', `A public key of type ${type} has bytes after its end.`);
  return parsed;
}

function readKey(type: string, reader: WireReader): ParsedKey {
  const isSecurityKey = type.startsWith('sk-');
  switch (type) {
    case 'ssh-ed25519':
    case 'sk-ssh-ed25519@openssh.com': {
      const point = reader.bytes('point');
      if (point.length !== 32) throw new Fault('PROTOCOL', 'An ed25519 public key must have 32 bytes.');
      const key = fromJwk({ kty: 'OKP', crv: 'Ed25519', x: point.toString('base64url') }, type);
      return { type, key, curve: undefined, application: isSecurityKey ? reader.bytes('application') : undefined };
    }
    case 'ecdsa-sha2-nistp256':
    case 'ecdsa-sha2-nistp384':
    case 'ecdsa-sha2-nistp521':
    case 'sk-ecdsa-sha2-nistp256@openssh.com': {
      const name = reader.latin1('curve');
      const curve = CURVES[name];
      const point = reader.bytes('point');
      if (curve === undefined || !type.includes(name) || point.length !== 1 + 2 * curve.bytes || point[0] !== 4) {
        throw new Fault('PROTOCOL', `A public key of type ${type} has a point that is not on its curve.`);
      }
      const x = point.subarray(1, 1 + curve.bytes).toString('base64url');
      const y = point.subarray(1 + curve.bytes).toString('base64url');
      const key = fromJwk({ kty: 'EC', crv: curve.jwk, x, y }, type);
      return { type, key, curve: name, application: isSecurityKey ? reader.bytes('application') : undefined };
    }
    case 'ssh-rsa': {
      const e = unsigned(reader.bytes('exponent'));
      const n = unsigned(reader.bytes('modulus'));
      const bits = n.length * 8;
      if (bits < MIN_RSA_BITS || bits > MAX_RSA_BITS) {
        throw new Fault('PROTOCOL', `An RSA key must have ${MIN_RSA_BITS} to ${MAX_RSA_BITS} bits, this one has ${bits}.`);
      }
      const key = fromJwk({ kty: 'RSA', e: e.toString('base64url'), n: n.toString('base64url') }, type);
      return { type, key, curve: undefined, application: undefined };
    }
    default:
      throw new Fault('PROTOCOL', `Public keys of type ${JSON.stringify(type.slice(0, 60))} are not supported.`);
  }
}

function fromJwk(jwk: JsonWebKey, type: string): KeyObject {
  try {
    return createPublicKey({ key: jwk, format: 'jwk' });
  } catch (cause) {
    throw new Fault('PROTOCOL', `A public key of type ${type} is not valid.`, { cause });
  }
}

/** An mpint without its leading zeros. */
function unsigned(mpint: Buffer): Buffer {
  let start = 0;
  while (start < mpint.length && mpint[start] === 0) start += 1;
  return mpint.subarray(start);
}

function fixedLength(mpint: Buffer, length: number): Buffer {
  const value = unsigned(mpint);
  if (value.length > length) throw new Fault('PROTOCOL', 'A signature is longer than its curve allows.');
  return Buffer.concat([Buffer.alloc(length - value.length), value]);
}

function sha256(data: Buffer): Buffer {
  return createHash('sha256').update(data).digest();
}
