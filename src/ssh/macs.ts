/** The MACs that OpenSSH has and npm ssh2 has not, for the edits in ssh2-core.ts that put them in. */
import { createHmac, type Hmac } from 'node:crypto';
import { UMAC_KEY_BYTES, Umac } from './umac.js';

interface Mac {
  /** Node's name of the hash, or one of UMACS. */
  hash: string;
  keyBytes: number;
  tagBytes: number;
}

const UMACS: ReadonlyMap<string, 8 | 16> = new Map([['umac64', 8], ['umac128', 16]]);

const UMAC_64: Mac = { hash: 'umac64', keyBytes: UMAC_KEY_BYTES, tagBytes: 8 };
const UMAC_128: Mac = { hash: 'umac128', keyBytes: UMAC_KEY_BYTES, tagBytes: 16 };

/** By the name that the key exchange has for them. */
export const FURTHER_MACS: ReadonlyMap<string, Mac> = new Map([
  ['umac-64-etm@openssh.com', UMAC_64],
  ['umac-128-etm@openssh.com', UMAC_128],
  ['umac-64@openssh.com', UMAC_64],
  ['umac-128@openssh.com', UMAC_128],
  ['hmac-sha1-96-etm@openssh.com', { hash: 'sha1', keyBytes: 20, tagBytes: 12 }],
  ['hmac-md5-etm@openssh.com', { hash: 'md5', keyBytes: 16, tagBytes: 16 }],
  ['hmac-md5-96-etm@openssh.com', { hash: 'md5', keyBytes: 16, tagBytes: 12 }],
]);

/** What is derived from a key, for as long as ssh2 has the key. */
const derived = new WeakMap<Buffer, Umac>();

/** In the place of Node's createHmac in ssh2, which asks anew for each packet. */
export function createMac(hash: string, key: Buffer): Hmac | Umac {
  const tagBytes = UMACS.get(hash);
  if (tagBytes === undefined) return createHmac(hash, key);
  let umac = derived.get(key);
  if (umac === undefined) derived.set(key, (umac = new Umac(key, tagBytes)));
  return umac;
}
