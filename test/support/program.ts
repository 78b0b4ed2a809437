/**
 * Programs under test, as child processes. Each gets its own process group and a mark in its
 * environment which its descendants inherit, so that a test can ask who is still alive.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { readdir, readFile, stat } from 'node:fs/promises';
import type { Scope } from './scope.js';
import { waitFor } from './wait.js';

/** Variable that marks everything a test started. */
const MARK = 'IOTDA_SSH_TEST_MARK';

/** Time between SIGTERM and SIGKILL when a test ends a program. */
const STOP_MS = 10_000;

/** Most output kept per stream, in bytes; a program that floods fails its test, not the machine. */
const OUTPUT_LIMIT_BYTES = 512 * 1024 * 1024;

export interface Run {
  status: number | null;
  signal: NodeJS.Signals | null;
  stdout: Buffer;
  stderr: Buffer;
}

export interface StartOptions {
  cwd?: string;
  env?: Record<string, string | undefined>;
  /** Given to stdin, which is then closed. undefined: empty stdin. 'open': the test writes itself. */
  input?: Buffer | string | 'open' | undefined;
  /** The program is killed, and `done` rejects, after this long. Undefined: it may run on. */
  timeoutMs?: number | undefined;
}

/** One running program: its output so far, and how it ends. */
export class Program {
  readonly child: ChildProcess;
  readonly mark: string;
  /** Resolves when the program has ended and its output is complete. */
  readonly done: Promise<Run>;
  /** Resolves when the program itself has ended, whoever still holds its output. */
  readonly exited: Promise<void>;
  private readonly out: Buffer[] = [];
  private readonly err: Buffer[] = [];
  private ended = false;

  constructor(file: string, args: readonly string[], options: StartOptions = {}) {
    this.mark = randomUUID();
    const env = { ...process.env, ...options.env, [MARK]: this.mark };
    this.child = spawn(file, args, { cwd: options.cwd, env, detached: true, stdio: 'pipe' });
    this.exited = new Promise((resolve) => {
      this.child.once('exit', () => resolve());
      this.child.once('error', () => resolve());
    });
    this.done = this.watch(`${file} ${args.join(' ')}`, options.timeoutMs);
    // A test that never looks at `done` must not crash the run.
    this.done.catch(() => undefined);
    this.child.stdin?.on('error', () => undefined);
    if (options.input !== 'open') this.child.stdin?.end(options.input);
  }

  get pid(): number {
    return this.child.pid ?? -1;
  }

  get running(): boolean {
    return !this.ended;
  }

  get stdout(): string {
    return Buffer.concat(this.out).toString();
  }

  get stderr(): string {
    return Buffer.concat(this.err).toString();
  }

  /**
   * Sends a signal to the program's whole group, while it runs: afterwards its number may be another
   * program's, since they are given out again within minutes on a busy machine.
   */
  kill(signal: NodeJS.Signals = 'SIGTERM'): void {
    if (!this.running) return;
    try {
      process.kill(-this.pid, signal);
    } catch {
      // Gone already.
    }
  }

  /** SIGTERM, then SIGKILL; resolves when the program is gone. */
  async stop(): Promise<void> {
    if (!this.running) {
      await this.#killLeft();
      return;
    }
    this.kill('SIGTERM');
    const force = setTimeout(() => this.kill('SIGKILL'), STOP_MS);
    // Its exit, not its `done`: something it left behind may hold its output open for ever.
    await this.exited;
    clearTimeout(force);
    await this.#killLeft();
    this.child.stdout?.destroy();
    this.child.stderr?.destroy();
  }

  /** Ends what the program has left behind, known by its mark. */
  async #killLeft(): Promise<void> {
    for (const entry of await survivors({ mark: this.mark })) {
      try {
        process.kill(Number.parseInt(entry, 10), 'SIGKILL');
      } catch {
        // Gone already.
      }
    }
  }

  private watch(name: string, timeoutMs: number | undefined): Promise<Run> {
    return new Promise<Run>((resolve, reject) => {
      let size = 0;
      const collect = (into: Buffer[]) => (chunk: Buffer) => {
        size += chunk.length;
        if (size > OUTPUT_LIMIT_BYTES) this.kill('SIGKILL');
        else into.push(chunk);
      };
      this.child.stdout?.on('data', collect(this.out));
      this.child.stderr?.on('data', collect(this.err));
      let late = false;
      const timer =
        timeoutMs === undefined
          ? undefined
          : setTimeout(() => {
              late = true;
              this.kill('SIGKILL');
              // It may have ended, and what it left holds its output open.
              void this.#killLeft();
            }, timeoutMs);
      void this.exited.then(() => (this.ended = true));
      const finish = () => clearTimeout(timer);
      this.child.once('error', (error) => {
        finish();
        reject(error);
      });
      this.child.once('close', (status, signal) => {
        finish();
        if (late) reject(new Error(`${name} was still running after ${timeoutMs} ms; stderr:\n${this.stderr}`));
        else resolve({ status, signal, stdout: Buffer.concat(this.out), stderr: Buffer.concat(this.err) });
      });
    });
  }
}

/** Starts a program that lives until the scope ends. */
export function start(scope: Scope, file: string, args: readonly string[], options: StartOptions = {}): Program {
  const program = new Program(file, args, options);
  scope.add(() => program.stop());
  return program;
}

/** Deadline of one command that is expected to end by itself. */
export const RUN_MS = 60_000;

/** Runs a program to its end. */
export function run(file: string, args: readonly string[], options: StartOptions = {}): Promise<Run> {
  return new Program(file, args, { timeoutMs: RUN_MS, ...options }).done;
}

/** Whose processes: by a program's mark, by text in their environment, or by user id. */
export interface Whose {
  mark?: string;
  environment?: string;
  uid?: number;
}

/** Living processes of `of`, as "pid command". A login starts with a fresh environment, without marks. */
export async function survivors(of: Whose): Promise<string[]> {
  const found: string[] = [];
  for (const pid of await readdir('/proc')) {
    if (!/^\d+$/.test(pid)) continue;
    try {
      const state = (await readFile(`/proc/${pid}/stat`, 'latin1')).replace(/^.*\) /s, '')[0];
      if (state === 'Z' || state === 'X') continue;
      const environment = await readFile(`/proc/${pid}/environ`, 'latin1');
      const marked = (of.mark !== undefined && environment.includes(`${MARK}=${of.mark}`)) || (of.environment !== undefined && environment.includes(of.environment));
      const owned = of.uid !== undefined && (await stat(`/proc/${pid}`)).uid === of.uid;
      if (!marked && !owned) continue;
      const command = (await readFile(`/proc/${pid}/cmdline`, 'latin1')).replaceAll('\0', ' ').slice(0, 200);
      found.push(`${pid} ${command}`);
    } catch {
      // It ended while we looked.
    }
  }
  return found;
}

/** Fails when a process of `of` is still alive after the deadline. */
export async function expectNoSurvivors(of: Whose, deadlineMs?: number): Promise<void> {
  let last: string[] = [];
  try {
    await waitFor('all processes to end', async () => (last = await survivors(of)).length === 0, deadlineMs);
  } catch (error) {
    throw new Error(`still alive:\n${last.join('\n')}`, { cause: error });
  }
}
