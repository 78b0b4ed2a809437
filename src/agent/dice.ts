/**
 * Chance that repeats: each named fault draws from a stream of its own, so switching one fault on or
 * off does not move the others.
 */
export class Dice {
  readonly #seed: number;
  readonly #streams = new Map<string, () => number>();
  readonly #onHit: (name: string) => void;

  /** `onHit` is told each fault that strikes. */
  constructor(seed: number, onHit: (name: string) => void = () => {}) {
    this.#seed = seed;
    this.#onHit = onHit;
  }

  /** True with the chance `rate`. The same seed, name and number of earlier draws give the same answer. */
  roll(name: string, rate: number): boolean {
    if (rate <= 0) return false;
    if (this.#draw(name) >= rate) return false;
    this.#onHit(name);
    return true;
  }

  /** A whole number from 0 to `below` - 1. */
  pick(name: string, below: number): number {
    return Math.floor(this.#draw(name) * below);
  }

  #draw(name: string): number {
    let stream = this.#streams.get(name);
    if (stream === undefined) {
      stream = mulberry32(fnv1a(`${this.#seed}/${name}`));
      this.#streams.set(name, stream);
    }
    return stream();
  }
}

function fnv1a(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  return hash >>> 0;
}

/** A small generator of even quality (public domain, Tommy Ettinger); from 0 up to, not including, 1. */
function mulberry32(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000;
  };
}
