/** One way to the device, as the checks use it: what the real client shows, with names made equal. */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { run, start, type Run } from '../support/program.js';
import type { Scope } from '../support/scope.js';
import { sshOptions, type Target } from '../support/ssh.js';
import { waitFor } from '../support/wait.js';

/** Deadline of one ssh, in milliseconds; the agents that read in windows need seconds for a login. */
const SSH_MS = 90_000;

/** The bridge or the device's own sshd. Sessions share one connection, as with ControlMaster. */
export class Side {
  readonly name: string;
  readonly target: Target;
  readonly #socket: string;

  constructor(name: string, target: Target, dir: string) {
    this.name = name;
    this.target = target;
    this.#socket = `${dir}/control`;
  }

  get #env(): Record<string, string | undefined> {
    return { SSHPASS: this.target.password, SSH_AUTH_SOCK: undefined, TERM: 'xterm', LC_ALL: undefined, LANG: undefined };
  }

  /** Words of a shell line or of a spawn that is this side's ssh. */
  words(options: readonly string[] = [], target: Target = this.target): string[] {
    return ['ssh', ...options, ...sshOptions(target), '-p', String(target.port), `${target.user}@${target.host}`];
  }

  /** A new connection, by password. */
  async login(command: readonly string[], input?: Buffer | string, options: readonly string[] = [], password = this.target.password): Promise<Run> {
    return run('sshpass', ['-e', ...this.words(options), ...command], { input, timeoutMs: SSH_MS, env: { ...this.#env, SSHPASS: password } });
  }

  /** A session on the shared connection. */
  async ssh(command: readonly string[], input?: Buffer | string, options: readonly string[] = [], timeoutMs = SSH_MS): Promise<Run> {
    return run('ssh', [...this.words([...options, '-S', this.#socket]).slice(1), ...command], { input, timeoutMs, env: this.#env });
  }

  /** Opens the shared connection; it ends with the scope. */
  async open(scope: Scope): Promise<void> {
    const args = [...this.words(['-M', '-S', this.#socket, '-N']), '-o', 'ServerAliveInterval=20'];
    const master = start(scope, 'sshpass', ['-e', ...args], { env: this.#env });
    await waitFor('the shared connection', () => {
      if (!master.running) throw new Error(`no connection to ${this.name}: ${master.stderr}`);
      return existsSync(this.#socket);
    }, SSH_MS);
  }
}

export function sha(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Status, stdout and stderr as text, without what must differ between any two logins. */
export function seen({ status, signal, stdout, stderr }: Run): Record<string, unknown> {
  return { status, signal, stdout: plain(stdout), stderr: plain(stderr) };
}

export function plain(bytes: Buffer): string {
  return bytes
    .toString('latin1')
    .replaceAll(/\/dev\/pts\/\d+/g, '/dev/pts/N')
    .replaceAll(/(SSH_(?:CLIENT|CONNECTION)=127\.0\.0\.1) \d+ (127\.0\.0\.1 )?\d+/g, '$1 N $2N')
    .replaceAll(/(Last login: ).*/g, '$1…');
}

/** What differs between two sights, place by place and line by line; empty when nothing does. */
export function differences(ours: unknown, reference: unknown): string[] {
  const [a, b] = [lines(ours), lines(reference)];
  const places = [...new Set([...a.keys(), ...b.keys()])];
  return places.flatMap((place) => {
    const [mine = [], theirs = []] = [a.get(place), b.get(place)];
    if (mine.join('\n') === theirs.join('\n')) return [];
    const more = mine.filter((line) => !theirs.includes(line)).map((line) => `${place} bridge: ${JSON.stringify(line)}`);
    const less = theirs.filter((line) => !mine.includes(line)).map((line) => `${place} sshd:   ${JSON.stringify(line)}`);
    return more.length + less.length > 0 ? [...more, ...less] : [`${place}: the same lines, another order or number: ${JSON.stringify(mine)} for ${JSON.stringify(theirs)}`];
  });
}

function lines(value: unknown, place = '', into = new Map<string, string[]>()): Map<string, string[]> {
  if (typeof value === 'object' && value !== null) {
    for (const [key, part] of Object.entries(value)) lines(part, place === '' ? key : `${place}.${key}`, into);
  } else into.set(place, String(value).split('\n'));
  return into;
}
