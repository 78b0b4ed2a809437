/** What an agent sends besides the output of a running session, in the words of the real agents. */
import { STATUS_LOGIN_FAILED, STATUS_SHELL_ENDED } from '../protocol/constants.js';
import { encodeUnchecked } from '../protocol/encode.js';
import type { Frame } from '../protocol/frames.js';
import type { Behaviour } from './behaviour.js';
import type { Wire } from './wire.js';

/** How the C# agents close a tunnel in which something was thrown. */
const CLOSE_THROWN = 1011;
/** The stock C agent's words and id for any end of the shell. */
const C_EXIT_ID = 'SSH_timeout_disconnect';
const C_EXIT_TEXT = 'SSH idles for too long, the session will be closed';
const C_FAILURE_TEXT = 'WssClientListenerOnMsg: Create SSH channel failed';
/** What SSH.NET throws when a shell stream that has ended is written to. */
const CSHARP_WRITE_TEXT = "Cannot access a disposed object. Object name: 'ShellStream'.";

export class Replies {
  readonly #wire: Wire;
  readonly #behaviour: Behaviour;

  constructor(wire: Wire, behaviour: Behaviour) {
    this.#wire = wire;
    this.#behaviour = behaviour;
  }

  /** `first`: the login's first output, for agents that answer after it. */
  connected(id: string, first: Buffer[] = []): void {
    // These agents have it as text: what is not UTF-8 is replaced.
    const data = Buffer.from(Buffer.concat(first).toString('utf8'));
    this.#send({ operation: 'connect_response', requestId: id, data });
  }

  /** First output that is shown before its connect_response as well. */
  early(id: string, data: Buffer): void {
    this.#send({ operation: 'command_response', requestId: id, data });
  }

  loginFailed(id: string, reason: string): void {
    if (this.#behaviour.loginFailure === 'close-1011') return this.#wire.close(CLOSE_THROWN, reason);
    this.#send({ operation: 'disconnect', requestId: id, status: STATUS_LOGIN_FAILED, message: C_FAILURE_TEXT });
  }

  shellEnded(): void {
    this.#send({ operation: 'disconnect', requestId: C_EXIT_ID, status: STATUS_SHELL_ENDED, message: C_EXIT_TEXT });
  }

  /** The shell that was to be typed into is no more. */
  typingFailed(): void {
    this.#wire.close(CLOSE_THROWN, CSHARP_WRITE_TEXT);
  }

  #send(frame: Frame): void {
    this.#wire.send(encodeUnchecked(frame, this.#behaviour.json));
  }
}
