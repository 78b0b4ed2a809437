/**
 * User certificates (OpenSSH's PROTOCOL.certkeys): a key that an authority vouches for, with its name,
 * its time and what it may be used for, signed by the authority's key.
 */
import { Fault } from '../base/errors.js';
import { SIGNATURE_ALGORITHMS } from './algorithms.js';
import { NO_LIMITS, type KeyLimits } from './key-options.js';
import { isSftpCommand } from './policy.js';
import { checkPublicKey, keyType, signatureKeyType, verifySignature } from './public-key.js';
import { pack, WireReader } from './wire.js';

export interface Certificate {
  /** The certified key in its wire form without certificate. */
  key: Buffer;
  /** The authority's key in its wire form. */
  authority: Buffer;
  /** For logs: what the authority calls it. */
  id: string;
  serial: bigint;
  /** User names that it is good for; none is for nobody. */
  principals: readonly string[];
  /** Seconds since 1970: from, and until before. */
  validAfter: bigint;
  validBefore: bigint;
  /** What it may be used for; `from` holds its addresses. */
  limits: KeyLimits;
}

const SUFFIX = '-cert-v01@openssh.com';
const THE_CERTIFICATE = 'The certificate';

/** Key type to the number of fields that make its key. */
const KEY_FIELDS: ReadonlyMap<string, number> = new Map([
  ['ssh-ed25519', 1],
  ['sk-ssh-ed25519@openssh.com', 2],
  ['ecdsa-sha2-nistp256', 2],
  ['ecdsa-sha2-nistp384', 2],
  ['ecdsa-sha2-nistp521', 2],
  ['sk-ecdsa-sha2-nistp256@openssh.com', 3],
  ['ssh-rsa', 2],
]);

/** A user's certificate; a host's is 2. */
const FOR_A_USER = 1;
/** OpenSSH's own bound (SSHKEY_CERT_MAX_PRINCIPALS). */
const MAX_PRINCIPALS = 256;

/** Whether this key type, or signature algorithm, is a certificate's. */
export function isCertificate(type: string): boolean {
  return type.endsWith(SUFFIX);
}

/**
 * The key that signs for what a client presents, and the algorithm it signs by: of a certificate the key
 * within it. undefined when algorithm and key do not go together, or we know neither.
 */
export function signingKey(algorithm: string, blob: Buffer): { algorithm: string; blob: Buffer } | undefined {
  const plain = isCertificate(algorithm) ? withoutSuffix(algorithm) : algorithm;
  // A certified key signs by nothing weak, whatever was asked for: `ssh-rsa` does not name its certificates.
  const type = isCertificate(algorithm) ? SIGNATURE_ALGORITHMS.get(plain) : signatureKeyType(plain);
  if (type === undefined) return undefined;
  if (!isCertificate(algorithm)) return keyType(blob) === type ? { algorithm, blob } : undefined;
  if (!isCertificate(keyType(blob)) || withoutSuffix(keyType(blob)) !== type) return undefined;
  try {
    return { algorithm: plain, blob: readKey(blob, type).key };
  } catch {
    return undefined;
  }
}

/**
 * Reads a certificate and verifies its authority's signature; undefined when `isKnown` does not know the
 * authority. Throws a Fault that says why it is worth nothing.
 */
export function readCertificate(blob: Buffer, isKnown: (authority: Buffer) => boolean): Certificate | undefined {
  const { reader, key } = readKey(blob, withoutSuffix(keyType(blob)));
  const serial = reader.uint64('serial number');
  const kind = reader.uint32('kind');
  if (kind !== FOR_A_USER) throw new Fault('PROTOCOL', 'The certificate is not for a user.');
  const id = reader.latin1('id');
  const principals = readPrincipals(reader.bytes('principals'));
  const validAfter = reader.uint64('beginning');
  const validBefore = reader.uint64('end');
  const restrictions = readOptions(reader.bytes('critical options'), optionText);
  const permissions = readOptions(reader.bytes('extensions'), () => undefined);
  reader.bytes('reserved field');
  const authority = reader.bytes('authority');
  const signed = blob.subarray(0, blob.length - reader.left);
  const signature = reader.bytes('signature');
  if (reader.left !== 0) throw new Fault('PROTOCOL', 'The certificate has bytes after its end.');
  if (!isKnown(authority)) return undefined;
  checkPublicKey(key);
  const algorithm = new WireReader(signature, 0, THE_CERTIFICATE).latin1('signature algorithm');
  // An authority that signs by SHA-1, or is a certificate itself, is no authority.
  if (!verifySignature(algorithm, authority, signature, signed)) throw new Fault('PROTOCOL', 'The certificate is not signed by its authority.');
  return { key, authority, id, serial, principals, validAfter, validBefore, limits: limitsOf(restrictions, permissions) };
}

