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

/** A WebSocket frame's header, for the messages that matter here. */
const HEADER_BYTES = 4;

export interface InboxOptions {
  oneMessagePerRead: boolean;
  /** Bytes of a TLS record: a message of one read that lies across a record's end is lost; 0 never. */
  recordBytes: number;
  /** Such a message was lost. */
  cut: () => void;
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
  /** Bytes of messages since the last read began. */
  #readBytes = 0;
  #running = false;
  #stopped = false;
  #full = false;

  constructor(options: InboxOptions) {
    this.#options = options;
  }

  /** A new read of the socket: what the last one left behind has its turn now. */
  nextRead(): void {
    this.#firstOfRead = true;
    this.#readBytes = 0;
    if (this.#held.length === 0) return;
    this.#ready.push(...this.#held.splice(0));
    void this.#run();
  }

  push(item: Item): void {
    if (item.kind === 'message' && this.#isCut(item.bytes.length)) return this.#options.cut();
    const held = this.#options.oneMessagePerRead && !this.#firstOfRead;
    this.#firstOfRead = false;
    (held ? this.#held : this.#ready).push(item);
    if (!this.#full && this.#ready.length >= WAITING_BOUND) {
      this.#full = true;
      this.#options.pause();
    }
    void this.#run();
  }

  /** Whether a record ends inside the next message of so many bytes. */
  #isCut(length: number): boolean {
    const { recordBytes } = this.#options;
    const from = this.#readBytes;
    this.#readBytes += HEADER_BYTES + length;
    return recordBytes > 0 && Math.floor(from / recordBytes) !== Math.floor((this.#readBytes - 1) / recordBytes);
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
