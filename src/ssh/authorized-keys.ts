/**
 * Reading a file of authorised public keys in OpenSSH's format (sshd(8), AUTHORIZED_KEYS FILE FORMAT).
 * As in sshd, a line that cannot be used lets nobody in and keeps nobody else out; it is told loudly.
 */
import { timingSafeEqual } from 'node:crypto';
import { Fault, toFault } from '../base/errors.js';
import { isCertificate, readCertificate, type Certificate } from './certificate.js';
import { bothLimits, isUsable, NO_KEY, NO_OPTIONS, parseKeyOptions, type KeyLimits, type KeyOptions } from './key-options.js';
import { checkPublicKey, fingerprint, keyType } from './public-key.js';

export interface AuthorizedKey extends KeyOptions {
  /** Key type, e.g. ssh-ed25519. */
  type: string;
  /** Wire form of the public key. */
  blob: Buffer;
  comment: string;
  /** SHA256:… */
  fingerprint: string;
  /** Line in the file, from 1. */
  line: number;
}

/** Who presents a key. */
export interface KeyHolder {
  user: string;
  /** Where the client is. */
  address: string;
}

const KEY_TYPES = new Set([
  'ssh-ed25519', 'sk-ssh-ed25519@openssh.com', 'ssh-rsa',
  'ecdsa-sha2-nistp256', 'ecdsa-sha2-nistp384', 'ecdsa-sha2-nistp521', 'sk-ecdsa-sha2-nistp256@openssh.com',
]);

/** Longest line accepted, in characters (OpenSSH's own bound is 8 kB per key). */
const MAX_LINE = 16 * 1024;

/**
 * The keys of a file. `passedOver` is told of each line that cannot be used, in a Fault USAGE that names
 * `source` and the line; when there is none that can, the first of these is thrown.
 */
export function parseAuthorizedKeys(content: string, source: string, passedOver: (problem: Fault) => void = () => undefined): AuthorizedKey[] {
  const keys: AuthorizedKey[] = [];
  const problems: Fault[] = [];
  for (const [index, raw] of content.split('\n').entries()) {
    const text = raw.replace(/\r$/, '').trim();
    // DSA keys are of no use to anybody any more; as in sshd, one that is left over does no harm.
    if (text === '' || text.startsWith('#') || /^ssh-dss\s/.test(text)) continue;
    const where = `${source} line ${index + 1}`;
    try {
      if (text.length > MAX_LINE) throw new Fault('USAGE', `${where} is longer than ${MAX_LINE} characters: is it a file of public keys?`);
      if (text.includes('PRIVATE KEY')) throw new Fault('USAGE', `${where} begins a private key: give the file with the public key (.pub).`);
      const key = parseLine(text, where, index + 1);
      if (key !== undefined) keys.push(key);
    } catch (thrown) {
      problems.push(toFault(thrown));
    }
  }
  const [first] = problems;
  if (keys.length === 0 && first !== undefined) throw first;
  for (const problem of problems) passedOver(problem);
  return keys;
}

/** What stands behind a key that may log in. */
export interface Authorization {
  limits: KeyLimits;
  certificate?: Certificate;
}

/**
 * What the key, or certificate, in `blob` may be used for now; undefined when it may not at all. Throws a
 * Fault that says what is wrong with a certificate of an authority of ours. Compares in constant time.
 */
export function authorize(keys: readonly AuthorizedKey[], blob: Buffer, holder: KeyHolder, now = Date.now()): Authorization | undefined {
  if (!isCertificate(keyType(blob))) {
    const [line] = linesOf(keys, blob, holder, now, false);
    return line === undefined ? undefined : { limits: line.limits };
  }
  const certificate = readCertificate(blob, (authority) => linesOf(keys, authority, holder, now, true).length > 0);
  return certificate === undefined ? undefined : { certificate, limits: certifiedLimits(keys, certificate, holder, now) };
}

/** As sshd's user_key_allowed: a line of the authority and the certificate must both allow it. */
function certifiedLimits(keys: readonly AuthorizedKey[], certificate: Certificate, holder: KeyHolder, now: number): KeyLimits {
  const { principals, validAfter, validBefore } = certificate;
  const lines = linesOf(keys, certificate.authority, holder, now, true);
  const seconds = BigInt(Math.floor(now / 1000));
  if (seconds < validAfter || seconds >= validBefore) throw new Fault('DENIED', 'The certificate is not valid at this time.');
  if (!isUsable(certificate.limits, holder.address, now)) throw new Fault('DENIED', 'The certificate is not for clients from here.');
  const named = lines.filter((line) => principals.some((name) => (line.principals ?? [holder.user]).includes(name)));
  if (named.length === 0) throw new Fault('DENIED', 'The certificate is not made out to this user.');
  for (const line of named) {
    const limits = bothLimits(line.limits, certificate.limits);
    if (limits !== undefined) return limits;
  }
  throw new Fault('DENIED', 'The certificate and the line of its authority each force another command.');
}

/** The lines with this key, as what they are asked for, that hold now. */
function linesOf(keys: readonly AuthorizedKey[], blob: Buffer, { address }: KeyHolder, now: number, isAuthority: boolean): AuthorizedKey[] {
  return keys.filter((key) => {
    const isSame = key.isAuthority === isAuthority && key.blob.length === blob.length && timingSafeEqual(key.blob, blob);
    return isSame && isUsable(key.limits, address, now);
  });
}

/** undefined for a DSA key behind options. */
function parseLine(text: string, where: string, line: number): AuthorizedKey | undefined {
  let rest = text;
  let options = NO_OPTIONS;
  const word = rest.split(/\s/, 1)[0] ?? '';
  if (isCertificate(word)) {
    throw new Fault('USAGE', `${where}: a certificate is not authorised by itself; write the authority's key, with cert-authority before it.`);
  }
  if (!startsWithKey(rest)) {
    const end = optionsEnd(rest, where);
    options = parseKeyOptions(rest.slice(0, end), where);
    rest = rest.slice(end).trimStart();
    if (/^ssh-dss\s/.test(rest)) return undefined;
    if (!startsWithKey(rest)) {
      throw new Fault('USAGE', `${where}: ${NO_KEY}`);
    }
  }
  const [type = '', encoded = '', ...comment] = rest.split(/\s+/);
  const blob = Buffer.from(encoded, 'base64');
  if (encoded === '' || blob.toString('base64').replace(/=+$/, '') !== encoded.replace(/=+$/, '')) {
    throw new Fault('USAGE', `${where}: the ${type} key is cut off or not base64.`);
  }
  try {
    if (keyType(blob) !== type) throw new Fault('PROTOCOL', `it holds a key of another type than ${type}.`);
    checkPublicKey(blob);
  } catch (thrown) {
    throw new Fault('USAGE', `${where}: the ${type} key cannot be used: ${toFault(thrown).message}`, { cause: thrown });
  }
  return { type, blob, comment: comment.join(' '), fingerprint: fingerprint(blob), line, ...options };
}

function startsWithKey(text: string): boolean {
  return KEY_TYPES.has(text.split(/\s/, 1)[0] ?? '');
}

/** Options end at the first white space outside quotes. */
function optionsEnd(text: string, where: string): number {
  let quoted = false;
  for (let at = 0; at < text.length; at += 1) {
    const char = text[at];
    if (char === '\\' && quoted && text[at + 1] === '"') at += 1;
    else if (char === '"') quoted = !quoted;
    else if (!quoted && (char === ' ' || char === '\t')) return at;
  }
  throw new Fault('USAGE', `${where}: ${quoted ? 'a quote is not closed.' : NO_KEY}`);
}