/** The fields behind a certificate's nonce that are its key, and the reader behind them. */
function readKey(blob: Buffer, type: string): { key: Buffer; reader: WireReader } {
  const fields = KEY_FIELDS.get(type);
  if (fields === undefined) throw new Fault('PROTOCOL', `Certificates of type ${JSON.stringify(type.slice(0, 60))} are not supported.`);
  const reader = new WireReader(blob, 0, THE_CERTIFICATE);
  reader.bytes('type');
  reader.bytes('nonce');
  return { key: pack({ string: type }, ...Array.from({ length: fields }, () => ({ string: reader.bytes('key') }))), reader };
}

function readPrincipals(bytes: Buffer): string[] {
  const reader = new WireReader(bytes, 0, THE_CERTIFICATE);
  const principals: string[] = [];
  while (reader.left > 0) {
    if (principals.length === MAX_PRINCIPALS) throw new Fault('PROTOCOL', `The certificate has more than ${MAX_PRINCIPALS} principals.`);
    principals.push(reader.bytes('principal').toString('utf8'));
  }
  return principals;
}

/** Name to value; undefined for an option that has none. Of two of one name nobody knows which is meant. */
function readOptions(bytes: Buffer, valueOf: (data: Buffer) => string | undefined): Map<string, string | undefined> {
  const reader = new WireReader(bytes, 0, THE_CERTIFICATE);
  const options = new Map<string, string | undefined>();
  while (reader.left > 0) {
    const name = reader.latin1('option');
    const data = reader.bytes('value');
    if (options.has(name)) throw new Fault('PROTOCOL', `The certificate has the option ${JSON.stringify(name.slice(0, 60))} twice.`);
    options.set(name, valueOf(data));
  }
  return options;
}

function optionText(data: Buffer): string | undefined {
  if (data.length === 0) return undefined;
  const reader = new WireReader(data, 0, THE_CERTIFICATE);
  const text = reader.bytes('value').toString('utf8');
  if (reader.left !== 0) throw new Fault('PROTOCOL', 'The certificate has bytes behind the value of an option.');
  return text;
}

/** Nothing is allowed that is not written; a restriction that cannot be honoured makes it worthless. */
function limitsOf(restrictions: ReadonlyMap<string, string | undefined>, permissions: ReadonlyMap<string, string | undefined>): KeyLimits {
  for (const [name, value] of restrictions) {
    const isKnown = (name === 'verify-required' && value === undefined)
      || (name === 'force-command' && value !== undefined && isUsableCommand(value))
      || (name === 'source-address' && value !== undefined && /^[0-9a-f.:/,]+$/i.test(value));
    if (!isKnown) throw new Fault('PROTOCOL', `The certificate has the restriction ${JSON.stringify(name.slice(0, 60))}, which cannot be honoured here.`);
  }
  return {
    ...NO_LIMITS,
    from: restrictions.get('source-address'),
    command: restrictions.get('force-command'),
    verifyRequired: restrictions.has('verify-required'),
    pty: permissions.has('permit-pty'),
    forwarding: permissions.has('permit-port-forwarding'),
    agentForwarding: permissions.has('permit-agent-forwarding'),
  };
}

/** internal-sftp's options are not ours, and without them it would allow more. */
function isUsableCommand(command: string): boolean {
  return command !== '' && !command.includes('\0') && isSftpCommand(command) !== 'with-options';
}

/** "ssh-rsa-cert-v01@openssh.com" is about "ssh-rsa"; a security key's own name has an address as well. */
function withoutSuffix(type: string): string {
  const plain = type.slice(0, -SUFFIX.length);
  return plain.startsWith('sk-') ? `${plain}@openssh.com` : plain;
}
