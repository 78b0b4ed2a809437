/** Global requests (RFC 4254 section 4): answered strictly in the order in which they came. */
import { Fault } from '../base/errors.js';
import { PROOF_REQUEST } from './host-key-proof.js';
import { MAX_WAITING_CONFIRMATIONS, MAX_WAITING_REQUESTS } from './limits.js';
import { message } from './messages.js';
import type { ListenAnswer, RemoteForwards } from './forward-remote.js';
import { pack, type WireReader } from './wire.js';

/** `body` is what the answer says beyond yes. */
type Answer = { granted: boolean; body?: Buffer };

/** A request in its turn. */
interface Place {
  answer: Answer | undefined;
  /** Told once the answer is on its way. */
  answered: (() => void)[];
}

const YES: Answer = { granted: true };
const NO: Answer = { granted: false };

export class GlobalRequests {
  readonly #send: (payload: Buffer) => void;
  readonly #forwards: RemoteForwards;
  readonly #noMoreSessions: () => void;
  readonly #proveHostKeys: (body: WireReader) => Buffer | undefined;
  readonly #waiting: Place[] = [];
  #open = 0;

  constructor(options: { send(payload: Buffer): void; forwards: RemoteForwards; noMoreSessions(): void; proveHostKeys(body: WireReader): Buffer | undefined }) {
    this.#send = options.send;
    this.#forwards = options.forwards;
    this.#noMoreSessions = options.noMoreSessions;
    this.#proveHostKeys = options.proveHostKeys;
  }

  /** `body` stands behind the request's name. */
  handle(name: string, body: WireReader): void {
    const wantReply = body.bool('reply flag');
    const answer = this.#answer(name, body);
    if (answer instanceof Promise) {
      this.#open += 1;
      if (this.#open > MAX_WAITING_REQUESTS) throw new Fault('PROTOCOL', 'The SSH client asks for too many listeners at once.');
    }
    if (!wantReply) {
      if (answer instanceof Promise) void answer.then(() => { this.#open -= 1; });
      return;
    }
    if (!(answer instanceof Promise) && this.#waiting.length === 0) {
      this.#reply(answer);
      return;
    }
    if (this.#waiting.length >= MAX_WAITING_REQUESTS) throw new Fault('PROTOCOL', 'The SSH client has too many unanswered requests.');
    const place: Place = { answer: answer instanceof Promise ? undefined : answer, answered: [] };
    this.#waiting.push(place);
    if (answer instanceof Promise) {
      void answer.then((value) => {
        this.#open -= 1;
        place.answer = value;
        this.#flush();
      });
    }
  }

  /** Resolves when all that came until now has been answered; undefined when it has been. */
  answered(): Promise<void> | undefined {
    const last = this.#waiting.at(-1);
    if (last === undefined) return undefined;
    // A client may close what waits and open more, for as long as the device owes the answer.
    if (last.answered.length >= MAX_WAITING_CONFIRMATIONS) throw new Fault('PROTOCOL', 'The SSH client opens sessions without end and does not wait for an answer.');
    return new Promise((resolve) => last.answered.push(resolve));
  }

  #answer(name: string, body: WireReader): Answer | Promise<Answer> {
    switch (name) {
      case 'tcpip-forward': {
        const host = body.latin1('address');
        const port = body.uint32('port');
        return this.#forwards.listenTcp(host, port).then((answer) => asAnswer(answer, port === 0));
      }
      case 'cancel-tcpip-forward': {
        const host = body.latin1('address');
        return this.#forwards.cancelTcp(host, body.uint32('port')) ? YES : NO;
      }
      case 'streamlocal-forward@openssh.com':
        return this.#forwards.listenUnix(body.bytes('socket path')).then((answer) => asAnswer(answer, false));
      case 'cancel-streamlocal-forward@openssh.com':
        return this.#forwards.cancelUnix(body.bytes('socket path')) ? YES : NO;
      case 'no-more-sessions@openssh.com':
        this.#noMoreSessions();
        return YES;
      case PROOF_REQUEST: {
        const proofs = this.#proveHostKeys(body);
        return proofs === undefined ? NO : { granted: true, body: proofs };
      }
      default:
        // keepalive@openssh.com among them: the failure is the sign of life that the client wants.
        return NO;
    }
  }

  #flush(): void {
    for (let first = this.#waiting[0]; first?.answer !== undefined; first = this.#waiting[0]) {
      this.#waiting.shift();
      this.#reply(first.answer);
      for (const tell of first.answered) tell();
    }
  }

  #reply(answer: Answer): void {
    this.#send(answer.granted ? message.requestSuccess(answer.body) : message.requestFailure());
  }
}

function asAnswer(answer: ListenAnswer, tellPort: boolean): Answer {
  if (answer === undefined) return NO;
  return tellPort && answer.port !== undefined ? { granted: true, body: pack({ uint32: answer.port }) } : YES;
}
