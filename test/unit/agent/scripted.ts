/** Sessions without shells: what was typed is recorded, what is printed is up to the test. */
import { Fault } from '../../../src/base/errors.js';
import type { Session, SessionSource, Terminal } from '../../../src/agent/session.js';

export class ScriptedSession implements Session {
  state: Session['state'] = 'open';
  onChange: () => void = () => {};
  typed: string[] = [];
  untaken = 0;
  hungUp = false;
  readonly terminal: Terminal;
  #unread = Buffer.alloc(0);

  constructor(terminal: Terminal) {
    this.terminal = terminal;
  }

  read(max: number): Buffer | undefined {
    if (this.#unread.length === 0) return undefined;
    const chunk = Buffer.from(this.#unread.subarray(0, max));
    this.#unread = this.#unread.subarray(max);
    return chunk;
  }

  type(text: string): void {
    this.typed.push(text);
  }

  hangUp(): void {
    this.hungUp = true;
  }

  print(bytes: Buffer | string): void {
    this.#unread = Buffer.concat([this.#unread, Buffer.from(bytes as string)]);
    this.onChange();
  }

  end(state: 'exited' | 'lost'): void {
    this.state = state;
    this.onChange();
  }

  get unread(): number {
    return this.#unread.length;
  }
}

/** Accepts the password "right". */
export class ScriptedSessions implements SessionSource {
  readonly all: ScriptedSession[] = [];
  /** Printed at once by each new session. */
  banner = '';
  checkFault: Fault | undefined;

  async check(): Promise<void> {
    if (this.checkFault !== undefined) throw this.checkFault;
  }

  async open(_user: string, password: string, terminal: Terminal): Promise<Session> {
    if (password !== 'right') throw new Fault('DENIED', 'the device refused this user name and password: check both');
    const session = new ScriptedSession(terminal);
    if (this.banner !== '') session.print(this.banner);
    this.all.push(session);
    return session;
  }

  async close(): Promise<void> {}

  get last(): ScriptedSession {
    return this.all.at(-1)!;
  }
}
