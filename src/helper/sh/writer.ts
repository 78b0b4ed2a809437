import type { Carrier } from '../../link/carrier.js';

/** Unsent bytes in the carrier's socket above which the next frame waits. */
const CARRIER_BOUND_BYTES = 64 * 1024;
const RETRY_MS = 5;

/**
 * Puts lines into as few command frames as possible (each one may kill the stock agent's session):
 * what is written in one turn of the event loop goes together, and one frame is sent per turn.
 */
export class FrameWriter {
  #carrier: Carrier | undefined;
  #text = '';
  #scheduled = false;
  #sentAt = Number.NEGATIVE_INFINITY;
  /** Called before a frame is cut, to add what can travel along. */
  readonly #gather: () => void;
  /** Most characters of a frame that the path bears, below the carrier's own bound. */
  readonly #most: () => number;

  constructor(gather: () => void, most: () => number) {
    this.#gather = gather;
    this.#most = most;
  }

  use(carrier: Carrier | undefined): void {
    this.#carrier = carrier;
    this.#text = '';
  }

  write(text: string): void {
    if (this.#carrier === undefined) return;
    this.#text += text;
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#flush(true);
    });
  }

  #flush(first: boolean): void {
    if (first && this.#carrier !== undefined) this.#gather();
    this.#scheduled = false;
    const carrier = this.#carrier;
    if (carrier === undefined || this.#text === '') return;
    const again = (): void => {
      this.#flush(false);
    };
    this.#scheduled = true;
    if (carrier.buffered > CARRIER_BOUND_BYTES) {
      setTimeout(again, RETRY_MS).unref();
      return;
    }
    const gap = this.#sentAt + (carrier.manners?.frameGapMs ?? 0) - performance.now();
    if (gap > 0) {
      setTimeout(again, gap).unref();
      return;
    }
    this.#sentAt = performance.now();
    const frame = this.#text.slice(0, Math.min(carrier.maxWrite, this.#most()));
    this.#text = this.#text.slice(frame.length);
    carrier.write(frame);
    if (this.#text === '') this.#scheduled = false;
    else setImmediate(again);
  }
}
