import type { Manners } from '../link/carrier.js';

/**
 * An agent of the C family gets frames one by one and few at a time: it dies of floods, and its process
 * with it, which is the device's application. At most 200 a second.
 */
const C_FRAME_GAP_MS = 5;
/** Each acknowledgement that comes while it types is a danger too, so few of them: one a window. */
const C_WINDOW_BYTES = 128 * 1024;
/**
 * Two frames that meet on the way share a TLS record of 16,384 bytes: so much of each, with what is
 * around it, that the record's end does not cut the second. The agent loses a frame that is cut, and
 * its process with it when the rest happens to begin like JSON (a digit does).
 */
const C_FRAME_CHARS = 8_000;
/**
 * The C agent's first two generations read output only for 100 ms (2 s) after a command. Polling
 * costs frames, so it stops once output came later than any of them would have sent it.
 */
const SPONTANEOUS_MS = 2_500;

const FREE: Manners = { frameGapMs: 0, windowBytes: Infinity, frameChars: Infinity, polled: false, races: false };
const C_CURRENT: Manners = { frameGapMs: C_FRAME_GAP_MS, windowBytes: C_WINDOW_BYTES, frameChars: C_FRAME_CHARS, polled: false, races: true };
const C_UNKNOWN: Manners = { ...C_CURRENT, polled: true };

/** What the agent at the other end shows of itself, and the manners that follow. */
export class AgentKind {
  #family: 'unknown' | 'c' | 'other' = 'unknown';
  #spontaneous = false;

  /** connect_response came; the C agent's has no data at all. */
  answered(bare: boolean): void {
    this.#family = bare ? 'c' : 'other';
  }

  /** Output came this many ms after the last command. */
  heard(sinceCommandMs: number): void {
    if (sinceCommandMs > SPONTANEOUS_MS) this.#spontaneous = true;
  }

  /**
   * An agent that may ignore a second login while its session lives, as the C# agent does. The C agent
   * replaces the session, in less time than asking the old one would take.
   */
  get keepsSession(): boolean {
    return this.#family === 'other';
  }

  get manners(): Manners {
    if (this.#family === 'other') return FREE;
    return this.#spontaneous ? C_CURRENT : C_UNKNOWN;
  }
}
