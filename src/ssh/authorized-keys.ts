/**
 * Reading a file of authorised public keys in OpenSSH's format (sshd(8), AUTHORIZED_KEYS FILE FORMAT).
 * An option that restricts a key and cannot be honoured here makes the file unusable, loudly: ignoring
 * it would allow more than the operator wrote.
 */
import { timingSafeEqual } from 'node:crypto';
import { Fault, toFault } from '../base/errors.js';
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
  /** `expiry-time` as milliseconds since 1970, or undefined. */
  expiresAt: number | undefined;
}

const KEY_TYPES = new Set([
  'ssh-ed25519', 'sk-ssh-ed25519@openssh.com', 'ssh-rsa',
  'ecdsa-sha2-nistp256', 'ecdsa-sha2-nistp384', 'ecdsa-sha2-nistp521', 'sk-ecdsa-sha2-nistp256@openssh.com',
]);

/** Options that grant what is granted anyway: harmless. */
const GRANTS = new Set(['agent-forwarding', 'port-forwarding', 'pty', 'user-rc', 'x11-forwarding', 'no-x11-forwarding', 'no-user-rc']);

/** The others that OpenSSH has (sshd(8)): refused by name. */
const OTHER_OPTIONS = new Set([
  'cert-authority', 'command', 'environment', 'from', 'no-agent-forwarding', 'no-port-forwarding', 'no-pty', 'no-touch-required',
  'permitlisten', 'permitopen', 'principals', 'restrict', 'tunnel', 'verify-required',
]);

/** What is no key is not quoted: it may be a password, in a file that was given for another. */
const NO_KEY = 'expected a key type such as ssh-ed25519: is it a file of public keys?';

/** Longest line accepted, in characters (OpenSSH's own bound is 8 kB per key). */
const MAX_LINE = 16 * 1024;

/** Throws a Fault USAGE that names `source` and the line. */
export function parseAuthorizedKeys(content: string, source: string): AuthorizedKey[] {
  const keys: AuthorizedKey[] = [];
  for (const [index, raw] of content.split('\n').entries()) {
    const text = raw.replace(/\r$/, '').trim();
    // DSA keys are of no use to anybody any more; as in sshd, one that is left over does no harm.
    if (text === '' || text.startsWith('#') || /^ssh-dss\s/.test(text)) continue;
    const where = `${source} line ${index + 1}`;
    if (text.length > MAX_LINE) throw new Fault('USAGE', `${where} is longer than ${MAX_LINE} characters: is it a file of public keys?`);
    if (text.includes('PRIVATE KEY')) throw new Fault('USAGE', `${where} begins a private key: give the file with the public key (.pub).`);
    keys.push(parseLine(text, where, index + 1));
  }
  return keys;
}

/** The authorised key that equals `blob`, if it has not expired. Compares in constant time. */
export function findAuthorizedKey(keys: readonly AuthorizedKey[], blob: Buffer, now = Date.now()): AuthorizedKey | undefined {
  let found: AuthorizedKey | undefined;
  for (const key of keys) {
    const isSame = key.blob.length === blob.length && timingSafeEqual(key.blob, blob);
    if (isSame && (key.expiresAt === undefined || now < key.expiresAt)) found ??= key;
  }
  return found;
}

function parseLine(text: string, where: string, line: number): AuthorizedKey {
  let rest = text;
  let expiresAt: number | undefined;
  const word = rest.split(/\s/, 1)[0] ?? '';
  if (/-cert-v\d\d@openssh\.com$/.test(word)) {
    throw new Fault('USAGE', `${where}: keys of type ${word} are not supported; use ssh-ed25519, ecdsa-sha2-nistp256 or ssh-rsa.`);
  }
  if (!startsWithKey(rest)) {
    const end = optionsEnd(rest, where);
    expiresAt = checkOptions(rest.slice(0, end), where);
    rest = rest.slice(end).trimStart();
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
  return { type, blob, comment: comment.join(' '), fingerprint: fingerprint(blob), line, expiresAt };
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

function checkOptions(options: string, where: string): number | undefined {
  let expiresAt: number | undefined;
  for (const option of options.match(/(?:[^",]|"(?:\\.|[^"\\])*")+/g) ?? []) {
    const [name = '', value] = splitOption(option);
    if (GRANTS.has(name.toLowerCase())) continue;
    if (name.toLowerCase() === 'expiry-time' && value !== undefined) {
      expiresAt = expiry(value, where);
      continue;
    }
    if (!OTHER_OPTIONS.has(name.toLowerCase())) throw new Fault('USAGE', `${where}: ${NO_KEY}`);
    throw new Fault('USAGE', `${where}: the option "${name.toLowerCase()}" is not supported here; it would not restrict anything. Remove the key or the option.`);
  }
  return expiresAt;
}

function splitOption(option: string): [name: string, value: string | undefined] {
  const at = option.indexOf('=');
  if (at < 0) return [option, undefined];
  const value = option.slice(at + 1).replace(/^"(.*)"$/s, '$1');
  return [option.slice(0, at), value];
}

/** YYYYMMDD[Z] or YYYYMMDDHHMM[SS][Z]; without Z in local time (sshd(8)). */
function expiry(value: string, where: string): number {
  const parts = /^(\d{4})(\d\d)(\d\d)(?:(\d\d)(\d\d)(\d\d)?)?(Z?)$/.exec(value);
  if (parts === null) throw new Fault('USAGE', `${where}: expiry-time wants YYYYMMDD or YYYYMMDDHHMM.`);
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = parts.slice(1, 7).map((part) => Number(part ?? 0));
  if (month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 || second > 60) {
    throw new Fault('USAGE', `${where}: expiry-time ${value} is not a date.`);
  }
  return parts[7] === 'Z'
    ? Date.UTC(year, month - 1, day, hour, minute, second)
    : new Date(year, month - 1, day, hour, minute, second).getTime();
}
