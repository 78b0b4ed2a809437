/** A session that is lost again within this time is no repair. */
const SHORT_LIVED_MS = 5_000;
/** After so many of them in a row the next login waits; one in which nothing arrived counts for more. */
const SHORT_LIVED_FREE = 20;
const EMPTY_COUNTS_FOR = 6;
/**
 * One that got so much across (bytes; the sh tier counts pieces and does not come so far) was worth its login: the stock
 * agent's sessions die of an upload within seconds, one after the other, and a pause would only make it last.
 */
const WORTH_IT = 64 * 1024;
/** The first pause, and the longest. */
const PAUSE_MIN_MS = 200;
const PAUSE_MAX_MS = 5_000;

/**
 * How fast a device may be logged in to again whose sessions do not last: one whose shell ends as soon as it is there
 * would else be asked as fast as it answers, for ever.
 */
export class RepairPace {
  #rightAt = Number.NEGATIVE_INFINITY;
  #progress: number | undefined;
  #shortLived = 0;

  /** The session goes on; `progress` as in Backend. */
  right(progress: number | undefined): void {
    this.#rightAt = performance.now();
    this.#progress = progress;
  }

  /** The session was lost: milliseconds to wait before the next login. */
  lost(progress: number | undefined): number {
    if (performance.now() - this.#rightAt >= SHORT_LIVED_MS) this.#shortLived = 0;
    else if ((progress ?? 0) - (this.#progress ?? 0) >= WORTH_IT) return 0;
    else this.#shortLived += progress === this.#progress ? EMPTY_COUNTS_FOR : 1;
    const tooMany = this.#shortLived - SHORT_LIVED_FREE;
    return tooMany > 0 ? Math.min(PAUSE_MIN_MS * 2 ** tooMany, PAUSE_MAX_MS) : 0;
  }
}
