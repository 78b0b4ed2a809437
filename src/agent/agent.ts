/**
 * A device agent as a library: the device's end of the secure tunnel. With the profile `sound` it is
 * a good one; with the others it is as bad as the real ones are, on demand and repeatably.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { Fault, toFault } from '../base/errors.js';
import { silentLog, type Log } from '../base/log.js';
import { CLOSE_AUTH_FAILED, CLOSE_NORMAL, CLOSE_REPLACED, FINAL_CLOSE_CODES } from '../protocol/constants.js';
import type { Behaviour } from './behaviour.js';
import { Dice } from './dice.js';
import { Engine, type LifeEnd } from './engine.js';
import { LocalSessions, type LocalTarget } from './local-session.js';
import { behaviourOf, type ProfileName } from './profiles.js';
import type { SessionSource } from './session.js';
import { SshdSessions, type SshdTarget } from './sshd-session.js';
import { countFault, newStats, type AgentStats } from './stats.js';
import { Unopened, Wire } from './wire.js';

export interface AgentOptions {
  /** wss:// or ws:// address that ends in /device-connect. */
  tunnelUri: string;
  /** The device's tunnel_access_token. */
  token: string;
  /** Where logins go: the device's own SSH server, a login shell of this process's account, or elsewhere. */
  target: { sshd: SshdTarget } | { local: LocalTarget } | { source: SessionSource };
  /** Default `sound`. */
  profile?: ProfileName;
  /** Makes every fault repeatable for the same traffic; default 1. */
  seed?: number;
  /** Switches that differ from the profile's. */
  faults?: Partial<Behaviour>;
  log?: Log;
  /** PEM of the authorities to trust instead of the system's. */
  ca?: string | Buffer;
  /** Accepts any certificate. */
  insecure?: boolean;
  /** Closes the agent when aborted. */
  signal?: AbortSignal;
}

export const INJECTIONS = [
  /** The session is killed under the agent (its sshd process, say). */
  'kill-session',
  /** The SSH leg dies and nothing says so. */
  'silent-death',
  /** The login shell ends. */
  'end-shell',
  /** Output is held until the next command. */
  'stall',
  /** Output is held until the next connect. */
  'stall-for-good',
  /** The next command is typed for ever: nothing else is handled while the session lives. */
  'hang',
  /** The process crashes; comes back after restartMs. */
  'crash',
  /** The next connect is answered, then nothing ever is, until `crash`. */
  'deadlock',
  /** The WebSocket is cut without a close frame. */
  'drop-ws',
  /** The process stands still until `thaw`, or for the time given. */
  'freeze',
  'thaw',
  'drop-next-output',
  'garble-next-output',
  'duplicate-next-output',
  'drop-next-command',
] as const;
export type Injection = (typeof INJECTIONS)[number];

export interface AgentHandle {
  /** The tunnel is open for the first time. Rejects with a Fault: USAGE, LOCAL or TUNNEL. */
  readonly opened: Promise<void>;
  /** The agent is done for good: undefined after close() or a normal close by the platform. */
  readonly ended: Promise<Fault | undefined>;
  stats(): AgentStats;
  /** Makes a fault happen now. `ms`: duration of `freeze`. False when there is no tunnel at present. */
  inject(what: Injection, options?: { ms?: number }): boolean;
  /** Ends everything, shells included; resolves when nothing is left. */
  close(): Promise<void>;
}

/** Longest delay between two tries, in steps of the behaviour's reconnectStepMs. */
const RECONNECT_STEPS = 10;

/** Starts an agent at once. Throws a Fault (USAGE) for a wrong option; what comes later is in the handle. */
export function startAgent(options: AgentOptions): AgentHandle {
  const agent = new Agent(options);
  void agent.run();
  return agent;
}

class Agent implements AgentHandle {
  readonly opened: Promise<void>;
  readonly ended: Promise<Fault | undefined>;
  readonly #options: AgentOptions;
  readonly #behaviour: Behaviour;
  readonly #dice: Dice;
  readonly #sessions: SessionSource;
  readonly #log: Log;
  readonly #stats = newStats();
  readonly #closing = new AbortController();
  #engine: Engine | undefined;
  #thawTimer: NodeJS.Timeout | undefined;
  #open: () => void = () => {};
  #openFailed: (fault: Fault) => void = () => {};
  #end: (fault: Fault | undefined) => void = () => {};

