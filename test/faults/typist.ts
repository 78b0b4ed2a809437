import type { Program } from '../support/program.js';
import { waitFor } from '../support/wait.js';
import { cutBy, OK, ssh, Wrong, type Judgement, type Task } from './work.js';

/**
 * An interactive terminal in which a line is typed every 100 ms: its slowest echo is how long the
 * fault was felt.
 */
export class Typist {
  readonly #program: Program;
  readonly #sentAt: number[] = [];
  readonly #timer: NodeJS.Timeout;
  #heard = 0;
  #ready = false;
  #rest = '';
  #wrong: string | undefined;
  /** Milliseconds. */
  slowest = 0;

  constructor(task: Task) {
    this.#program = ssh(task, ['-tt', 'host', 'stty raw -echo; echo ready; exec cat'], 'open');
    this.#program.child.stdout?.on('data', (bytes: Buffer) => this.#take(bytes.toString('latin1')));
    this.#timer = setInterval(() => this.#type(), 100);
  }

  /** The terminal is over, by whatever reason. */
  get ended(): Promise<void> {
    return this.#program.exited;
  }

  get echoed(): number {
    return this.#heard;
  }

  get ready(): boolean {
    return this.#ready;
  }

  get running(): boolean {
    return this.#program.running;
  }

  get stderr(): string {
    return this.#program.stderr;
  }

  #type(): void {
    if (!this.#ready || !this.#program.running) return;
    this.#program.child.stdin?.write(`${this.#sentAt.length} some words\n`);
    this.#sentAt.push(performance.now());
  }

  #take(text: string): void {
    this.#rest += text;
    for (let end = this.#rest.indexOf('\n'); end >= 0; end = this.#rest.indexOf('\n')) {
      const line = this.#rest.slice(0, end);
      this.#rest = this.#rest.slice(end + 1);
      if (!this.#ready) {
        if (line.trim() === 'ready') this.#ready = true;
        continue;
      }
      if (line !== `${this.#heard} some words`) this.#wrong ??= `line ${this.#heard} came back as ${JSON.stringify(line.slice(0, 80))}`;
      this.slowest = Math.max(this.slowest, performance.now() - (this.#sentAt[this.#heard] ?? 0));
      this.#heard += 1;
    }
  }

  /** Stops typing, waits for the last echo, ends the terminal. */
  async finish(deadlineMs: number): Promise<Judgement> {
    clearInterval(this.#timer);
    await waitFor('the last echo', () => !this.#program.running || this.#heard === this.#sentAt.length, deadlineMs).catch(() => {
      throw new Wrong(`the terminal hung: ${this.#heard} of ${this.#sentAt.length} lines echoed`);
    });
    if (this.#wrong !== undefined) throw new Wrong(`terminal: ${this.#wrong}`);
    const lives = this.#program.running;
    if (lives) this.#program.kill('SIGTERM');
    const result = await this.#program.done;
    if (lives) return OK;
    return cutBy(result) ?? (() => { throw new Wrong(`the terminal ended with status ${result.status}`); })();
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}
