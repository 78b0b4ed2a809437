import type { Carrier } from '../link/carrier.js';
import type { Backend } from '../mux/backend.js';

/** How often promises are looked at while one is owed, while any channel is open, and else: less than STALLED_MS, for whoever comes next. */
const TICK_OWED_MS = 100;
const TICK_BUSY_MS = 250;
const TICK_IDLE_MS = 1_000;
/** Nothing kept for this long while something is owed: nudge once. */
const NUDGE_MS = 700;
/** And for this long: the session is replaced. Both grow with the round trip and with `patience`. */
const STALLED_MS = 1_700;
const ROUND_TRIPS = 4;
/** With channels open the device is asked for a sign of life this often: a stall is silent. */
const PROBE_EVERY_MS = 10_000;
/**
 * A session that kept no promise at all before it counted as stalled doubles the time allowed to the
 * next, for paths slower than we think; one kept promise puts it back.
 */
const PATIENCE_MAX = 8;
/**
 * Each stall after which the next session works shortens these times, down to this share: an agent that dies
 * often is to be found out soon. One promise that was kept late, by LATE_KEPT_MS, puts them back: on such a
 * path silence means less.
 */
const HASTE = 0.8;
const HASTE_LEAST = 0.5;
const LATE_KEPT_MS = 400;
/** A tick this late means that we stood still ourselves: what came meanwhile is to be read first. */
const LATE_MS = 500;

/**
 * Agents that send output only after a command are asked for it: every second, with a pause after
 * every few in which a better agent shows itself by what it sends unasked.
 */
const POLL_MS = 1_000;
const POLLS_IN_A_ROW = 4;
const POLL_PAUSE_MS = 6_000;
/** Typed into the boot sh: a line end every 3 s for a while. An agent that delivers it unasked needs no polling. */
export const SHOW_YOURSELF = '(for i in 1 2 3 4 5 6 7 8 9 10;do sleep 3;echo;done)&';

export interface WatchdogOptions {
  nudge(backend: Backend): void;
  stalled(owedMs: number): void;
  /** The device kept a promise, or owes nothing, and says nothing else. */
  kept(): void;
  /** The helper ends itself after this silence; it hears from us three times as often. */
  graceMs: number;
}

/**
 * Owns every outstanding promise of the device: nothing for a while means a nudge, then a stalled
 * session. The stock agent dies silently about once per thousand command frames.
 */
export class Watchdog {
  readonly #options: WatchdogOptions;
  #timer: NodeJS.Timeout | undefined;
  #owed = 0;
  #probedAt = 0;
  #nudged = false;
  /** A probe is out, with nothing else owed. */
  #probed = false;
  #patience = 1;
  #haste = 1;
  #stalled = false;
  /** The backend watched last, and how far it had come when it was looked at. */
  #watched: Backend | undefined;
  #progress: number | undefined;
  #dueAt = 0;
  #excused = false;
  #polledAt = 0;
  #polls = 0;

  constructor(options: WatchdogOptions) {
    this.#options = options;
  }

  watch(backend: Backend, carrier: Carrier): void {
    this.stop();
    // The login may tell of something that had arrived before, and then silence.
    if (backend === this.#watched) this.#credit();
    this.#watched = backend;
    this.#probedAt = performance.now();
    this.#owed = 0;
    this.#nudged = false;
    this.#probed = false;
    this.#progress = backend.progress;
    // Where the one before stalled, that nothing is owed proves nothing: the device is asked at once.
    if (this.#stalled) this.#probedAt = Number.NEGATIVE_INFINITY;
    this.#next(backend, carrier, TICK_BUSY_MS);
  }

  /** Called before the backend is detached. */
  stop(): void {
    if (this.#timer !== undefined && this.#credit()) this.#patience = 1;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /** Sessions may end between two looks: what arrived has arrived. True if anything had. */
  #credit(): boolean {
    const backend = this.#watched;
    if (backend === undefined || backend.progress === this.#progress) return false;
    this.#progress = backend.progress;
    if (backend.struggling !== true) this.#options.kept();
    return true;
  }

  #tick(backend: Backend, carrier: Carrier): void {
    const now = performance.now();
    // Once only: a machine that is always late must still find what is lost.
    this.#excused = !this.#excused && now - this.#dueAt > LATE_MS * this.#haste;
    if (this.#excused) {
      this.#next(backend, carrier, TICK_BUSY_MS);
      return;
    }
    const owed = backend.owedMs();
    const slack = ROUND_TRIPS * backend.rttMs;
    const answered = this.#probed && owed === 0;
    if (answered) this.#probed = false;
    const moved = answered || owed < this.#owed || backend.progress !== this.#progress;
    if (moved) {
      this.#patience = 1;
      if (this.#owed > LATE_KEPT_MS + slack) this.#haste = 1;
      else if (this.#stalled) this.#haste = Math.max(HASTE_LEAST, this.#haste * HASTE);
      this.#stalled = false;
    }
    if ((moved || (owed === 0 && !this.#stalled)) && backend.struggling !== true) this.#options.kept();
    this.#owed = owed;
    this.#progress = backend.progress;
    if (owed > (STALLED_MS * this.#haste + slack) * this.#patience) {
      this.#stalled = true;
      this.#patience = Math.min(this.#patience * 2, PATIENCE_MAX);
      this.#options.stalled(owed);
      return;
    }
    if (owed > NUDGE_MS * this.#haste + slack) {
      if (!this.#nudged) this.#options.nudge(backend);
      this.#nudged = true;
    } else {
      this.#nudged = false;
    }
    if (carrier.manners?.polled === true && (backend.channels > 0 || owed > 0)) this.#poll(carrier, now);
    const probeEvery = Math.min(backend.channels > 0 ? PROBE_EVERY_MS : Infinity, this.#options.graceMs / 3);
    if (now - this.#probedAt >= probeEvery) {
      this.#probedAt = now;
      if (owed === 0) {
        backend.nudge();
        this.#probed = true;
      }
    }
    const busy = owed > 0 || backend.channels > 0;
    this.#next(backend, carrier, owed > 0 ? TICK_OWED_MS : busy ? TICK_BUSY_MS : Math.min(TICK_IDLE_MS, this.#options.graceMs / 6));
  }

  #next(backend: Backend, carrier: Carrier, ms: number): void {
    this.#dueAt = performance.now() + ms;
    this.#timer = setTimeout(() => {
      this.#tick(backend, carrier);
    }, ms);
  }

  #poll(carrier: Carrier, now: number): void {
    if (now - this.#polledAt < (this.#polls % POLLS_IN_A_ROW === 0 ? POLL_PAUSE_MS : POLL_MS)) return;
    this.#polledAt = now;
    this.#polls += 1;
    carrier.write('');
  }
}
