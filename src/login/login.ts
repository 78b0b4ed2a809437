import { Fault, toFault } from '../base/errors.js';
import type { Log } from '../base/log.js';
import { peerWords } from '../base/words.js';
import type { Carrier } from '../link/carrier.js';
import { STATUS_LOGIN_FAILED, STATUS_SHELL_ENDED } from '../protocol/constants.js';
import { newRequestId } from '../protocol/encode.js';
import { AgentKind } from './agent-kind.js';
import { DEVICE_RETURN_MS, DeviceLeg } from './device-leg.js';
import { AgentReturned, DeviceAbsent, LoginUnanswered, ShellEnded } from './faults.js';
import { OwnLogins, type LoginCredential } from './own-logins.js';
import { Pacer } from './pacer.js';
import { Refusals } from './refusals.js';
import { EarlyText, TerminalCarrier } from './terminal.js';
import type { DeviceUp, PeerFrame, Tunnel } from '../tunnel/tunnel.js';

/** For the device leg to come up before a login is given up. */
export const DEVICE_WAIT_MS = 30_000;
/** From `connect` to the first sign that the device accepted or refused; PAM delays refusals by seconds. */
export const LOGIN_DEADLINE_MS = 20_000;
/**
 * The same for a credential that worked before: a living agent needs 0.2 s, so do not wait longer than
 * this and four times what the last login took. Each login in vain doubles it, for devices that have
 * become slow.
 */
export const RELOGIN_DEADLINE_MS = 3_000;
/** After connect_response a shell that prints no prompt is asked for a sign with an Enter. */
export const SILENT_SHELL_MS = 2_000;
/** A session that was answered late is good for so long: the password may have been changed since. */
const LATE_MS = 60_000;
/** Most characters of a peer's words in a log. */
const WORDS_SHOWN = 200;

export interface LoginOptions {
  log: Log;
  deviceWaitMs?: number;
  loginDeadlineMs?: number;
  reloginDeadlineMs?: number;
  silentShellMs?: number;
  /** Default: nothing is known of logins before. */
  own?: OwnLogins;
}

interface Pending {
  requestId: string;
  again: boolean;
  /** When connect_response came, if it did. */
  respondedAt: number | undefined;
  early: EarlyText;
  accept(): void;
  fail(fault: Fault): void;
}

/**
 * Logs in through the tunnel, as often as needed, and hands out the terminal of the newest login. It
 * owns the tunnel from start() to close(). There is one login at a time: the agent has one session,
 * and a new `connect` silently replaces the old.
 */
export class Login {
  readonly #tunnel: Tunnel;
  readonly #log: Log;
  readonly #options: Required<Omit<LoginOptions, 'log' | 'own'>>;
  readonly #agent = new AgentKind();
  readonly #pacer: Pacer;
  readonly #leg: DeviceLeg;
  readonly #refusals = new Refusals();
  /** Of the newest login, to know it in what the other side says. */
  #password = '';
  /** This one and those before, which may still be answered when their time is over. */
  readonly #own: OwnLogins;
  /** For an agent that may have been restarted in the middle of the login. */
  #restart: NodeJS.Timeout | undefined;
  #pending: Pending | undefined;
  /** A session that nobody waits for any more, of an agent that ignores other logins while it has one (C#). */
  #late: { requestId: string; early: EarlyText; at: number } | undefined;
  #carrier: TerminalCarrier | undefined;
  /** The newest session, while nothing says that the device has given it up. */
  #lastId: string | undefined;
  /** What the last login took, and how often one was in vain since. */
  #loginMs = 0;
  #inVain = 0;
  /** The tunnel is over for good. */
  onEnded: (fault: Fault) => void = () => undefined;

