import type { Fault } from '../../base/errors.js';
import type { ShChannel } from './channel.js';
import type { Reports } from './reports.js';
import { Standstill } from './standstill.js';
import type { Uplink } from './uplink.js';

/** How often holes, silent inputs and keepalives are looked at while channels are open. */
const TICK_MS = 100;
/** Silence after which the device is asked whether it is still there, while channels are open. */
const KEEPALIVE_MS = 20_000;
/** First and longest wait before the device is asked how much standard input it has taken. */
const POLL_MIN_MS = 2_000;
const POLL_MAX_MS = 60_000;
/** Share of the grace after which an idle device hears from us. */
const GRACE_SHARE = 3;

/** What is looked after. */
export interface VigilSource {
  readonly uplink: Uplink;
  readonly reports: Reports;
  readonly channels: () => Iterable<ShChannel>;
  /** A front listens. */
  readonly attached: () => boolean;
  /** The device answers, and yet something does not get across. */
  readonly ended: (fault: Fault) => void;
}

/** Looks at what is owed and missing, asks the device about it, and tells it that the bridge lives. */
export class Vigil {
  readonly #source: VigilSource;
  readonly #graceSeconds: number;
  readonly #standstill: Standstill;
  #ticker: NodeJS.Timeout | undefined;
  #keepalive: NodeJS.Timeout | undefined;
  #heardAt = 0;
  #pingId = 0;
  #pingSince: number | undefined;
  #pollMs = POLL_MIN_MS;

  constructor(source: VigilSource, graceSeconds: number) {
    this.#source = source;
    this.#graceSeconds = graceSeconds;
    this.#standstill = new Standstill(graceSeconds);
  }

  /** A front has answered, or the one that there was is gone: no question is open. */
  restart(): void {
    this.#pingSince = undefined;
    this.#heardAt = performance.now();
  }

  heard(now: number): void {
    this.#heardAt = now;
  }

  /** The device answered a question. */
  answered(): void {
    this.#pingSince = undefined;
  }

  /** The device took standard input by itself. */
  taken(): void {
    this.#pollMs = POLL_MIN_MS;
  }

  /** For how long the device has owed something and said nothing. */
  owedMs(): number {
    const { uplink, reports } = this.#source;
    const since = Math.min(...[uplink.owedSince, this.#pingSince, reports.oldestHole()?.since].filter((at) => at !== undefined));
    return Number.isFinite(since) ? Math.max(0, performance.now() - Math.max(since, this.#heardAt)) : 0;
  }

  /** From now on until nothing is under way. */
  watch(): void {
    this.#ticker ??= setInterval(() => {
      this.#tick();
    }, TICK_MS).unref();
  }

  /** From now on to the end. */
  keepAlive(): void {
    this.#keepalive ??= setInterval(() => {
      this.ask();
    }, (this.#graceSeconds * 1000) / GRACE_SHARE).unref();
  }

  stop(): void {
    clearInterval(this.#ticker);
    clearInterval(this.#keepalive);
    this.#ticker = undefined;
    this.#keepalive = undefined;
  }

  /** Asks the device how much it has taken, which is how it hears of us. */
  ask(): void {
    if (!this.#source.attached()) return;
    this.#pingId = (this.#pingId + 1) % 1_000_000_000;
    this.#pingSince ??= performance.now();
    this.#source.uplink.note(`p ${this.#pingId}`);
  }

  #tick(): void {
    const { uplink, reports, attached, ended } = this.#source;
    const channels = [...this.#source.channels()];
    if (channels.length === 0 && uplink.idle) {
      clearInterval(this.#ticker);
      this.#ticker = undefined;
      reports.forget();
      return;
    }
    if (!attached()) return;
    const now = performance.now();
    const standstill = this.#standstill.look(uplink.head, reports.oldestHole()?.name, now);
    if (standstill !== undefined) {
      ended(standstill);
      return;
    }
    reports.askOverdue(now);
    let stuck = false;
    for (const channel of channels) {
      if (!channel.inputStuck) continue;
      channel.fullSince ??= now;
      if (now - channel.fullSince >= this.#pollMs) stuck = true;
    }
    if (this.#pingSince !== undefined) return;
    if (stuck) {
      this.#pollMs = Math.min(POLL_MAX_MS, this.#pollMs * 2);
      for (const channel of channels) channel.fullSince = undefined;
      this.ask();
    } else if (now - this.#heardAt >= KEEPALIVE_MS) this.ask();
  }
}
