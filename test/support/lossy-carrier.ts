import type { Carrier } from '../../src/link/carrier.js';

/** Chances per event, 0 to 1. */
export interface LossPlan {
  seed: number;
  /** A command frame vanishes whole. */
  upFrame?: number;
  /** Command frames of more characters than this vanish whole, always. */
  upFrameChars?: number;
  /** What a line up has beyond so many characters vanishes, always. */
  upLineChars?: number;
  /** Records (all between ':' and ';') of more characters than this vanish, always. */
  downRecordChars?: number;
  /** A slice of a command frame vanishes. */
  upSlice?: number;
  /** A chunk of output vanishes whole. */
  downChunk?: number;
  /** A slice of a chunk of output vanishes. */
  downSlice?: number;
  /** Foreign text appears somewhere in a chunk of output. */
  downNoise?: number;
}

/** A small seeded generator (mulberry32), so that a failing run can be repeated. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

const NOISE = ['\r\nBroadcast message from root: hello;\r\n', ':', ';', '\u001b[6n', '\u0000\u0007', 'x y z'];

/** A carrier that loses, cuts and garbles by a seeded plan. */
export class LossyCarrier implements Carrier {
  readonly #inner: Carrier;
  readonly #plan: LossPlan;
  readonly #random: () => number;
  /** Characters of the line up that is under way. */
  #line = 0;
  #record: Buffer[] = [];
  /** Faults so far, so that a test can see that it tested something. */
  faults = 0;
  onText: (bytes: Buffer) => void = () => undefined;
  onLost: (cause: Error) => void = () => undefined;

  constructor(inner: Carrier, plan: LossPlan) {
    this.#inner = inner;
    this.#plan = plan;
    this.#random = seeded(plan.seed);
    inner.onText = (bytes) => {
      this.#text(bytes);
    };
    inner.onLost = (cause) => {
      this.onLost(cause);
    };
  }

  get maxWrite(): number {
    return this.#inner.maxWrite;
  }

  get buffered(): number {
    return this.#inner.buffered;
  }

  write(text: string): void {
    if (this.#hits(this.#plan.upFrame) || text.length > (this.#plan.upFrameChars ?? Number.POSITIVE_INFINITY)) {
      this.faults += 1;
      return;
    }
    const short = this.#shortened(text);
    if (!this.#hits(this.#plan.upSlice)) {
      this.#inner.write(short);
      return;
    }
    const [from, to] = this.#slice(short.length);
    this.#inner.write(short.slice(0, from) + short.slice(to));
  }

  /** Without what lines have beyond the plan's bound. */
  #shortened(text: string): string {
    const most = this.#plan.upLineChars;
    if (most === undefined) return text;
    let kept = '';
    for (const character of text) {
      this.#line = character === '\n' ? 0 : this.#line + 1;
      if (this.#line <= most) kept += character;
      else this.faults += 1;
    }
    return kept;
  }

  /** Without records beyond the plan's bound, and each whole. */
  #withoutLarge(bytes: Buffer): Buffer {
    const most = this.#plan.downRecordChars;
    if (most === undefined) return bytes;
    const kept: Buffer[] = [];
    let rest = bytes;
    for (let end = rest.indexOf(';'); end >= 0; end = rest.indexOf(';')) {
      const record = Buffer.concat([...this.#record, rest.subarray(0, end + 1)]);
      this.#record = [];
      rest = rest.subarray(end + 1);
      if (record.length <= most) kept.push(record);
      else this.faults += 1;
    }
    this.#record.push(rest);
    return Buffer.concat(kept);
  }

  #text(bytes: Buffer): void {
    if (this.#hits(this.#plan.downChunk)) return;
    let chunk = this.#withoutLarge(bytes);
    if (this.#hits(this.#plan.downSlice)) {
      const [from, to] = this.#slice(chunk.length);
      chunk = Buffer.concat([chunk.subarray(0, from), chunk.subarray(to)]);
    }
    if (this.#hits(this.#plan.downNoise)) {
      const at = Math.floor(this.#random() * (chunk.length + 1));
      const noise = NOISE[Math.floor(this.#random() * NOISE.length)] ?? ':';
      chunk = Buffer.concat([chunk.subarray(0, at), Buffer.from(noise, 'latin1'), chunk.subarray(at)]);
    }
    if (chunk.length > 0) this.onText(chunk);
  }

  #hits(chance: number | undefined): boolean {
    if (chance === undefined || this.#random() >= chance) return false;
    this.faults += 1;
    return true;
  }

  #slice(length: number): [from: number, to: number] {
    const from = Math.floor(this.#random() * length);
    return [from, from + 1 + Math.floor(this.#random() * (length - from))];
  }
}
