/**
 * OpenSSH's UpdateHostKeys (its PROTOCOL file, section 2.5): after the login a client is told all host
 * keys and may have the server prove that it holds them. So a client that knows one of them learns the
 * others, and a key can be replaced without an alarm.
 */
import { MSG } from './messages.js';
import { RSA_HASHES } from './public-key.js';
import type { HostKey } from './ssh2-core.js';
import { pack, type WireReader } from './wire.js';

const ANNOUNCEMENT = 'hostkeys-00@openssh.com';
export const PROOF_REQUEST = 'hostkeys-prove-00@openssh.com';

/** The global request that names all keys; it asks for no answer. */
export function announceHostKeys(keys: readonly HostKey[]): Buffer {
  const blobs = keys.map((key) => ({ string: key.getPublicSSH() }));
  return pack({ byte: MSG.GLOBAL_REQUEST }, { string: ANNOUNCEMENT }, { bool: false }, ...blobs);
}

export interface ProofContext {
  keys: readonly HostKey[];
  sessionId: Buffer;
  /** The signature algorithm of the key exchange: an RSA key has several, and clients expect that one. */
  negotiated: string;
  /** A signature in SSH's form. */
  sign(key: HostKey, data: Buffer, hash: string | undefined): Buffer | undefined;
}

/** Signatures for the keys in the request, in its order; undefined when one of them is not ours. */
export function proveHostKeys(body: WireReader, context: ProofContext): Buffer | undefined {
  const proofs: { string: Buffer }[] = [];
  while (body.left > 0) {
    const blob = body.bytes('host key');
    const key = context.keys.find((each) => each.getPublicSSH().equals(blob));
    // No more than once each: a signature is work.
    if (key === undefined || proofs.length >= context.keys.length) return undefined;
    const algorithm = key.type !== 'ssh-rsa' ? key.type : context.negotiated in RSA_HASHES ? context.negotiated : 'rsa-sha2-512';
    const hash = key.type !== 'ssh-rsa' ? undefined : RSA_HASHES[algorithm];
    const data = pack({ string: PROOF_REQUEST }, { string: context.sessionId }, { string: blob });
    const signature = context.sign(key, data, hash);
    if (signature === undefined) return undefined;
    proofs.push({ string: pack({ string: algorithm }, { string: signature }) });
  }
  return proofs.length === 0 ? undefined : pack(...proofs);
}
