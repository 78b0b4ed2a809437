/**
 * The options before a key in a file of authorised keys (sshd(8), AUTHORIZED_KEYS FILE FORMAT): what the
 * key may be used for. An option that restricts and cannot be honoured is an error of its line: to ignore
 * it would allow more than the operator wrote.
 */
import { Fault } from '../base/errors.js';
import { matchesAddress } from './address-match.js';
import { isSftpCommand, parseEndpoint, parseVariable, type Endpoint, type SshPolicy } from './policy.js';

export interface KeyLimits {
  /** `expiry-time` as milliseconds since 1970, or undefined. */
  expiresAt: number | undefined;
  /** Patterns of addresses that the key may come from; undefined is any. */
  from: string | undefined;
  /** Run instead of what the client asks for. */
  command: string | undefined;
  environment: Readonly<Record<string, string>>;
  /** A security key must have verified its user, not only been touched. */
  verifyRequired: boolean;
  pty: boolean;
  /** -L, -R, -D and -W, of ports and of Unix sockets. */
  forwarding: boolean;
  agentForwarding: boolean;
  /** Destinations of -L and the like, and listening addresses of -R; undefined is any. */
  permitOpen: readonly Endpoint[] | undefined;
  permitListen: readonly Endpoint[] | undefined;
}

/** A key without options, and everybody who came with the password itself. */
export const NO_LIMITS: KeyLimits = {
  expiresAt: undefined, from: undefined, command: undefined, environment: {}, verifyRequired: false,
  pty: true, forwarding: true, agentForwarding: true, permitOpen: undefined, permitListen: undefined,
};

/** What the options before a key say. */
export interface KeyOptions {
  limits: KeyLimits;
  /** It is no key to log in by: it vouches for others (certificate.ts). */
  isAuthority: boolean;
  /** One of these must be in the certificate; undefined: the user's name must. */
  principals: readonly string[] | undefined;
}

export const NO_OPTIONS: KeyOptions = { limits: NO_LIMITS, isAuthority: false, principals: undefined };

/** Options about things that are not there, or are granted anyway. */
const WITHOUT_EFFECT = new Set(['tunnel', 'user-rc', 'no-user-rc', 'x11-forwarding', 'no-x11-forwarding', 'touch-required', 'no-touch-required']);

/** What is no key is not quoted: it may be a password, in a file that was given for another. */
export const NO_KEY = 'expected a key type such as ssh-ed25519: is it a file of public keys?';

