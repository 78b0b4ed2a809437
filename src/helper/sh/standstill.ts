import { Fault } from '../../base/errors.js';

/** Looks further apart than this mean that we stood still ourselves. */
const LOOK_MOST_MS = 1_000;

/**
 * Notices that the same thing has not got across, one way or the other, for as long as a lost session would be fought
 * for, though the device answers. Nobody else would: a device that talks owes nothing. Counted look by look while a
 * login is there, so that neither a lost session nor a machine that slept adds to it.
 */
export class Standstill {
  readonly #graceSeconds: number;
  readonly #up = { thing: undefined as string | undefined, ms: 0 };
  readonly #down = { thing: undefined as string | undefined, ms: 0 };
  #lookedAt = 0;

  constructor(graceSeconds: number) {
    this.#graceSeconds = graceSeconds;
  }

  /** `head`: the oldest line that is not acknowledged; `hole`: the output that has been missing for longest, by a name. */
  look(head: { q: number; chars: number } | undefined, hole: string | undefined, now: number): Fault | undefined {
    const ms = Math.min(LOOK_MOST_MS, now - this.#lookedAt);
    this.#lookedAt = now;
    count(this.#up, head === undefined ? undefined : String(head.q), ms);
    count(this.#down, hole, ms);
    const seconds = this.#graceSeconds;
    if (head !== undefined && this.#up.ms >= seconds * 1_000) {
      return new Fault('DEVICE_LOST', `The device answers, but ${head.chars} characters that were sent to it have not arrived whole, or found no room there, for ${seconds} s.`);
    }
    if (this.#down.ms < seconds * 1_000) return undefined;
    return new Fault('DEVICE_LOST', `The device answers, but a piece of output has not arrived from it for ${seconds} s.`);
  }
}

function count(wait: { thing: string | undefined; ms: number }, thing: string | undefined, ms: number): void {
  wait.ms = thing !== undefined && thing === wait.thing ? wait.ms + ms : 0;
  wait.thing = thing;
}
