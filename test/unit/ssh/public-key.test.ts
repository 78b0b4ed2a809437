import { generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import ssh2 from 'ssh2';
import { describe, expect, it } from 'vitest';
import { attestsUser, fingerprint, verifySignature } from '../../../src/ssh/public-key.js';
import { pack } from '../../../src/ssh/wire.js';
import { coveredBy, flagsAndCounter, makeSecurityKey } from './security-key.js';

const DATA = Buffer.from('what the client signs');

interface Signed { algorithm: string; blob: Buffer; signature: Buffer }

function ecPoint(key: KeyObject): Buffer {
  const { x = '', y = '' } = key.export({ format: 'jwk' });
  return Buffer.concat([Buffer.of(4), Buffer.from(x, 'base64url'), Buffer.from(y, 'base64url')]);
}

function mpint(bytes: Buffer): Buffer {
  let start = 0;
  while (start < bytes.length - 1 && bytes[start] === 0) start += 1;
  const value = bytes.subarray(start);
  return ((value[0] ?? 0) & 0x80) === 0 ? value : Buffer.concat([Buffer.of(0), value]);
}

function ecSignature(algorithm: string, raw: Buffer, ...tail: Buffer[]): Buffer {
  const half = raw.length / 2;
  const body = pack({ string: mpint(raw.subarray(0, half)) }, { string: mpint(raw.subarray(half)) });
  return pack({ string: algorithm }, { string: body }, ...tail.map((bytes) => ({ raw: bytes })));
}

function makeEd25519(): Signed {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const x = publicKey.export({ format: 'jwk' }).x ?? '';
  return {
    algorithm: 'ssh-ed25519',
    blob: pack({ string: 'ssh-ed25519' }, { string: Buffer.from(x, 'base64url') }),
    signature: pack({ string: 'ssh-ed25519' }, { string: sign(null, DATA, privateKey) }),
  };
}

const RSA_PAIRS = [0, 1].map(() => generateKeyPairSync('rsa', { modulusLength: 2048 }));
let rsaTurn = 0;

/** Two keys in turn: making one takes long. */
function makeRsa(algorithm: 'rsa-sha2-256' | 'rsa-sha2-512' | 'ssh-rsa'): Signed {
  const { publicKey, privateKey } = RSA_PAIRS[rsaTurn++ % 2] ?? generateKeyPairSync('rsa', { modulusLength: 2048 });
  const { e = '', n = '' } = publicKey.export({ format: 'jwk' });
  const hash = { 'rsa-sha2-256': 'sha256', 'rsa-sha2-512': 'sha512', 'ssh-rsa': 'sha1' }[algorithm];
  return {
    algorithm,
    blob: pack({ string: 'ssh-rsa' }, { string: mpint(Buffer.from(e, 'base64url')) }, { string: mpint(Buffer.from(n, 'base64url')) }),
    signature: pack({ string: algorithm }, { string: sign(hash, DATA, privateKey) }),
  };
}

function makeEcdsa(bits: 256 | 384 | 521): Signed {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: `P-${bits}` });
  const algorithm = `ecdsa-sha2-nistp${bits}`;
  const raw = sign({ 256: 'sha256', 384: 'sha384', 521: 'sha512' }[bits], DATA, { key: privateKey, dsaEncoding: 'ieee-p1363' });
  return {
    algorithm,
    blob: pack({ string: algorithm }, { string: `nistp${bits}` }, { string: ecPoint(publicKey) }),
    signature: ecSignature(algorithm, raw),
  };
}

function bySecurityKey(flags: number): Signed {
  const { algorithm, blob, sign: signBy } = makeSecurityKey();
  return { algorithm, blob, signature: signBy(DATA, flags) };
}

function byEcdsaSecurityKey(flags: number): Signed {
  const tail = flagsAndCounter(flags);
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const algorithm = 'sk-ecdsa-sha2-nistp256@openssh.com';
  return {
    algorithm,
    blob: pack({ string: algorithm }, { string: 'nistp256' }, { string: ecPoint(publicKey) }, { string: 'ssh:' }),
    signature: ecSignature(algorithm, sign('sha256', coveredBy(tail, DATA), { key: privateKey, dsaEncoding: 'ieee-p1363' }), tail),
  };
}

const GOOD: readonly (readonly [string, () => Signed])[] = [
  ['ed25519', makeEd25519],
  ['rsa-sha2-256', () => makeRsa('rsa-sha2-256')],
  ['rsa-sha2-512', () => makeRsa('rsa-sha2-512')],
  ['ecdsa P-256', () => makeEcdsa(256)],
  ['ecdsa P-384', () => makeEcdsa(384)],
  ['ecdsa P-521', () => makeEcdsa(521)],
  ['sk-ed25519', () => bySecurityKey(1)],
  ['sk-ecdsa', () => byEcdsaSecurityKey(5)],
];

describe('signatures of public keys', () => {
  it.each(GOOD)('by %s are verified', (_name, make) => {
    const { algorithm, blob, signature } = make();
    expect(verifySignature(algorithm, blob, signature, DATA)).toBe(true);
  });

  it.each(GOOD)('by %s fail when any part is changed or cut', (_name, make) => {
    const { algorithm, blob, signature } = make();
    expect(verifySignature(algorithm, blob, signature, Buffer.from('something else'))).toBe(false);
    expect(verifySignature(algorithm, make().blob, signature, DATA)).toBe(false);
    expect(verifySignature(algorithm, blob, Buffer.concat([signature, Buffer.of(0)]), DATA)).toBe(false);
    for (let length = 0; length < signature.length; length += 7) {
      expect(verifySignature(algorithm, blob, signature.subarray(0, length), DATA)).toBe(false);
    }
    for (let length = 0; length < blob.length; length += 7) {
      expect(verifySignature(algorithm, blob.subarray(0, length), signature, DATA)).toBe(false);
    }
  });

  it('by a security key nobody touched are refused', () => {
    const { algorithm, blob, signature } = bySecurityKey(0);
    expect(verifySignature(algorithm, blob, signature, DATA)).toBe(false);
  });

  it('by a security key tell whether it verified its user; other keys cannot deny it', () => {
    const attested = [bySecurityKey(1), bySecurityKey(5), byEcdsaSecurityKey(1), byEcdsaSecurityKey(5), makeEd25519()];
    expect(attested.map(({ algorithm, signature }) => attestsUser(algorithm, signature))).toEqual([false, true, false, true, true]);
  });

  it('with SHA-1 are refused', () => {
    const { algorithm, blob, signature } = makeRsa('ssh-rsa');
    expect(verifySignature(algorithm, blob, signature, DATA)).toBe(false);
  });

  it('are bound to the algorithm that was asked for', () => {
    const { blob, signature } = makeRsa('rsa-sha2-256');
    expect(verifySignature('rsa-sha2-512', blob, signature, DATA)).toBe(false);
  });
});

it('a fingerprint is the one that ssh-keygen prints', () => {
  const blob = Buffer.from('AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl', 'base64');
  expect(fingerprint(blob)).toBe('SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU');
  expect(ssh2.utils.parseKey(`ssh-ed25519 ${blob.toString('base64')}`)).not.toBeInstanceOf(Error);
});