  constructor(tunnel: Tunnel, options: LoginOptions) {
    this.#tunnel = tunnel;
    this.#pacer = new Pacer(tunnel, () => this.#agent.manners.frameGapMs);
    this.#log = options.log.child({ part: 'login' });
    this.#options = {
      deviceWaitMs: options.deviceWaitMs ?? DEVICE_WAIT_MS,
      loginDeadlineMs: options.loginDeadlineMs ?? LOGIN_DEADLINE_MS,
      reloginDeadlineMs: options.reloginDeadlineMs ?? RELOGIN_DEADLINE_MS,
      silentShellMs: options.silentShellMs ?? SILENT_SHELL_MS,
    };
    this.#own = options.own ?? new OwnLogins();
    this.#leg = new DeviceLeg(tunnel, this.#options.deviceWaitMs);
  }

  start(): void {
    this.#tunnel.start({
      open: () => {
        this.#leg.tunnelOpened();
      },
      deviceUp: (device) => {
        this.#deviceUp(device);
      },
      frame: (frame) => {
        this.#take(frame);
      },
      lost: ({ cause }) => {
        this.#leg.tunnelLost(cause);
        this.#drop(cause);
      },
      ended: (fault) => {
        this.#drop(fault);
        this.#leg.end(fault);
        this.onEnded(fault);
      },
    });
  }

  /**
   * Resolves with the terminal once the device has accepted the credential. Rejects with DENIED when
   * it refused, DEVICE_LOST when it did not answer, TUNNEL when the tunnel is over. `again`: this
   * credential was accepted before.
   */
  async open(credential: LoginCredential, again: boolean, signal: AbortSignal): Promise<Carrier> {
    await this.#leg.wait(signal);
    if (signal.aborted) throw givenUp(signal);
    const late = this.#late;
    this.#drop(new Fault('DEVICE_LOST', 'The session was replaced by a new login.'));
    if (late?.early.isSign === true && performance.now() - late.at < LATE_MS && this.#own.isOf(late.requestId, credential)) {
      this.#password = credential.password;
      this.#inVain = 0;
      this.#refusals.accepted();
      this.#lastId = late.requestId;
      this.#carrier = new TerminalCarrier(this.#pacer, this.#agent, late.requestId, late.early);
      return this.#carrier;
    }
    const requestId = newRequestId();
    this.#own.begin(requestId, credential);
    this.#password = credential.password;
    const began = performance.now();
    return await new Promise<Carrier>((resolve, reject) => {
      const deadlineMs = again ? this.#patience() : this.#options.loginDeadlineMs;
      let silent: NodeJS.Timeout | undefined;
      const settle = (): void => {
        clearTimeout(deadline);
        clearTimeout(silent);
        signal.removeEventListener('abort', onAbort);
        if (this.#pending === pending) this.#pending = undefined;
      };
      const pending: Pending = {
        requestId,
        again,
        respondedAt: undefined,
        early: new EarlyText(),
        accept: () => {
          settle();
          this.#loginMs = performance.now() - began;
          this.#inVain = 0;
          this.#refusals.accepted();
          this.#lastId = requestId;
          this.#carrier = new TerminalCarrier(this.#pacer, this.#agent, requestId, pending.early);
          resolve(this.#carrier);
        },
        fail: (fault) => {
          settle();
          reject(fault);
        },
      };
      const onAbort = (): void => {
        this.#own.expire(requestId);
        pending.fail(givenUp(signal));
      };
      const deadline = setTimeout(() => {
        this.#inVain += 1;
        this.#own.expire(requestId);
        pending.fail(
          this.#leg.assumed && pending.respondedAt === undefined ? new DeviceAbsent('does not answer at') : new LoginUnanswered((deadlineMs / 1000).toFixed(1)),
        );
      }, deadlineMs);
      const askSilentShell = (): void => {
        silent = setTimeout(() => {
          if (pending.respondedAt !== undefined) this.#pacer.send({ operation: 'command', requestId, data: '\r' });
          askSilentShell();
        }, this.#options.silentShellMs);
      };
      askSilentShell();
      signal.addEventListener('abort', onAbort);
      this.#pending = pending;
      try {
        const sent = this.#tunnel.send({ operation: 'connect', requestId, username: credential.user, password: credential.password });
        if (!sent) pending.fail(new Fault('DEVICE_LOST', 'The tunnel closed before the login was sent.'));
      } catch (thrown) {
        // A user or password that no frame can carry.
        pending.fail(toFault(thrown));
      }
    });
  }

  /**
   * The terminal of the newest login once more, after our own connection was lost: the device may know
   * nothing of that, and some agents ignore a second login while they have a session. Undefined when
   * the session is known to be gone, or a new login is the better way.
   */
  async resume(signal: AbortSignal): Promise<Carrier | undefined> {
    if (!this.#agent.keepsSession || this.#lastId === undefined) return undefined;
    await this.#leg.wait(signal);
    if (signal.aborted) throw givenUp(signal);
    if (this.#lastId === undefined) return undefined;
    this.#drop(new Fault('DEVICE_LOST', 'The terminal was taken over.'));
    this.#carrier = new TerminalCarrier(this.#pacer, this.#agent, this.#lastId, new EarlyText());
    return this.#carrier;
  }

  #patience(): number {
    return Math.min(Math.max(this.#options.reloginDeadlineMs, 4 * this.#loginMs) * 2 ** Math.min(this.#inVain, 8), this.#options.loginDeadlineMs);
  }

  get tunnelState(): string {
    return this.#tunnel.state;
  }

  /** Drops the tunnel's connection and makes a new one. */
  reset(cause: string): void {
    this.#leg.forget();
    this.#tunnel.reset(cause);
  }

  async close(): Promise<void> {
    clearTimeout(this.#restart);
    this.#password = '';
    this.#drop(new Fault('DEVICE_LOST', 'The tunnel was closed.'));
    this.#leg.end(new Fault('TUNNEL', 'The tunnel was closed.'));
    await this.#tunnel.close();
  }

  #deviceUp({ repeated, assumed }: DeviceUp): void {
    clearTimeout(this.#restart);
    if (repeated) this.#lastId = undefined;
    // A login sent before this news went to an agent that is no more, or to nobody.
    if (repeated || (!assumed && this.#pending !== undefined)) this.#drop(new AgentReturned());
    if (assumed) this.#log.info('the platform did not say whether the device is there; trying it');
    this.#leg.up(assumed);
  }

  /** The present session or login is gone. */
  #drop(cause: Fault): void {
    this.#pending?.fail(cause instanceof AgentReturned ? cause : new Fault('DEVICE_LOST', cause.message, { cause }));
    const carrier = this.#carrier;
    this.#carrier = undefined;
    this.#late = undefined;
    // What still waits was typed for the session that is gone.
    this.#pacer.clear();
    carrier?.lose(cause);
  }

  #take(frame: PeerFrame): void {
    const pending = this.#pending;
    switch (frame.operation) {
      case 'connect_response':
        if (pending === undefined) {
          if (this.#carrier === undefined && frame.bare !== true && this.#own.takeExpired(frame.requestId)) this.#answeredLate(frame.requestId, frame.data);
          else this.#carrier?.deliver(frame.data);
          return;
        }
        if (this.#own.isAnothers(frame.requestId)) {
          this.#log.info('an earlier login, with another credential, was answered, late');
          return;
        }
        pending.respondedAt = performance.now();
        this.#agent.answered(frame.bare === true);
        // The C# agent answers after authentication, with the first output, which it may have sent
        // before as well. The C agent answers before it, without: what came earlier was printed by a
        // session that is gone now, perhaps under another password.
        if (frame.bare === true) pending.early.clear();
        pending.early.push(frame.data);
        if (pending.early.isSign) pending.accept();
        return;
      case 'command_response':
        if (pending === undefined) {
          if (this.#late?.requestId === frame.requestId) this.#late.early.push(frame.data);
          else this.#carrier?.deliver(frame.data);
          return;
        }
        if (this.#own.isAnothers(frame.requestId)) return;
        pending.early.push(frame.data);
        if (pending.respondedAt !== undefined && pending.early.isSign) pending.accept();
        return;
      case 'disconnect':
        if (frame.status === STATUS_LOGIN_FAILED && this.#own.isEarlier(frame.requestId)) this.#log.debug('an earlier login was refused, late');
        else this.#disconnected(frame.status, frame.message);
    }
  }

  #answeredLate(requestId: string, data: Buffer): void {
    this.#agent.answered(false);
    this.#late = { requestId, early: new EarlyText(), at: performance.now() };
    this.#late.early.push(data);
    this.#log.info('a login was answered when its time was over; its session is kept for the next of the same credential');
  }

  /** The other side's words for a log and an error; it knows the password and may repeat it. */
  #quoted(words: string): string {
    if (this.#password !== '' && words.includes(this.#password)) return 'words left out: they hold the password';
    return peerWords(words.trim(), WORDS_SHOWN).replaceAll(/[^\x20-\x7e]/g, '?');
  }

  #disconnected(status: string, message: string): void {
    const said = this.#quoted(`${status} ${message}`);
    const pending = this.#pending;
    // Without a session there is no end of one: a platform that says so all day must not fill the log.
    const level = this.#carrier === undefined ? 'debug' : 'info';
    if (pending === undefined) this.#lastId = undefined;
    if (pending === undefined && status === STATUS_SHELL_ENDED) {
      // Its text speaks of idling; the agent sends it whenever the shell is gone.
      this.#log[level]('the login shell on the device ended');
      this.#drop(new ShellEnded());
      return;
    }
    if (pending === undefined) {
      this.#log[level]({ said }, 'the device ended the session');
      this.#leg.mayBeGone();
      this.#drop(new Fault('DEVICE_LOST', `The device ended the session (${said || 'no reason given'}).`));
      return;
    }
    // The end of the replaced session's shell, late.
    if (status === STATUS_SHELL_ENDED) return;
    const verdict = this.#refusals.judge({ status, said, again: pending.again, respondedAt: pending.respondedAt });
    if (verdict === 'wait') {
      clearTimeout(this.#restart);
      this.#restart = setTimeout(() => {
        if (this.#pending === pending) this.#disconnected(status, message);
      }, DEVICE_RETURN_MS);
    } else if (verdict === 'gone') {
      this.#leg.mayBeGone();
      pending.fail(new Fault('DEVICE_LOST', `The device ended the session during login (${said || 'no reason given'}).`));
    } else {
      if (verdict.code === 'DENIED') this.#log.info({ said }, 'the device refused the login');
      pending.fail(verdict);
    }
  }
}

function givenUp(signal: AbortSignal): Fault {
  return new Fault('DEVICE_LOST', 'The login was given up.', { cause: signal.reason });
}
