import type { Backend } from '../mux/backend.js';

/** How often promises are looked at while any channel is open, and else. */
const TICK_BUSY_MS = 250;
const TICK_IDLE_MS = 5_000;
/** Nothing kept for this long while something is owed: nudge once. */
const NUDGE_MS = 1_200;
/** And for this long: the session is replaced. Both grow with the round trip and with `patience`. */
const STALLED_MS = 2_600;
const ROUND_TRIPS = 4;
/** With channels open the device is asked for a sign of life this often: a stall is silent. */
const PROBE_EVERY_MS = 10_000;
/** Each stall in a row doubles the time allowed, for paths slower than we think. */
const PATIENCE_MAX = 8;
/** A session that held this long puts patience back to 1. */
const HEALTHY_MS = 30_000;

export interface WatchdogOptions {
  nudge(backend: Backend): void;
  stalled(owedMs: number): void;
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
  #watchedAt = 0;
  #probedAt = 0;
  #nudged = false;
  #patience = 1;

  constructor(options: WatchdogOptions) {
    this.#options = options;
  }

  watch(backend: Backend): void {
    this.stop();
    this.#watchedAt = this.#probedAt = Date.now();
    this.#nudged = false;
    this.#tick(backend);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #tick(backend: Backend): void {
    const now = Date.now();
    const owed = backend.owedMs();
    const slack = ROUND_TRIPS * backend.rttMs;
    if (now - this.#watchedAt > HEALTHY_MS) this.#patience = 1;
    if (owed > (STALLED_MS + slack) * this.#patience) {
      this.#patience = Math.min(this.#patience * 2, PATIENCE_MAX);
      this.#options.stalled(owed);
      return;
    }
    if (owed > NUDGE_MS + slack) {
      if (!this.#nudged) this.#options.nudge(backend);
      this.#nudged = true;
    } else {
      this.#nudged = false;
    }
    const probeEvery = backend.channels > 0 ? PROBE_EVERY_MS : this.#options.graceMs / 3;
    if (now - this.#probedAt >= probeEvery) {
      this.#probedAt = now;
      if (owed === 0) backend.nudge();
    }
    const busy = owed > 0 || backend.channels > 0;
    this.#timer = setTimeout(() => {
      this.#tick(backend);
    }, busy ? TICK_BUSY_MS : Math.min(TICK_IDLE_MS, this.#options.graceMs / 6));
  }
}
