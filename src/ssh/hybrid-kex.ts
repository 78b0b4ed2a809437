/**
 * Post-quantum key exchanges: mlkem768x25519-sha256 (draft-ietf-sshm-mlkem-hybrid-kex), the first choice of
 * OpenSSH since 10.0, which warns at each connection without one, and sntrup761x25519-sha512
 * (draft-ietf-sshm-ntruprime-ssh), the first choice of those before. Server side only, as a further class
 * of ssh2's key exchanges: see the edit in ssh2-core.ts that puts it in.
 */
import { createHash, createPublicKey, diffieHellman, generateKeyPairSync } from 'node:crypto';
import { ml_kem768 as mlKem768 } from '@noble/post-quantum/ml-kem.js';
import { encapsulate as encapsulateSntrup, SNTRUP_KEY_BYTES } from './sntrup761.js';

export interface Hybrid {
  hash: 'sha256' | 'sha512';
  /** Bytes of the key that the client sends before its point. */
  kemKeyBytes: number;
  /** Throws when the key is not valid. */
  encapsulate(key: Buffer): { cipherText: Uint8Array; sharedSecret: Uint8Array };
}

const MLKEM: Hybrid = { hash: 'sha256', kemKeyBytes: 1184, encapsulate: (key) => mlKem768.encapsulate(key) };
const SNTRUP: Hybrid = { hash: 'sha512', kemKeyBytes: SNTRUP_KEY_BYTES, encapsulate: (key) => encapsulateSntrup(key) };

/** By name, best first. */
export const HYBRIDS: ReadonlyMap<string, Hybrid> = new Map([
  ['mlkem768x25519-sha256', MLKEM],
  ['sntrup761x25519-sha512', SNTRUP],
  ['sntrup761x25519-sha512@openssh.com', SNTRUP],
]);

/** Bytes of an X25519 public key. */
const X25519_BYTES = 32;

/**
 * Answers a client's C_INIT: S_REPLY and the shared secret K = HASH(K_PQ || K_CL). Throws when the
 * client's keys are not valid (FIPS 203 section 7.2; an all-zero X25519 result).
 */
export function answerHybrid(hybrid: Hybrid, clientInit: Buffer): { reply: Buffer; secret: Buffer } {
  if (clientInit.length !== hybrid.kemKeyBytes + X25519_BYTES) throw new Error('the client\'s key has the wrong length');
  const { cipherText, sharedSecret } = hybrid.encapsulate(clientInit.subarray(0, hybrid.kemKeyBytes));
  const ours = generateKeyPairSync('x25519');
  const theirs = createPublicKey({
    key: { kty: 'OKP', crv: 'X25519', x: clientInit.subarray(hybrid.kemKeyBytes).toString('base64url') },
    format: 'jwk',
  });
  const classic = diffieHellman({ privateKey: ours.privateKey, publicKey: theirs });
  const ourKey = Buffer.from(ours.publicKey.export({ format: 'jwk' }).x ?? '', 'base64url');
  return {
    reply: Buffer.concat([cipherText, ourKey]),
    secret: createHash(hybrid.hash).update(sharedSecret).update(classic).digest(),
  };
}

/** What ssh2's class KeyExchange lets its subclasses decide. */
interface KeyExchange {
  type: string;
  hashName: string;
}
type KeyExchangeClass = new (...args: unknown[]) => KeyExchange;

/** The exchange as a subclass of ssh2's `Base`, whose finish() calls these in the order computeSecret, getPublicKey. */
export function hybridExchangeClass(Base: KeyExchangeClass, hybrid: Hybrid): KeyExchangeClass {
  return class HybridExchange extends Base {
    #reply: Buffer = Buffer.alloc(0);

    constructor(...args: unknown[]) {
      super(...args);
      this.type = 'hybrid';
      this.hashName = hybrid.hash;
    }

    /** The library hashes this as C_INIT: the bytes as they came. */
    convertPublicKey(key: Buffer): Buffer {
      return key;
    }

    /** K is a string here and no mpint; errors are returned, as the library wants. */
    computeSecret(clientInit: Buffer): Buffer | Error {
      try {
        const { reply, secret } = answerHybrid(hybrid, clientInit);
        this.#reply = reply;
        return secret;
      } catch (thrown) {
        return thrown instanceof Error ? thrown : new Error(String(thrown));
      }
    }

    getPublicKey(): Buffer {
      return this.#reply;
    }
  };
}
