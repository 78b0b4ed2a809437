import { createHash, generateKeyPairSync, sign } from 'node:crypto';
import { pack } from '../../../src/ssh/wire.js';

export interface SecurityKey {
  algorithm: string;
  /** Public key in SSH's wire form. */
  blob: Buffer;
  /** Signature in SSH's wire form, with the flags that the authenticator would give. */
  sign(data: Buffer, flags: number): Buffer;
}

/** What a FIDO authenticator with an ed25519 key does (OpenSSH PROTOCOL.u2f). */
export function makeSecurityKey(): SecurityKey {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const algorithm = 'sk-ssh-ed25519@openssh.com';
  const point = Buffer.from(publicKey.export({ format: 'jwk' }).x ?? '', 'base64url');
  return {
    algorithm,
    blob: pack({ string: algorithm }, { string: point }, { string: 'ssh:' }),
    sign: (data, flags) => {
      const tail = flagsAndCounter(flags);
      return pack({ string: algorithm }, { string: sign(null, coveredBy(tail, data), privateKey) }, { raw: tail });
    },
  };
}

export function flagsAndCounter(flags: number): Buffer {
  return Buffer.of(flags, 0, 0, 1, 2);
}

export function coveredBy(tail: Buffer, data: Buffer): Buffer {
  const sha256 = (bytes: Buffer): Buffer => createHash('sha256').update(bytes).digest();
  return Buffer.concat([sha256(Buffer.from('ssh:')), tail, sha256(data)]);
}