  constructor(options: AgentOptions) {
    this.#options = options;
    this.#log = options.log ?? silentLog();
    this.#behaviour = behaviourOf(options.profile ?? 'sound', options.faults);
    this.#dice = new Dice(options.seed ?? 1, (name) => countFault(this.#stats, name));
    this.#sessions = sourceOf(options.target, this.#behaviour, this.#log);
    this.opened = new Promise((resolve, reject) => {
      this.#open = resolve;
      this.#openFailed = reject;
    });
    this.opened.catch(() => {}); // whoever cares waits for it; `ended` tells the same
    this.ended = new Promise((resolve) => (this.#end = resolve));
    const { signal } = options;
    if (signal?.aborted === true) this.#closing.abort();
    signal?.addEventListener('abort', () => void this.close(), { once: true });
  }

  async run(): Promise<void> {
    let fault: Fault | undefined;
    try {
      await this.#sessions.check();
      fault = await this.#live();
    } catch (thrown) {
      fault = toFault(thrown);
    }
    await this.#sessions.close();
    if (this.#closing.signal.aborted) fault = undefined;
    this.#openFailed(fault ?? new Fault('TUNNEL', 'the device agent was closed before its tunnel was open'));
    this.#end(fault);
  }

  stats(): AgentStats {
    return { ...this.#stats, faults: { ...this.#stats.faults } };
  }

  inject(what: Injection, options: { ms?: number } = {}): boolean {
    const engine = this.#engine;
    if (engine === undefined) return false;
    countFault(this.#stats, what);
    this.#log.warn({ fault: what }, 'a fault is injected');
    switch (what) {
      case 'kill-session':
        engine.session.kill();
        break;
      case 'silent-death':
        engine.session.dieSilently();
        break;
      case 'end-shell':
        engine.session.endShell();
        break;
      case 'stall':
        engine.session.output.stall('until-command');
        break;
      case 'stall-for-good':
        engine.session.output.stall('for-good');
        break;
      case 'hang':
        engine.session.hangNext();
        break;
      case 'crash':
        engine.crash('injected');
        break;
      case 'deadlock':
        engine.deadlock();
        break;
      case 'drop-ws':
        engine.cutWire();
        break;
      case 'freeze':
        engine.freeze();
        clearTimeout(this.#thawTimer);
        if (options.ms !== undefined) this.#thawTimer = setTimeout(() => engine.thaw(), options.ms);
        break;
      case 'thaw':
        engine.thaw();
        break;
      case 'drop-next-output':
        engine.session.output.befallNext('drop');
        break;
      case 'garble-next-output':
        engine.session.output.befallNext('garble');
        break;
      case 'duplicate-next-output':
        engine.session.output.befallNext('duplicate');
        break;
      case 'drop-next-command':
        engine.dropNextCommand();
        break;
    }
    return true;
  }

  async close(): Promise<void> {
    clearTimeout(this.#thawTimer);
    this.#closing.abort();
    this.#engine?.stop();
    await this.ended;
  }

  /** Life after life, until one ends for good. Returns why, undefined when nothing is wrong. */
  async #live(): Promise<Fault | undefined> {
    const { signal } = this.#closing;
    let tries = 0;
    while (!signal.aborted) {
      const end = await this.#oneLife();
      if (signal.aborted) return undefined;
      if (end instanceof Unopened) {
        if (end.final || tries >= this.#behaviour.reconnectTries) return end.fault;
        tries++;
        this.#log.warn({ err: end.fault, tries }, 'the tunnel could not be opened, trying again');
        await this.#pause(tries);
      } else if (end.kind === 'crashed') {
        if (this.#behaviour.restartMs < 0) return new Fault('DEVICE_LOST', `the device agent crashed: ${end.why}`);
        tries = 0;
        await rest(this.#behaviour.restartMs, signal);
      } else {
        if (FINAL_CLOSE_CODES.includes(end.code) || this.#behaviour.reconnectTries === 0) return closeFault(end);
        tries = 1;
        this.#log.warn({ code: end.code }, 'the tunnel is gone, opening it again');
        await this.#pause(tries);
      }
    }
    return undefined;
  }

  async #oneLife(): Promise<LifeEnd | Unopened> {
    const { tunnelUri, token, ca, insecure } = this.#options;
    let wire: Wire;
    try {
      wire = await Wire.open({ tunnelUri, token, ca, insecure }, this.#closing.signal);
    } catch (thrown) {
      if (thrown instanceof Unopened) return thrown;
      throw thrown;
    }
    this.#stats.tunnelsOpened++;
    this.#log.info({ host: new URL(tunnelUri).host }, 'the tunnel is open');
    this.#engine = new Engine({
      wire,
      behaviour: this.#behaviour,
      dice: this.#dice,
      sessions: this.#sessions,
      stats: this.#stats,
      log: this.#log,
    });
    this.#open();
    if (this.#closing.signal.aborted) this.#engine.stop();
    const end = await this.#engine.ended;
    this.#engine = undefined;
    return end;
  }

  #pause(tries: number): Promise<void> {
    return rest(Math.min(tries, RECONNECT_STEPS) * this.#behaviour.reconnectStepMs, this.#closing.signal);
  }
}

function sourceOf(target: AgentOptions['target'], behaviour: Behaviour, log: Log): SessionSource {
  if ('source' in target) return target.source;
  if ('sshd' in target) return new SshdSessions(target.sshd, log);
  return new LocalSessions(target.local, behaviour.refusalMs);
}

function closeFault(end: Extract<LifeEnd, { kind: 'closed' }>): Fault | undefined {
  switch (end.code) {
    case CLOSE_NORMAL:
      return undefined;
    case CLOSE_AUTH_FAILED:
      return new Fault('TUNNEL', 'the platform refused the device token: it belongs to another tunnel or has expired');
    case CLOSE_REPLACED:
      return new Fault('TUNNEL', 'another agent has connected to this tunnel and replaced this one');
    default:
      return new Fault('TUNNEL', `the tunnel was closed with code ${end.code}, and this agent does not reconnect`);
  }
}

async function rest(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal }).catch(() => {});
}
