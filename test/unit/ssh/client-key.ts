import ssh2 from 'ssh2';
import { makePrivateKey } from '../../../src/ssh/host-key.js';

export interface ClientKey {
  /** In OpenSSH's format. */
  private: string;
  /** A line of authorized_keys, without comment. */
  public: string;
  /** Wire form of the public key, in base64. */
  blob: string;
}

/** A key pair for a client. Not straight from ssh2, whose ed25519 keys are malformed once in 256 times. */
export function makeClientKey(type: 'ed25519' | 'ecdsa' | 'rsa' = 'ed25519'): ClientKey {
  const made = type === 'rsa' ? ssh2.utils.generateKeyPairSync('rsa', { bits: 2048 }).private : makePrivateKey(type);
  const parsed = ssh2.utils.parseKey(made);
  if (parsed instanceof Error) throw parsed;
  const [key] = Array.isArray(parsed) ? parsed : [parsed];
  if (key === undefined) throw new Error('ssh2 made no key');
  const blob = key.getPublicSSH().toString('base64');
  return { private: made, public: `${key.type} ${blob}`, blob };
}
