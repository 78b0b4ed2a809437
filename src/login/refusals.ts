/** What a `disconnect` means that comes in the place of a login's success (protocol facts, sections 5b and 5c). */
import { Fault } from '../base/errors.js';
import { STATUS_LOGIN_FAILED } from '../protocol/constants.js';
import { ServerAbsent } from './faults.js';

/**
 * The C agent says the same of a password that is wrong and of an SSH server that is not there. A key
 * exchange and a password take longer than this on any device; a refused connection does not. Believed
 * so often in a row, since devices lock accounts: frames may be late and then come together.
 */
const NO_SERVER_MS = 20;
const NO_SERVER_MOST = 20;

/** The login that it came for. */
export interface Refused {
  status: string;
  /** The other side's words, fit for a log and an error. */
  said: string;
  /** This credential was accepted before. */
  again: boolean;
  /** When connect_response came, if it did. */
  respondedAt: number | undefined;
}

export class Refusals {
  /** Logins in a row that found no SSH server. */
  #noServer = 0;
  /** The device's leg closed before a first login was answered: a second time in a row is a refusal. */
  #unanswered = false;

  accepted(): void {
    this.#noServer = 0;
    this.#unanswered = false;
  }

  /** 'wait': the agent may come back; if it does not, ask once more. 'gone': DEVICE_LOST, and perhaps the device with it. */
  judge({ status, said, again, respondedAt }: Refused): 'wait' | 'gone' | Fault {
    // The C# agent refuses by closing its WebSocket, of which we see whatever the platform says. An agent that is
    // restarted looks the same until it is back.
    const closed = status !== STATUS_LOGIN_FAILED && !again && respondedAt === undefined;
    if (closed && !this.#unanswered) {
      this.#unanswered = true;
      return 'wait';
    }
    if (status !== STATUS_LOGIN_FAILED && !closed) return 'gone';
    this.#unanswered = false;
    const tookMs = performance.now() - (respondedAt ?? Number.NEGATIVE_INFINITY);
    if (again && tookMs < NO_SERVER_MS && this.#noServer < NO_SERVER_MOST) {
      this.#noServer += 1;
      return new ServerAbsent(said || 'no reason');
    }
    return new Fault('DENIED', `The device refused the login (${said || 'no reason given'}).`);
  }
}