/** Reads a line's options, in their order: a later one undoes part of an earlier `restrict`. */
export function parseKeyOptions(options: string, where: string): KeyOptions {
  const environment: [name: string, value: string][] = [];
  const open: Endpoint[] = [];
  const listen: Endpoint[] = [];
  const limits = { ...NO_LIMITS };
  let isAuthority = false;
  let principals: string[] | undefined;
  /** As in sshd, what may be said once only makes its line worthless when it is said twice. */
  const once = (before: string | readonly string[] | undefined, name: string): void => {
    if (before !== undefined) throw new Fault('USAGE', `${where}: ${name} is given twice.`);
  };
  const flags = new Map<string, (to: boolean) => void>([
    ['pty', (to) => { limits.pty = to; }],
    ['port-forwarding', (to) => { limits.forwarding = to; }],
    ['agent-forwarding', (to) => { limits.agentForwarding = to; }],
  ]);
  const values = new Map<string, (value: string) => void>([
    ['command', (value) => {
      once(limits.command, 'command');
      limits.command = forcedCommand(value, where);
    }],
    ['environment', (value) => {
      const variable = parseVariable(value);
      if (variable === undefined) throw new Fault('USAGE', `${where}: environment wants NAME=VALUE.`);
      environment.push(variable);
    }],
    ['expiry-time', (value) => { limits.expiresAt = Math.min(limits.expiresAt ?? Infinity, expiry(value, where)); }],
    ['from', (value) => {
      once(limits.from, 'from');
      limits.from = value;
    }],
    ['principals', (value) => {
      once(principals, 'principals');
      principals = value.split(',').filter((name) => name !== '');
    }],
    ['permitopen', (value) => { open.push(endpoint(value, 'open', where)); }],
    ['permitlisten', (value) => { listen.push(endpoint(value, 'listen', where)); }],
  ]);
  for (const option of options.match(/(?:[^",]|"(?:\\"|[^"\\]|\\(?!"))*")+/g) ?? []) {
    const [written, value] = splitOption(option, where);
    const name = written.toLowerCase();
    const flag = flags.get(name.replace(/^no-/, ''));
    const take = values.get(name);
    if (WITHOUT_EFFECT.has(name)) continue;
    if (value !== undefined && take === undefined) throw new Fault('USAGE', `${where}: ${NO_KEY}`);
    if (name === 'cert-authority') isAuthority = true;
    else if (/^(no-)?verify-required$/.test(name)) limits.verifyRequired = name === 'verify-required';
    else if (name === 'restrict') for (const set of flags.values()) set(false);
    else if (flag !== undefined) flag(!name.startsWith('no-'));
    else if (take !== undefined && value !== undefined) take(value);
    else if (take !== undefined) {
      throw new Fault('USAGE', `${where}: the option "${name}" is not supported here; it would not restrict anything. Remove the key or the option.`);
    } else throw new Fault('USAGE', `${where}: ${NO_KEY}`);
  }
  if (principals !== undefined && !isAuthority) throw new Fault('USAGE', `${where}: principals restricts what a cert-authority vouches for, and this key is none.`);
  return {
    isAuthority,
    principals,
    limits: {
      ...limits,
      // The first of a name counts, as in sshd.
      environment: Object.fromEntries(environment.reverse()),
      permitOpen: open.length > 0 ? open : undefined,
      permitListen: listen.length > 0 ? listen : undefined,
    },
  };
}

/** Whether a key with these limits may be used now, by a client at `address`. */
export function isUsable(limits: KeyLimits, address: string, now: number): boolean {
  return (limits.expiresAt === undefined || now < limits.expiresAt) && (limits.from === undefined || matchesAddress(limits.from, address));
}

/** What both allow: the authority's line and the certificate. undefined when each wants another command. */
export function bothLimits(line: KeyLimits, certificate: KeyLimits): KeyLimits | undefined {
  const { command = certificate.command } = line;
  if (certificate.command !== undefined && certificate.command !== command) return undefined;
  return {
    ...line,
    command,
    verifyRequired: line.verifyRequired || certificate.verifyRequired,
    pty: line.pty && certificate.pty,
    forwarding: line.forwarding && certificate.forwarding,
    agentForwarding: line.agentForwarding && certificate.agentForwarding,
  };
}

/** What the operator allows, without what this key may not: as in sshd, both have a say. */
export function limitedPolicy(policy: SshPolicy, limits: KeyLimits): SshPolicy {
  return {
    ...policy,
    pty: policy.pty && limits.pty,
    // sshd's ForceCommand is stronger than the key's.
    command: policy.command ?? limits.command,
    setEnv: { ...limits.environment, ...policy.setEnv },
    forwardTcp: limits.forwarding ? policy.forwardTcp : 'no',
    forwardUnix: limits.forwarding ? policy.forwardUnix : 'no',
    forwardAgent: policy.forwardAgent && limits.agentForwarding,
    permitOpen: [...policy.permitOpen, ...(limits.permitOpen === undefined ? [] : [limits.permitOpen])],
    permitListen: [...policy.permitListen, ...(limits.permitListen === undefined ? [] : [limits.permitListen])],
  };
}

function splitOption(option: string, where: string): [name: string, value: string | undefined] {
  const at = option.indexOf('=');
  if (at < 0) return [option, undefined];
  const value = /^"(.*)"$/s.exec(option.slice(at + 1))?.[1];
  const name = option.slice(0, at);
  if (value === undefined) throw new Fault('USAGE', `${where}: the value of an option stands in quotes.`);
  // As in sshd, \" is a quote and every other \ is itself.
  return [name, value.replaceAll('\\"', '"')];
}

function forcedCommand(value: string, where: string): string {
  if (value.includes('\0') || value === '') throw new Fault('USAGE', `${where}: command wants a command.`);
  if (isSftpCommand(value) === 'with-options') throw new Fault('USAGE', `${where}: internal-sftp takes no options here, and without them it would allow more.`);
  return value;
}

function endpoint(value: string, kind: 'open' | 'listen', where: string): Endpoint {
  const found = parseEndpoint(value, kind);
  if (found === undefined) throw new Fault('USAGE', `${where}: permit${kind} wants ${kind === 'open' ? 'HOST:PORT' : '[HOST:]PORT'}.`);
  return found;
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
