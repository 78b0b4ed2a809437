/**
 * Reading a file of authorised public keys in OpenSSH's format (sshd(8), AUTHORIZED_KEYS FILE FORMAT).
 * As in sshd, a line that cannot be used lets nobody in and keeps nobody else out; it is told loudly.
 */
import { timingSafeEqual } from 'node:crypto';
import { Fault, toFault } from '../base/errors.js';
import { isUsable, NO_KEY, NO_LIMITS, parseKeyOptions, type KeyLimits } from './key-options.js';
import { checkPublicKey, fingerprint, keyType } from './public-key.js';

export interface AuthorizedKey {
  /** Key type, e.g. ssh-ed25519. */
  type: string;
  /** Wire form of the public key. */
  blob: Buffer;
  comment: string;
  /** SHA256:… */
  fingerprint: string;
  /** Line in the file, from 1. */
  line: number;
  limits: KeyLimits;
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

/** The authorised key that equals `blob`, if a client at `address` may use it now. Compares in constant time. */
export function findAuthorizedKey(keys: readonly AuthorizedKey[], blob: Buffer, address: string, now = Date.now()): AuthorizedKey | undefined {
  let found: AuthorizedKey | undefined;
  for (const key of keys) {
    const isSame = key.blob.length === blob.length && timingSafeEqual(key.blob, blob);
    if (isSame && isUsable(key.limits, address, now)) found ??= key;
  }
  return found;
}

/** undefined for a DSA key behind options. */
function parseLine(text: string, where: string, line: number): AuthorizedKey | undefined {
  let rest = text;
  let limits = NO_LIMITS;
  const word = rest.split(/\s/, 1)[0] ?? '';
  if (/-cert-v\d\d@openssh\.com$/.test(word)) {
    throw new Fault('USAGE', `${where}: keys of type ${word} are not supported; use ssh-ed25519, ecdsa-sha2-nistp256 or ssh-rsa.`);
  }
  if (!startsWithKey(rest)) {
    const end = optionsEnd(rest, where);
    limits = parseKeyOptions(rest.slice(0, end), where);
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
  return { type, blob, comment: comment.join(' '), fingerprint: fingerprint(blob), line, limits };
}

function startsWithKey(text: string): boolean {
  return KEY_TYPES.has(text.split(/\s/, 1)[0] ?? '');
}

/** Options end at the first white space outside quotes. */
function optionsEnd(text: string, where: string): number {
  let quoted = false;
  for (let at = 0; at < text.length; at += 1) {
    const char = text[at];
    if (char === '\\' && quoted) at += 1;
    else if (char === '"') quoted = !quoted;
    else if (!quoted && (char === ' ' || char === '\t')) return at;
  }
  throw new Fault('USAGE', `${where}: ${quoted ? 'a quote is not closed.' : NO_KEY}`);
}
