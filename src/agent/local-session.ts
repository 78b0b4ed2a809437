/** Sessions on a local login shell: what the demo's device is made of. */
import { createHash, timingSafeEqual } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { IPty } from '@lydell/node-pty';
import { Fault } from '../base/errors.js';
import { currentAccount, loginCommand, loginEnvironment, type Account } from './login-shell.js';
import type { Session, SessionSource, Terminal } from './session.js';

export interface LocalTarget {
  password: string;
  /** The name to log in as; default: the one this process runs under. */
  user?: string;
  /** Path of the login shell; default: the account's. */
  shell?: string;
}

/** Output of the shell that may wait unread here, in bytes; beyond it the shell blocks. */
const UNREAD_BOUND_BYTES = 64 * 1024;
/** Time that a hung-up shell has to end before it is killed. */
const HANGUP_MS = 1000;

export class LocalSessions implements SessionSource {
  readonly #target: LocalTarget;
  readonly #refusalMs: number;
  readonly #living = new Set<LocalSession>();

  constructor(target: LocalTarget, refusalMs: number) {
    this.#target = target;
    this.#refusalMs = refusalMs;
  }

  async check(): Promise<void> {
    currentAccount(this.#target);
    await loadPty();
  }

  async open(user: string, password: string, terminal: Terminal): Promise<Session> {
    const account = currentAccount(this.#target);
    // Both are compared whatever the first one says, so that time tells nothing of either.
    const userRight = sameText(user, account.user);
    const passwordRight = sameText(password, this.#target.password);
    if (!userRight || !passwordRight) {
      await delay(this.#refusalMs);
      throw new Fault('DENIED', 'the device refused this user name and password: check both');
    }
    const { spawn } = await loadPty();
    let session: LocalSession;
    try {
      session = new LocalSession(spawn, account, terminal);
    } catch (cause) {
      throw new Fault('DEVICE_LOST', `the login shell ${account.shell} could not be started on a terminal`, { cause });
    }
    this.#living.add(session);
    void session.exited.then(() => this.#living.delete(session));
    return session;
  }

  async close(): Promise<void> {
    await Promise.all([...this.#living].map((session) => session.end()));
  }
}

type Pty = typeof import('@lydell/node-pty');

/** Loaded only here: on a platform without its binary everything else still works. */
async function loadPty(): Promise<Pty> {
  try {
    return await import('@lydell/node-pty');
  } catch (cause) {
    throw new Fault('LOCAL', `no terminals can be made on ${process.platform} ${process.arch}: log in to an SSH server instead`, { cause });
  }
}

/** What node-pty has and does not declare. */
interface PtyInside {
  destroy(): void;
  readonly _socket: { readonly writableLength: number; on(event: 'drain' | 'error', listener: () => void): void };
}

class LocalSession implements Session {
  state: Session['state'] = 'open';
  onChange: () => void = () => {};
  readonly #pty: IPty & PtyInside;
  /** Resolves when the shell has ended. */
  readonly exited: Promise<void>;
  readonly #unread: Buffer[] = [];
  #unreadBytes = 0;
  #paused = false;
  #gone = false;

  constructor(spawn: Pty['spawn'], account: Account, terminal: Terminal) {
    const { file, args } = loginCommand(account.shell);
    this.#pty = spawn(file, args, {
      name: terminal.term,
      cols: terminal.cols,
      rows: terminal.rows,
      cwd: account.home,
      env: loginEnvironment(account, terminal.term),
      encoding: null,
    }) as IPty & PtyInside;
    this.#pty.onData((data) => this.#take(data as unknown as Buffer)); // encoding null gives Buffers
    this.#pty._socket.on('drain', () => this.onChange());
    this.#pty._socket.on('error', () => {}); // typing into a terminal that has just ended; onExit follows
    this.exited = new Promise((resolve) => {
      this.#pty.onExit(() => {
        if (this.state === 'open') this.state = 'exited';
        this.#gone = true;
        resolve();
        this.onChange();
      });
    });
  }

  get untaken(): number {
    return this.#pty._socket.writableLength;
  }

  read(max: number): Buffer | undefined {
    const first = this.#unread[0];
    if (first === undefined) return undefined;
    let chunk = first;
    if (first.length > max) {
      chunk = first.subarray(0, max);
      this.#unread[0] = first.subarray(max);
    } else {
      this.#unread.shift();
    }
    this.#unreadBytes -= chunk.length;
    if (this.#paused && this.#unreadBytes < UNREAD_BOUND_BYTES / 2) {
      this.#paused = false;
      this.#pty.resume();
    }
    return chunk;
  }

  type(text: string): void {
    if (this.state === 'open') this.#pty.write(text);
  }

  hangUp(): void {
    this.#unread.length = 0;
    this.#unreadBytes = 0;
    if (this.state !== 'open') return;
    this.state = 'lost';
    this.#pty.destroy(); // the kernel hangs up the shell and its foreground processes
  }

  async end(): Promise<void> {
    const kin = membersOf(this.#pty.pid);
    this.hangUp();
    const late = new AbortController();
    await Promise.race([this.exited, delay(HANGUP_MS, undefined, { signal: late.signal }).catch(() => {})]);
    late.abort();
    if (!this.#gone) kill(this.#pty.pid);
    for (const pid of membersOf(this.#pty.pid)) if (kin.includes(pid)) kill(pid);
    await this.exited;
  }

  #take(data: Buffer): void {
    if (this.state === 'lost') return;
    this.#unread.push(data);
    this.#unreadBytes += data.length;
    if (!this.#paused && this.#unreadBytes >= UNREAD_BOUND_BYTES) {
      this.#paused = true;
      this.#pty.pause();
    }
    this.onChange();
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended in between.
  }
}

/**
 * The processes of the terminal session that `session` leads. What has made itself a session of its
 * own (a daemon) is not among them.
 */
function membersOf(session: number): number[] {
  let entries: string[];
  try {
    entries = readdirSync('/proc').filter((name) => /^[0-9]+$/.test(name));
  } catch {
    return []; // no /proc: not Linux; the shell alone is ended there
  }
  return entries.map(Number).filter((pid) => {
    try {
      // Field 6 is the session; the name in field 2 may hold spaces and brackets.
      const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
      return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[3]) === session;
    } catch {
      return false;
    }
  });
}

function sameText(left: string, right: string): boolean {
  const hash = (text: string): Buffer => createHash('sha256').update(text, 'utf8').digest();
  return timingSafeEqual(hash(left), hash(right));
}
