/** What the failed tries to start one tier add up to: which is the last, and what is told then. */
import type { Fault } from '../base/errors.js';
import { NoShell, ShellBusy } from '../helper/boot.js';
import { AgentReturned, LoginUnanswered, ShellEnded } from '../login/faults.js';

/** Logins in which one tier may fail to start: each may die in silence, as the stock agent's do. */
export const START_LOGINS = 6;
/** Logins in a row whose shell takes nothing, until it is believed that it never will: 90 s. */
export const BUSY_LOGINS = 3;
/** Logins whose shell ended by itself, or which the stock agent leaves unanswered behind such an end: it hangs then, whatever is tried. */
export const SHELL_ENDED_LOGINS = 3;

export class StartTries {
  #count = 0;
  #busy = 0;
  #ended = 0;
  #shellEnded: Fault | undefined;
  #last: Fault | undefined;

  /** Counts one that failed; the reason, as it is to be understood after those before. */
  failed(fault: Fault): Fault {
    // The agent was not there to be tried.
    if (AgentReturned.isBehind(fault)) return fault;
    this.#count += 1;
    this.#busy = fault instanceof ShellBusy ? this.#busy + 1 : 0;
    if (ShellEnded.isBehind(fault)) {
      this.#shellEnded ??= fault;
      this.#ended += 1;
    } else if (this.#shellEnded !== undefined && fault instanceof LoginUnanswered) this.#ended += 1;
    else {
      this.#shellEnded = undefined;
      this.#ended = 0;
    }
    this.#last = this.#shellEnded ?? fault;
    return this.#busy >= BUSY_LOGINS ? new NoShell() : fault;
  }

  get count(): number {
    return this.#count;
  }

  /** No more tries: what is told. */
  get over(): Fault | undefined {
    return this.#count >= START_LOGINS || this.#ended >= SHELL_ENDED_LOGINS ? this.#last : undefined;
  }
}
