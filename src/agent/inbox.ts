/**
 * Messages on their way to the engine: in order, one per scheduling turn, and with the read-one-message
 * fault of noPoll 0.4.8 where the profile has it.
 */
export type Item =
  | { kind: 'message'; bytes: Buffer; binary: boolean }
  | { kind: 'ping'; data: Buffer }
  | { kind: 'pong' };

/** Messages that may wait; beyond it the socket is not read. */
const WAITING_BOUND = 1024;

export interface InboxOptions {
  oneMessagePerRead: boolean;
  handle: (item: Item) => Promise<void>;
  /** Stop and go for the socket. */
  pause: () => void;
  resume: () => void;
}

export class Inbox {
  readonly #options: InboxOptions;
  readonly #ready: Item[] = [];
  /** Read already (they sit in the TLS library's buffer), and not looked at before the next read. */
  readonly #held: Item[] = [];
  #firstOfRead = true;
  #running = false;
  #stopped = false;
  #full = false;

  constructor(options: InboxOptions) {
    this.#options = options;
  }

  /** A new read of the socket: what the last one left behind has its turn now. */
  nextRead(): void {
    this.#firstOfRead = true;
    if (this.#held.length === 0) return;
    this.#ready.push(...this.#held.splice(0));
    void this.#run();
  }

  push(item: Item): void {
    const held = this.#options.oneMessagePerRead && !this.#firstOfRead;
    this.#firstOfRead = false;
    (held ? this.#held : this.#ready).push(item);
    if (!this.#full && this.#ready.length >= WAITING_BOUND) {
      this.#full = true;
      this.#options.pause();
    }
    void this.#run();
  }

  /** Puts `item` behind the message that waits next, which is returned; `item` itself when none waits. */
  exchange(item: Item): Item {
    const next = this.#ready.shift();
    if (next === undefined) return item;
    this.#ready.unshift(item);
    return next;
  }

  get waiting(): number {
    return this.#ready.length;
  }

  /** Nothing is handled any more. */
  stop(): void {
    this.#stopped = true;
    this.#ready.length = 0;
    this.#held.length = 0;
  }

  async #run(): Promise<void> {
    if (this.#running) return;
    this.#running = true;
    for (;;) {
      const item = this.#stopped ? undefined : this.#ready.shift();
      if (item === undefined) break;
      await this.#options.handle(item);
      await turn();
      if (this.#full && this.#ready.length < WAITING_BOUND / 2) {
        this.#full = false;
        this.#options.resume();
      }
    }
    this.#running = false;
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
