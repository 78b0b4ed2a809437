import { createHash, createPublicKey, diffieHellman, generateKeyPairSync } from 'node:crypto';
import { ml_kem768 as mlKem768 } from '@noble/post-quantum/ml-kem.js';
import { describe, expect, it } from 'vitest';
import { answerHybrid as answer, hybridExchangeClass, HYBRIDS, type Hybrid } from '../../../src/ssh/hybrid-kex.js';

const MLKEM = HYBRIDS.get('mlkem768x25519-sha256') as Hybrid;
const answerHybrid = (init: Buffer) => answer(MLKEM, init);

function client() {
  const kem = mlKem768.keygen();
  const classic = generateKeyPairSync('x25519');
  const point = Buffer.from(classic.publicKey.export({ format: 'jwk' }).x ?? '', 'base64url');
  return { kem, classic, init: Buffer.concat([kem.publicKey, point]) };
}

describe('the post-quantum key exchange', () => {
  it('gives both sides the same secret from ciphertext and point', () => {
    const { kem, classic, init } = client();
    const { reply, secret } = answerHybrid(init);
    expect(reply).toHaveLength(1088 + 32);
    const theirs = createPublicKey({ key: { kty: 'OKP', crv: 'X25519', x: reply.subarray(1088).toString('base64url') }, format: 'jwk' });
    const expected = createHash('sha256')
      .update(mlKem768.decapsulate(reply.subarray(0, 1088), kem.secretKey))
      .update(diffieHellman({ privateKey: classic.privateKey, publicKey: theirs }))
      .digest();
    expect(secret).toEqual(expected);
  });

  it('uses new keys each time', () => {
    const { init } = client();
    expect(answerHybrid(init).secret).not.toEqual(answerHybrid(init).secret);
  });

  it.each([
    ['too short', (init: Buffer) => init.subarray(1)],
    ['too long', (init: Buffer) => Buffer.concat([init, Buffer.of(0)])],
    ['coefficients beyond the modulus', (init: Buffer) => Buffer.concat([Buffer.alloc(1152, 0xff), init.subarray(1152)])],
    ['a point of order one', (init: Buffer) => Buffer.concat([init.subarray(0, 1184), Buffer.alloc(32)])],
  ])('refuses a client key with %s', (_what, spoil) => {
    const bad = spoil(client().init);
    expect(() => answerHybrid(bad)).toThrow();
    class Base { type = ''; hashName = ''; }
    const exchange = new (hybridExchangeClass(Base, MLKEM))() as unknown as { computeSecret(init: Buffer): unknown };
    expect(exchange.computeSecret(bad)).toBeInstanceOf(Error);
  });
});
