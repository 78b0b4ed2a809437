import type { Behaviour } from './behaviour.js';

/**
 * Tells a flood of commands from busy but paced work: measured, the C agent crashes within seconds
 * under 2 kB commands sent without waiting, and never under the same commands each sent after an
 * answer. So a command counts only when no output was sent since the one before.
 */
export class Flood {
  readonly #behaviour: Behaviour;
  readonly #times: number[] = [];
  #outputSeen = 0;

  constructor(behaviour: Behaviour) {
    this.#behaviour = behaviour;
  }

  /** Takes note of a command; true when it is one too many. `outputFrames`: sent so far. */
  overflows(bytes: number, outputFrames: number): boolean {
    const { floodFrames, floodMs, floodMinBytes } = this.#behaviour;
    const paced = outputFrames !== this.#outputSeen;
    this.#outputSeen = outputFrames;
    if (floodFrames === 0 || paced || bytes < floodMinBytes) return false;
    const now = performance.now();
    this.#times.push(now);
    while (now - this.#times[0]! > floodMs) this.#times.shift();
    return this.#times.length > floodFrames;
  }
}
