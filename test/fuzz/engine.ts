/**
 * A small coverage-guided fuzzer: V8's own block coverage tells which mutants reached new code; those
 * join the corpus and are mutated further. No dependency, and it runs on the sources as vitest loads
 * them. Ready-made engines (libFuzzer behind jazzer.js) need a newer libc than the oldest system that
 * this project is tested on.
 */
import { Session } from 'node:inspector';
import { seeded } from '../support/lossy-carrier.js';

export interface Target {
  name: string;
  /** Inputs to begin with; each of them alone must pass. */
  seeds: readonly Buffer[];
  /** Pieces of the input's language that chance finds late. */
  words?: readonly (string | Buffer)[];
  /** Sources whose coverage guides. */
  watch: RegExp;
  /** Throws, or rejects, when the input uncovered a defect. */
  run(input: Buffer): void | Promise<void>;
}

export interface FuzzOptions {
  /** Most mutants tried, and most time spent; whichever is first. */
  runs: number;
  ms: number;
  seed: number;
  /** Default SLOW_MS. */
  slowMs?: number;
}

export interface FuzzReport {
  runs: number;
  corpus: number;
  /** Characters of source that ran. */
  covered: number;
}

/** Longest mutant, in bytes. */
const INPUT_LIMIT_BYTES = 16 * 1024;
/** Mutants between two looks at the coverage. */
const BATCH = 64;
/** One input that takes longer than this is a finding: some work is not linear. */
const SLOW_MS = 5_000;

/** Rejects with the input, in base64, when the target failed on it: put that into corpus/NAME. */
export async function fuzz(target: Target, options: FuzzOptions): Promise<FuzzReport> {
  const random = seeded(options.seed);
  const corpus = [...target.seeds];
  const coverage = new Coverage(target.watch);
  const deadline = performance.now() + options.ms;
  let runs = 0;
  try {
    for (const input of corpus) await attempt(target, input, options.slowMs);
    coverage.fresh();
    while (runs < options.runs && performance.now() < deadline) {
      const batch = Array.from({ length: BATCH }, () => mutate(pick(corpus, random), corpus, target.words ?? [], random));
      for (const input of batch) await attempt(target, input);
      runs += batch.length;
      if (coverage.fresh() === 0) continue;
      coverage.undo();
      corpus.push(...(await newOnes(target, batch, coverage)));
    }
    return { runs, corpus: corpus.length, covered: coverage.size };
  } finally {
    coverage.stop();
  }
}

/** Which of these reach new code, by halves; what they reach counts as seen afterwards. */
async function newOnes(target: Target, inputs: readonly Buffer[], coverage: Coverage): Promise<Buffer[]> {
  const found: Buffer[] = [];
  const middle = Math.ceil(inputs.length / 2);
  for (const half of [inputs.slice(0, middle), inputs.slice(middle)]) {
    for (const input of half) await attempt(target, input);
    if (half.length === 0 || coverage.fresh() === 0) continue;
    if (half.length === 1) {
      found.push(...half);
    } else {
      coverage.undo();
      found.push(...(await newOnes(target, half, coverage)));
    }
  }
  return found;
}

