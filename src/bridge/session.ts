import { Deadline, delay, passed } from '../base/deadline.js';
import { Fault, toFault } from '../base/errors.js';
import type { Log } from '../base/log.js';
import { boot, NoShell } from '../helper/boot.js';
import { NO_BOOT } from '../helper/raw-backend.js';
import type { Carrier } from '../link/carrier.js';
import { AgentReturned, DeviceAbsent, LoginUnanswered, ServerAbsent } from '../login/faults.js';
import type { Login } from '../login/login.js';
import { HelperGone, type Backend } from '../mux/backend.js';
import type { Device, Tier } from '../mux/device.js';
import type { Credential } from '../ssh/gateway.js';
import { BootPatience } from './boot-patience.js';
import { RepairPace } from './pace.js';
import { sayAgain } from './say-again.js';
import { StartTries } from './start-tries.js';
import { SHOW_YOURSELF, Watchdog } from './watchdog.js';

export type TierChoice = Tier | 'auto';

export interface SessionOptions {
  login: Login;
  credential: Credential;
  tier: TierChoice;
  /** How long a lost session is fought for; the helper on the device waits as long. */
  graceMs: number;
  backend(tier: Tier): Backend;
  log: Log;
}

/** The first login may need the tunnel to come up, the device's agent to start, and one repetition. */
const FIRST_LOGIN_MS = 60_000;
/** From the accepted login to a helper that runs, all tiers and tries together. */
const START_MS = 120_000;
/**
 * Refusals of a credential that worked before, until they are believed: the C agent says the same when
 * the device's SSH server is just not there. Few, because devices lock accounts.
 */
const REFUSALS = 4;
const REFUSAL_PAUSE_MS = 1_000;
const RETRY_MIN_MS = 200;
const RETRY_MAX_MS = 5_000;
/** In-band logins tried before the tunnel's connection is replaced. */
const LOGINS_PER_TUNNEL = 2;
/** Time for the helper to take leave over the login that is there. */
const SHUTDOWN_MS = 2_000;
/** And in all, where that one is dead, or the helper is just starting: with time to spare before the process is cut. */
const LEAVE_MS = 7_000;
/** After the last of these tiers there is nothing to try. */
const LADDER: readonly Tier[] = ['python', 'sh', 'raw'];

export interface SessionCounters {
  recoveries: number;
  worstRecoveryMs: number;
  nudges: number;
}

/**
 * One device session: a login, the tier that runs on it, and their repair. Everything above sees one
 * Device that is slow at times; it ends once, with a Fault, when repair is impossible.
 */
