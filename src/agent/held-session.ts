/**
 * The one session that an agent has: what the agent takes it for, its output, what is typed into it,
 * and the ways in which it goes.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Behaviour } from './behaviour.js';
import type { Dice } from './dice.js';
import { Output } from './output.js';
import type { Session } from './session.js';
import type { AgentStats } from './stats.js';
import type { Wire } from './wire.js';

/** Text that may wait for a shell that does not read; one byte more ends the session. */
const TYPED_BOUND_BYTES = 16 * 1024 * 1024;
/** Where typing blocks: the SSH window and terminal buffer of a shell that does not read. */
const BLOCKING_BYTES = 64 * 1024;
/** Most first output that travels in a connect_response. */
const FIRST_OUTPUT_BYTES = 4096;

export interface HeldSessionOptions {
  behaviour: Behaviour;
  dice: Dice;
  stats: AgentStats;
  wire: Wire;
  /** The request id for output that is sent now. */
  outputId: () => string;
  /** The shell or its SSH server went away, and the agent sees it. */
  ended: (how: 'exited' | 'lost') => void;
}

export class HeldSession {
  readonly output: Output;
  readonly #options: HeldSessionOptions;
  #session: Session | undefined;
  #state: 'none' | 'open' | 'dead' | 'ended' = 'none';
  #hangNext = false;
  #wake: () => void = () => {};

  constructor(options: HeldSessionOptions) {
    const { behaviour, dice, stats, wire, outputId } = options;
    this.#options = options;
    this.output = new Output({ behaviour, dice, stats, wire, id: outputId, ended: (how) => this.#ended(how) });
  }

  /** `dead`: its leg died silently. `ended`: the shell or its SSH server went away. */
  get state(): 'none' | 'open' | 'dead' | 'ended' {
    return this.#state;
  }

  /** A login made it; nothing of its output is shown before `show`. */
  take(session: Session): void {
    this.#session = session;
    this.#state = 'open';
  }

  /** What the login prints in its first moments. */
  async firstOutput(session: Session): Promise<Buffer[]> {
    const { behaviour } = this.#options;
    await delay(behaviour.firstOutputMs);
    const chunks: Buffer[] = [];
    for (let bytes = 0; bytes < FIRST_OUTPUT_BYTES; ) {
      const chunk = session.read(Math.min(behaviour.readBytes, FIRST_OUTPUT_BYTES - bytes));
      if (chunk === undefined) break;
      chunks.push(chunk);
      bytes += chunk.length;
    }
    return chunks;
  }

  show(session: Session): void {
    // It may have gone in its first moments, and that be told already.
    if (session !== this.#session) return;
    session.onChange = () => {
      this.output.pump();
      this.#wake();
    };
    this.output.attach(session);
  }

  /** Resolves when the agent is done with typing, which a hang or a shell that does not read may put off for ever. */
  async type(text: string): Promise<void> {
    const { behaviour, dice, stats } = this.#options;
    const session = this.#session;
    if (session === undefined || text === '') return;
    stats.bytesTyped += Buffer.byteLength(text);
    session.type(text);
    if (session.untaken > TYPED_BOUND_BYTES) return this.kill();
    const hangs = this.#hangNext || (session.carried === true && dice.roll('hangRate', behaviour.hangRate));
    this.#hangNext = false;
    const lives = (): boolean => session === this.#session && session.state === 'open';
    while (hangs && lives()) await this.#change();
    while (behaviour.typingBlocks && session.untaken > BLOCKING_BYTES && lives()) await this.#change();
  }

  /** The next command is typed for as long as its session lives. */
  hangNext(): void {
    this.#hangNext = true;
  }

  /** The SSH leg dies and nobody says so. */
  dieSilently(): void {
    this.drop();
    this.#state = 'dead';
  }

  /** The session is killed under the agent, as when its sshd process is killed. */
  kill(): void {
    this.#endUnder('lost');
  }

  /** The login shell ends. */
  endShell(): void {
    this.#endUnder('exited');
  }

  /** Lets go of the session without a word to anybody. */
  drop(): void {
    const session = this.#session;
    this.#session = undefined;
    this.#state = 'none';
    this.output.detach();
    this.#wake();
    if (session === undefined) return;
    session.onChange = () => {};
    session.hangUp();
  }

  #endUnder(how: 'exited' | 'lost'): void {
    const had = this.#session !== undefined;
    this.drop();
    if (had) this.#ended(how);
  }

  #ended(how: 'exited' | 'lost'): void {
    this.#session = undefined;
    this.#state = 'ended';
    this.#wake();
    this.#options.ended(how);
  }

  /** Resolves when something about the session has changed. */
  #change(): Promise<void> {
    return new Promise((resolve) => (this.#wake = resolve));
  }
}