/** Runs one input, and says which it was when it fails. */
export async function attempt(target: Target, input: Buffer, slowMs = SLOW_MS): Promise<void> {
  const started = performance.now();
  try {
    await target.run(input);
  } catch (cause) {
    throw new Error(`${target.name} failed on ${input.toString('base64')}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
  const ms = performance.now() - started;
  if (ms > slowMs) throw new Error(`${target.name} took ${ms.toFixed(0)} ms on ${input.toString('base64')}`);
}

/** Characters of the watched sources that have run, by V8's precise block coverage. */
class Coverage {
  readonly #session = new Session();
  readonly #watch: RegExp;
  readonly #covered = new Map<string, Uint8Array>();
  #news: [covered: Uint8Array, at: number][] = [];
  #size = 0;

  constructor(watch: RegExp) {
    this.#watch = watch;
    this.#session.connect();
    this.#session.post('Profiler.enable');
    this.#session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
  }

  get size(): number {
    return this.#size;
  }

  /** How many characters ran for the first time since the last call. */
  fresh(): number {
    this.#news = [];
    this.#session.post('Profiler.takePreciseCoverage', (error, taken) => {
      if (error !== null) throw error;
      for (const script of taken.result) {
        if (!this.#watch.test(script.url)) continue;
        for (const { ranges } of script.functions) this.#mark(script.url, ranges);
      }
    });
    this.#size += this.#news.length;
    return this.#news.length;
  }

  /** Takes the last fresh() back. */
  undo(): void {
    for (const [covered, at] of this.#news) covered[at] = 0;
    this.#size -= this.#news.length;
  }

  stop(): void {
    this.#session.post('Profiler.stopPreciseCoverage');
    this.#session.disconnect();
  }

  /** `ranges` of one function, the whole of it first, inner ones behind outer ones. */
  #mark(url: string, ranges: readonly { startOffset: number; endOffset: number; count: number }[]): void {
    const whole = ranges[0];
    if (whole === undefined || whole.count === 0) return;
    const ran = new Uint8Array(whole.endOffset - whole.startOffset);
    for (const { startOffset, endOffset, count } of ranges) {
      ran.fill(count > 0 ? 1 : 0, startOffset - whole.startOffset, endOffset - whole.startOffset);
    }
    let covered = this.#covered.get(url) ?? new Uint8Array(0);
    if (covered.length < whole.endOffset) {
      const longer = new Uint8Array(whole.endOffset * 2);
      longer.set(covered);
      covered = longer;
      this.#covered.set(url, covered);
    }
    for (let at = 0; at < ran.length; at += 1) {
      if (ran[at] === 0 || covered[whole.startOffset + at] !== 0) continue;
      covered[whole.startOffset + at] = 1;
      this.#news.push([covered, whole.startOffset + at]);
    }
  }
}

function pick<T>(items: readonly T[], random: () => number): T {
  return items[Math.floor(random() * items.length)] as T;
}

/** Numbers at which integers of some width break, big-endian as all our formats are. */
const EDGES = ['00', 'ff', '7f', '80', '0000', 'ffff', '00000000', 'ffffffff', '7fffffff', '80000000', '00000001', 'fffffffffffe', '000000000001', 'ffffffffffff', '000000800000'].map((hex) => Buffer.from(hex, 'hex'));

export function mutate(input: Buffer, corpus: readonly Buffer[], words: readonly (string | Buffer)[], random: () => number): Buffer {
  let bytes = Buffer.from(input);
  const upTo = (n: number): number => Math.floor(random() * n);
  for (let changes = 1 + upTo(random() < 0.2 ? 16 : 4); changes > 0; changes -= 1) {
    const at = upTo(bytes.length + 1);
    const length = 1 + upTo(random() < 0.1 ? 512 : 8);
    const cut = (put: Buffer, over: number): void => {
      bytes = Buffer.concat([bytes.subarray(0, at), put, bytes.subarray(at + over)]);
    };
    switch (upTo(9)) {
      case 0:
        if (at < bytes.length) bytes[at] = (bytes[at] ?? 0) ^ (1 << upTo(8));
        break;
      case 1:
        if (at < bytes.length) bytes[at] = upTo(256);
        break;
      case 2:
        cut(Buffer.alloc(0), length);
        break;
      case 3:
        cut(Buffer.from(Array.from({ length }, () => upTo(256))), 0);
        break;
      case 4:
        cut(bytes.subarray(upTo(bytes.length), upTo(bytes.length) + length), 0);
        break;
      case 5: {
        const edge = pick(EDGES, random);
        cut(edge, random() < 0.5 ? edge.length : 0);
        break;
      }
      case 6: {
        if (words.length === 0) break;
        const word = Buffer.from(pick(words, random));
        cut(word, random() < 0.5 ? word.length : 0);
        break;
      }
      case 7: {
        const other = pick(corpus, random);
        const from = upTo(other.length);
        cut(other.subarray(from, from + upTo(other.length - from + 1)), random() < 0.5 ? length : 0);
        break;
      }
      default: {
        // A number in text.
        const digits = /\d+/.exec(bytes.toString('latin1', at));
        if (digits === null) break;
        const text = pick(['0', '-1', '1e99', '4294967296', '9007199254740993', '007', '1.5'], random);
        bytes = Buffer.concat([bytes.subarray(0, at + digits.index), Buffer.from(text), bytes.subarray(at + digits.index + digits[0].length)]);
      }
    }
    if (bytes.length > INPUT_LIMIT_BYTES) bytes = bytes.subarray(0, INPUT_LIMIT_BYTES);
  }
  return bytes;
}

/** Reads choices from an input, so that every input is some sequence of events; zeros when it is at its end. */
export class Choices {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get left(): number {
    return this.#bytes.length - this.#at;
  }

  byte(): number {
    return this.#bytes[this.#at++] ?? 0;
  }

  below(n: number): number {
    return this.byte() % n;
  }

  uint(bytes: 2 | 3 | 4 | 6): number {
    let value = 0;
    for (let i = 0; i < bytes; i += 1) value = value * 256 + this.byte();
    return value;
  }

  /** Mostly small, at times any number of that width. */
  number(bytes: 4 | 6): number {
    const kind = this.byte();
    if (kind < 160) return this.byte();
    if (kind < 230) return this.uint(2);
    return this.uint(bytes);
  }

  bytes(most: number): Buffer {
    const length = Math.min(this.number(4), most, this.left);
    const bytes = this.#bytes.subarray(this.#at, this.#at + length);
    this.#at += length;
    return bytes;
  }
}

/** For a target's checks. */
export function must(condition: boolean, what: string): asserts condition {
  if (!condition) throw new Error(what);
}