export class DeviceSession {
  readonly #options: SessionOptions;
  readonly #log: Log;
  readonly #abort = new AbortController();
  readonly #watchdog: Watchdog;
  #backend: Backend | undefined;
  /** The helper that may be on the device, though it has not answered yet. */
  #begun: { backend: Backend; tier: Tier } | undefined;
  /** Ends the start of a helper that was begun; the end of the session alone does not. */
  readonly #starting = new AbortController();
  /** The start, or a repair, that is under way. */
  #work: Promise<void> = Promise.resolve();
  #tier: Tier = 'raw';
  #ended: Fault | undefined;
  #recovering = false;
  readonly #pace = new RepairPace();
  /** When the first session was lost since a promise was kept: relogins without any are one fight. */
  #lostSince: number | undefined;
  readonly #patience = new BootPatience();
  #device!: { promise: Promise<Device>; resolve(device: Device): void; reject(fault: Fault): void };
  readonly counters: SessionCounters = { recoveries: 0, worstRecoveryMs: 0, nudges: 0 };
  /** The session is over for good. */
  onEnd: (fault: Fault) => void = () => undefined;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#log = options.log.child({ part: 'session' });
    let resolve!: (device: Device) => void;
    let reject!: (fault: Fault) => void;
    const promise = new Promise<Device>((yes, no) => {
      resolve = yes;
      reject = no;
    });
    promise.catch(() => undefined);
    this.#device = { promise, resolve, reject };
    this.#watchdog = new Watchdog({
      nudge: (backend) => {
        this.counters.nudges += 1;
        this.#log.debug({ owedMs: Math.round(backend.owedMs()), ...this.counters }, 'the device keeps us waiting; asking it for a sign of life');
        backend.nudge();
      },
      stalled: (owedMs) => {
        this.#lost(new Fault('DEVICE_LOST', `The device answered nothing for ${String(Math.round(owedMs))} ms.`));
      },
      kept: () => {
        this.#lostSince = undefined;
      },
      graceMs: options.graceMs,
    });
  }

  get device(): Promise<Device> {
    return this.#device.promise;
  }

  get ended(): Fault | undefined {
    return this.#ended;
  }

  /** Resolves when the device accepted the credential; the helper then starts by itself. */
  async start(): Promise<void> {
    const limit = new Deadline(FIRST_LOGIN_MS, this.#abort.signal);
    const carrier = await this.#firstLogin(limit).finally(() => {
      limit.clear();
    });
    const late = new Fault('DEVICE_LOST', `The helper did not start on the device within ${String(START_MS / 1000)} s.`);
    const deadline = setTimeout(() => {
      this.end(late);
    }, START_MS);
    this.#work = this.#bringUp(carrier)
      .catch((error: unknown) => {
        this.end(toFault(error));
      })
      .finally(() => {
        clearTimeout(deadline);
      });
  }

  async #firstLogin(limit: Deadline): Promise<Carrier> {
    const { signal } = limit;
    let first: Fault | undefined;
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#options.login.open(this.#options.credential, false, signal);
      } catch (error) {
        const fault = toFault(error);
        // What the end of the time did to the last try is no reason.
        if (limit.passed) throw first ?? fault;
        first ??= fault;
        if (fault.code !== 'DEVICE_LOST' || fault instanceof DeviceAbsent || attempt >= 2 || signal.aborted) throw fault;
        this.#log.info({ reason: fault.message }, 'no answer to the login; trying once more');
        // Half open, as after a sleep of this machine, it would take the second as it took the first.
        if (fault instanceof LoginUnanswered) this.#options.login.reset(fault.message);
      }
    }
  }

  /** Finds the tier that runs: the one asked for, or the first of the ladder that does. */
  async #bringUp(first: Carrier): Promise<void> {
    const { tier } = this.#options;
    const ladder = tier === 'auto' ? LADDER : [tier];
    const started = performance.now();
    let carrier: Carrier | undefined = first;
    let cause: Fault | undefined;
    for (const step of ladder) {
      if (cause instanceof NoShell && step !== 'raw') continue;
      const backend = this.#options.backend(step);
      const tries = new StartTries();
      for (;;) {
        try {
          carrier ??= await this.#options.login.open(this.#options.credential, true, this.#abort.signal);
          await this.#attach(backend, carrier, step, this.#abort.signal, this.#starting.signal);
          // Whoever ended the session waits for this, and takes leave of the helper.
          if (this.#ended !== undefined) return;
          this.#tier = step;
          this.#ready(backend, carrier, Math.round(performance.now() - started));
          return;
        } catch (error) {
          cause = tries.failed(toFault(error));
          carrier = undefined;
          if (cause.code === 'UNSUPPORTED') this.#begun = undefined;
          if (this.#ended !== undefined || cause.code === 'TUNNEL' || cause.code === 'DENIED') throw cause;
          if (cause.code === 'UNSUPPORTED') break;
          this.#log.warn({ tier: step, reason: cause.message }, 'the helper did not start; logging in again');
          if (tries.over !== undefined) throw tries.over;
          // The pause is for a platform that says so without end.
          if (AgentReturned.isBehind(cause)) await delay(RETRY_MIN_MS, this.#abort.signal);
          else if (tries.count % LOGINS_PER_TUNNEL === 0) this.#options.login.reset(cause.message);
        }
      }
      this.#log.info({ tier: step, reason: cause.message }, 'this tier does not run on the device');
    }
    throw cause ?? new Fault('UNSUPPORTED', 'No tier runs on this device.');
  }

  /** `helper`: what ends the start of the helper itself. */
  async #attach(backend: Backend, carrier: Carrier, tier: Tier, signal: AbortSignal, helper = signal): Promise<void> {
    if (tier === 'raw') {
      await backend.attach(carrier, NO_BOOT, signal);
      return;
    }
    const began = performance.now();
    const watch = this.#backend === undefined && carrier.manners?.races === true;
    const booted = await boot(carrier, this.#log, signal, { attemptMs: this.#patience.ms, watch }).catch((error: unknown) => {
      this.#patience.failed(error);
      throw error;
    });
    this.#patience.answered(performance.now() - began);
    if (carrier.manners?.polled === true) booted.run(SHOW_YOURSELF);
    this.#begun = { backend, tier };
    await backend.attach(carrier, booted, helper);
  }

  #ready(backend: Backend, carrier: Carrier, ms: number): void {
    this.#backend = backend;
    this.#watch(backend, carrier);
    backend.onEnd = (fault) => {
      this.end(fault);
    };
    this.#log.info({ tier: backend.info.tier, detail: backend.info.detail, user: backend.info.user, ms }, 'the device is ready');
    this.#device.resolve(backend);
  }

  #watch(backend: Backend, carrier: Carrier): void {
    carrier.onLost = (cause) => {
      this.#lost(toFault(cause, 'DEVICE_LOST'));
    };
    this.#watchdog.watch(backend, carrier);
  }

  #lost(cause: Fault): void {
    if (this.#ended !== undefined || this.#recovering) return;
    this.#recovering = true;
    this.#watchdog.stop();
    this.#lostSince ??= performance.now();
    this.#backend?.detach(cause);
    // A plain terminal ends with its login.
    if (this.#ended !== undefined) return;
    this.#log.warn({ reason: cause.message }, 'the session on the device was lost; logging in again');
    this.#work = this.#recover(cause).catch((error: unknown) => {
      this.end(toFault(error));
    });
  }

  async #recover(cause: Fault): Promise<void> {
    const since = performance.now();
    const leftMs = this.#options.graceMs - (since - (this.#lostSince ?? since));
    const over = new Deadline(Math.max(0, leftMs), this.#abort.signal);
    try {
      await this.#fight(cause, over);
    } finally {
      over.clear();
    }
  }

  async #fight(cause: Fault, over: Deadline): Promise<void> {
    const since = performance.now();
    const backend = this.#backend as Backend;
    const { signal } = over;
    let last = cause;
    let refusals = 0;
    let inVain = 0;
    // Our own connection was lost: the terminal may be as it was.
    let old = cause.code === 'TUNNEL';
    const pauseMs = this.#pace.lost(backend.progress);
    if (pauseMs > 0) await delay(pauseMs, signal);
    for (let attempt = 1; ; attempt += 1) {
      if (this.#ended !== undefined) return;
      if (over.passed) {
        throw new Fault('DEVICE_LOST', `The device could not be reached again within ${String(this.#options.graceMs / 1000)} s: ${last.message}`, { cause: last });
      }
      try {
        const carrier = await this.#again(backend, old, signal);
        if (this.#ended !== undefined) return;
        const ms = Math.round(performance.now() - since);
        this.counters.recoveries += 1;
        this.counters.worstRecoveryMs = Math.max(this.counters.worstRecoveryMs, ms);
        this.#recovering = false;
        this.#pace.right(backend.progress);
        this.#watch(backend, carrier);
        this.#log.info({ ms, attempt, ...this.counters }, 'the session on the device goes on');
        return;
      } catch (error) {
        // What the end of the time did to the last try is no reason.
        if (over.passed && this.#ended === undefined) continue;
        last = toFault(error);
        if (last instanceof HelperGone || last.code === 'TUNNEL') throw last;
        if (last.code === 'DENIED' && ++refusals >= REFUSALS) throw last;
        this.#log.warn({ attempt, reason: last.message }, 'logging in again did not work yet');
        // A new connection of ours helps where nothing answers, not where somebody said what is the matter.
        const answered = last.code === 'DENIED' || last instanceof ServerAbsent || AgentReturned.isBehind(last);
        if (!answered && ++inVain % LOGINS_PER_TUNNEL === 0) this.#options.login.reset(last.message);
        old = !old;
        const pause = refusals > 0 ? REFUSAL_PAUSE_MS * 2 ** (refusals - 1) : RETRY_MIN_MS * 2 ** attempt;
        await delay(Math.min(pause, RETRY_MAX_MS), signal);
      }
    }
  }

  /** One try: the old terminal where that may live and `old` says so, else a new login. */
  async #again(backend: Backend, old: boolean, signal: AbortSignal): Promise<Carrier> {
    const { login, credential } = this.#options;
    if (old && backend.resume !== undefined) {
      const same = await login.resume(signal);
      if (same !== undefined) {
        if (await backend.resume(same, signal)) return same;
        this.#log.info('the old terminal does not answer');
      }
    }
    const carrier = await login.open(credential, true, signal);
    await this.#attach(backend, carrier, this.#tier, signal);
    return carrier;
  }

  /** For the log and for people who look into a running bridge. */
  get state(): Record<string, unknown> {
    const backend = this.#backend;
    return {
      tier: this.#tier,
      ended: this.#ended?.message,
      recovering: this.#recovering,
      channels: backend?.channels,
      owedMs: backend?.owedMs(),
      rttMs: backend?.rttMs,
      progress: backend?.progress,
      ...(backend !== undefined && 'stats' in backend ? { link: backend.stats } : {}),
      ...this.counters,
    };
  }

  /** Ends everything with this reason: channels fail, the helper is told if it can be. */
  end(fault: Fault): void {
    this.#end(fault, false);
  }

  /**
   * The same by our own wish: the device may be there as well as ever, so the helper is to be told in any case, by a
   * new login if need be. A session that died while nobody used it shows only now.
   */
  leave(fault: Fault): void {
    this.#end(fault, true);
  }

  #end(fault: Fault, wish: boolean): void {
    if (this.#ended !== undefined) return;
    this.#ended = fault;
    this.#log.info({ code: fault.code, reason: fault.message }, 'the device session ended');
    this.#watchdog.stop();
    this.#abort.abort(fault);
    if (!wish) this.#starting.abort(fault);
    this.#device.reject(fault);
    const limit = new Deadline(wish ? LEAVE_MS : SHUTDOWN_MS);
    limit.signal.addEventListener('abort', () => {
      this.#starting.abort(fault);
    }, { once: true });
    this.#shutdown = this.#goodbye(fault, limit, wish).finally(() => {
      limit.clear();
    });
    this.onEnd(fault);
  }

  /** Sees to it that the helper leaves the device. */
  async #goodbye(fault: Fault, limit: Deadline, wish: boolean): Promise<void> {
    // Channels fail at once; a terminal that is being replaced is waited for.
    const first = this.#backend === undefined ? false : await this.#farewell(this.#backend, fault, limit);
    await Promise.race([this.#work, passed(limit.signal)]);
    const begun = this.#begun;
    if (begun === undefined || first || fault instanceof HelperGone) return;
    // It may have just been attached, to its first terminal or to another.
    if (await this.#farewell(begun.backend, fault, limit)) return;
    const said = wish && await sayAgain({
      limit,
      login: () => this.#options.login.open(this.#options.credential, true, limit.signal),
      attach: (carrier) => this.#attach(begun.backend, carrier, begun.tier, limit.signal),
      farewell: () => this.#farewell(begun.backend, fault, limit),
      reset: (cause) => {
        this.#options.login.reset(cause);
      },
      log: this.#log,
    });
    if (said) return;
    const seconds = this.#options.graceMs / 1000;
    this.#log.warn({ seconds }, 'the helper could not be told that the session is over; it ends itself so long after it heard from us last');
  }

  async #farewell(backend: Backend, fault: Fault, limit: Deadline): Promise<boolean> {
    const short = new Deadline(SHUTDOWN_MS, limit.signal);
    return await backend.shutdown(fault, short.signal).finally(() => {
      short.clear();
    });
  }

  #shutdown: Promise<void> = Promise.resolve();

  /** Resolves when the helper has taken its leave, or the time for it is over. */
  async gone(): Promise<void> {
    await this.#shutdown.catch(() => undefined);
  }
}
