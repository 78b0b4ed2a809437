/**
 * One direction towards a leg: frames leave in the order they came, each when its time has come.
 * The delay is like a longer cable: any number of frames may be under way at once.
 */
export interface Departure {
  bytes: Buffer;
  binary: boolean;
}

/** Departed items kept at the front of the array before it is compacted. */
const COMPACT_ITEMS = 1_024;

interface Item extends Departure {
  dueAt: number;
  until: Promise<unknown> | undefined;
}

export class DelayLine {
  readonly #depart: (departure: Departure) => void;
  readonly #items: Item[] = [];
  #head = 0;
  #bytes = 0;
  #timer: NodeJS.Timeout | undefined;
  #waiting = false;
  #closed = false;

  constructor(depart: (departure: Departure) => void) {
    this.#depart = depart;
  }

  /** Bytes that have not departed. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Departs after `delayMs`, after `until` has settled, and after everything pushed before. */
  push(departure: Departure, delayMs: number, until?: Promise<unknown>): void {
    if (this.#closed) return;
    if (delayMs === 0 && until === undefined && this.#items.length === 0) {
      this.#depart(departure);
      return;
    }
    this.#items.push({ ...departure, dueAt: performance.now() + delayMs, until });
    this.#bytes += departure.bytes.length;
    this.#run();
  }

  /** Drops what has not departed. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#items.length = 0;
    this.#head = 0;
    this.#bytes = 0;
  }

  #run(): void {
    if (this.#timer !== undefined || this.#waiting) return;
    for (;;) {
      const item = this.#items[this.#head];
      if (item === undefined) break;
      if (item.until !== undefined) {
        this.#waitFor(item);
        return;
      }
      const leftMs = item.dueAt - performance.now();
      if (leftMs > 0) {
        this.#timer = setTimeout(() => {
          this.#timer = undefined;
          this.#run();
        }, Math.ceil(leftMs));
        return;
      }
      this.#bytes -= item.bytes.length;
      if (++this.#head === COMPACT_ITEMS || this.#head === this.#items.length) {
        this.#items.splice(0, this.#head);
        this.#head = 0;
      }
      this.#depart(item);
    }
  }

  #waitFor(item: Item): void {
    this.#waiting = true;
    const go = (): void => {
      item.until = undefined;
      this.#waiting = false;
      this.#run();
    };
    item.until!.then(go, go);
  }
}
