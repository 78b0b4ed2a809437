/**
 * Lines for the device end of the sh tier. The checksum of a line guards against accidents, so there are two
 * kinds: damaged lines, which must have no effect at all, and whole lines with a content that no bridge
 * ever sends, which must harm nothing but what they name.
 */
import { checksum, type SumTool } from '../../src/helper/sh/checksum.js';
import { escapeForPrintf } from '../../src/helper/sh/wire.js';
import { mutate } from './engine.js';

export interface LineWorld {
  tag: string;
  sum: SumTool;
  /** The channel with correct traffic. */
  live: number;
  /** The number that the next line has. */
  next: number;
  /** A file that no line may make. */
  canary: string;
  random: () => number;
}

/** One step: text that is typed as it is, or what takes its turn among the correct lines: a body, or a whole block for an odd place. */
export type Step = { kind: 'typed'; text: Buffer } | { kind: 'line'; body: string } | { kind: 'block'; channel: string; slot: string };

/** In the device's root there is `state` with the state directory and `decoy`, and `home` with `keep`. */
const PATHS = ['../decoy', '../../home/keep', '../../home', '..', '.', '', './decoy', '/', '../decoy/o', '~'];
const NUMBERS = ['-1', '-0', '07', '08', '0x7', '1e9', '4294967296', '9223372036854775808', '99999999999999999999999', '9'.repeat(300), '1.5', '+7', '999999999999'];
const WORDS = ['abc', '*', '?', '[0-9]', '-', '--', '-n', '%s%n', '\\0143', '\\c', '$((1/0))', '!', ';', ':', '=', 'o', 'e', 'IT', '\u0001', '\u0081', '\u0088', '\u00e9\u00ff', '\r', '\u001b[6n', '\u0000'];
const UNKNOWN = ['', ' ', 'q', 'xx', 'X 1 p y', 'h h', 'y y y', '-', '0', 'r h', 'w b 0', 'exit', 'return 7', 'break'];

/** A line with its right checksum. */
export function sealed({ tag, sum }: { tag: string; sum: SumTool }, q: string | number, body: string): string {
  return `${tag} ${q} ${checksum(sum, Buffer.from(`${q} ${body}`, 'latin1'))} ${body}\n`;
}

export class Lines {
  readonly #world: LineWorld;
  /** Numbers of channels that odd lines may begin; each once. */
  #channel = 100_000;

  constructor(world: LineWorld) {
    this.#world = world;
  }

  damaged(): Step {
    const { random } = this.#world;
    for (;;) {
      const lines = Array.from({ length: 1 + this.#below(3) }, () => Buffer.from(this.#line(this.#pick([this.#world.next, 0, 0, 1]), this.#valid()), 'latin1'));
      const text = this.#damage(lines, random);
      if (!this.#holdsWhole(text)) return { kind: 'typed', text };
    }
  }

  odd(): Step {
    const which = this.#below(10);
    if (which < 4) return { kind: 'typed', text: Buffer.from(this.#line(0, this.#note()), 'latin1') };
    if (which < 6) {
      const q = this.#pick(['1', '00', '08', String(this.#world.next + 5), '18446744073709551617', '99999999999999999999999', '9'.repeat(400), '-1', '0x9', '']);
      return { kind: 'typed', text: Buffer.from(this.#line(q, this.#pick([this.#run(), `c ${this.#world.live}`, `s ${this.#world.live} KILL`])), 'latin1') };
    }
    if (which === 6) return { kind: 'typed', text: Buffer.from(this.#block(), 'latin1') };
    if (which === 7 && this.#below(3) === 0) {
      const odd = this.#pick([...PATHS, ...NUMBERS, 'abc', '*']);
      return this.#below(2) === 0 ? { kind: 'block', channel: odd, slot: '0' } : { kind: 'block', channel: this.#pick(['0', String(this.#world.live)]), slot: odd.replace(/^\d+$/, 'x') };
    }
    return { kind: 'line', body: this.#body() };
  }

  #below(n: number): number {
    return Math.floor(this.#world.random() * n);
  }

  #pick<T>(items: readonly T[]): T {
    return items[this.#below(items.length)] as T;
  }

  #line(q: string | number, body: string): string {
    return sealed(this.#world, q, body);
  }

  /** What a whole line would do harm with. */
  #valid(): string {
    const { live } = this.#world;
    return this.#pick([
      this.#run(), `c ${live}`, `z ${live}`, `O ${live}`, `E ${live}`, `s ${live} KILL`, `i ${live} injected`, `d ${live} 0 8 ${checksum(this.#world.sum, Buffer.from('abcdef'))}\nYWJjZGVm`,
      'n 1', 'b', `k 99 0 99 ${live} o 5 13 ${live} e 5 13 ! ${live}/o.0`, 'p 5', 'h', 'y',
    ]);
  }

  /** The start of a command that leaves the canary. */
  #run(): string {
    return `x ${(this.#channel += 1)} p ${escapeForPrintf(Buffer.from(`: >'${this.#world.canary}'\nIlogin=\nIc=:\n`))}`;
  }

  #damage(lines: readonly Buffer[], random: () => number): Buffer {
    const text = Buffer.concat(lines);
    const at = this.#below(text.length);
    switch (this.#below(8)) {
      case 0:
        text[at] = (text[at] ?? 0) ^ (1 << this.#below(8));
        return text;
      case 1:
        return text.subarray(0, at);
      case 2:
        return Buffer.concat([text.subarray(0, at), text.subarray(at + 1 + this.#below(40))]);
      case 3:
        // A piece comes twice.
        return Buffer.concat([text.subarray(0, at + this.#below(40)), text.subarray(at)]);
      case 4: {
        const words = text.toString('latin1').split(' ');
        const [from, to] = [this.#below(words.length), this.#below(words.length)];
        [words[from], words[to]] = [words[to] as string, words[from] as string];
        return Buffer.from(words.join(' '), 'latin1');
      }
      case 5: {
        // The beginning of one, the end of another.
        const other = this.#pick(lines);
        return Buffer.concat([text.subarray(0, at), other.subarray(this.#below(other.length))]);
      }
      case 6:
        return Buffer.from(text.toString('latin1').replace(/ (\d+) (\d+) /, this.#pick([' $1 0 ', ' $1  ', ' $2 $1 ', ' $1 $2$2 ', ' $1 $2\t', ' - $2 '])), 'latin1');
      default:
        return mutate(text, lines, [...NUMBERS, ...WORDS, '\n', ' ', this.#world.tag], random);
    }
  }

  /** Whether the front would take some line of it, or what it leaves open, for whole. Shells leave NULs out. */
  #holdsWhole(text: Buffer): boolean {
    const { tag, sum } = this.#world;
    return text.toString('latin1').replaceAll('\0', '').split('\n').some((line) => {
      const [q = '', said = '', ...body] = line.slice(line.lastIndexOf(`${tag} `) + tag.length + 1).split(' ');
      return line.includes(`${tag} `) && checksum(sum, Buffer.from(`${q} ${body.join(' ')}`, 'latin1')) === said;
    });
  }

  #word(): string {
    return this.#pick(this.#pick([PATHS, NUMBERS, WORDS]));
  }

  #words(most: number): string {
    return Array.from({ length: this.#below(most + 1) }, () => this.#word()).join(' ');
  }

  /** Never an account of the live channel that is right in form: what it says is believed. */
  #note(): string {
    const { live } = this.#world;
    const head = `k ${this.#pick(['5', '0', this.#word()])} ${this.#pick(['131072', '0', this.#word()])} ${this.#pick(['2', this.#word()])}`;
    return this.#pick([
      head, `k`, `k 1`, `k 1 2`, `${head} ${live}`, `${head} ${live} o`, `${head} ${live} o 0`, `${head} !`, `${head} ! ${this.#word()}`, `${head} ! ${live}/${this.#word()}`,
      `${head} ${live} o ${this.#pick(NUMBERS)} ${this.#pick(NUMBERS)}`, `${head} ${live} o 0 ${this.#pick(NUMBERS)}`, `${head} ${live} ${this.#word()} 1 9`,
      `${head} ${this.#word()} o 1 9`, `${head} ../decoy o 5 13`, `${head} 77 e 1 9 78 o 2 10`, `${head} ${this.#words(9)}`,
      `v`, `v ${this.#word()}`, `v ${this.#word()}=${this.#word()} 0 4 ${this.#word()}`, `v 99999=../decoy 0 99999 1`,
      `p`, `p ${this.#words(3)}`, `h ${this.#words(2)}`, this.#run(), `c ${live}`, `d ${live}`, this.#pick(UNKNOWN), this.#words(4),
    ]);
  }

  /** A block that belongs to nothing: its line is a note, or old, or early. The block is taken for one all the same. */
  #block(): string {
    const { live, next } = this.#world;
    const inside = this.#line(next, this.#run()).trimEnd();
    const text = this.#pick(['YWJj', '', '!!!!', 'A'.repeat(this.#below(3000)), inside]);
    // What is no block is read as lines.
    const length = text === inside ? String(text.length) : this.#pick([String(text.length), ...NUMBERS, ...PATHS.slice(0, 3), '1k', '8x8', 'if=/etc/passwd']);
    return `${this.#line(this.#pick([0, 1, next + 5]), `d ${this.#pick([String(live), '0', '99'])} ${this.#pick(['0', '3'])} ${length} 4038471504`)}${text}\n`;
  }

  #body(): string {
    const { live } = this.#world;
    const script = escapeForPrintf(Buffer.from('Ilogin=\nIc=:\n'));
    const no = this.#pick(['99', ...PATHS, ...NUMBERS, `${live}/`, `${live}/../${live}`, `0${live}`, `${live}x`, ...WORDS.slice(0, 8)]);
    const fresh = String((this.#channel += 1));
    return this.#pick([
      `c ${no}`, `z ${no}`, `O ${no}`, `E ${no}`, `s ${no} TERM`, `w ${no} 5 5`, `i ${no} text`, `x ${no} ${this.#pick(['p', 't', 's', 'l'])} ${script}`,
      `c`, `z`, `O`, `E`, `s`, `w`, `i`, `x`, `d`, `n`, `x ${live} p ${script}`, `x ${fresh}`, `x ${fresh} p`, `x ${fresh} ${this.#word()} ${script}`,
      `x ${fresh} a ${this.#word()}`, `x ${fresh} a`, `x ${fresh} a ../decoy`, `x ${fresh} a ${live}`, `x ${fresh} p @${this.#word()}`, `x ${fresh} p @0`, `x ${fresh} p @9`,
      `s ${live} ${this.#pick(['NOPE', '', '../x', '-9', '0', 'WINCH', '999', 'l'])}`, `w ${live} ${this.#words(3)}`, `w ${live} -1 99999999999`,
      `n ${this.#word()}`, `n 0`, `n 99999999`, `n -5`, `d ${this.#word()}`, `d ${live} 0 ${this.#pick(NUMBERS)} 1`, `d ${live} 0`,
      `D`, `D ${this.#word()}`, `D ${live} 0`, `D ${live} ${this.#pick(PATHS)} x 1`, `D ${live} 0 99999999 1`,
      this.#pick(UNKNOWN), this.#words(5),
    ].map((body) => body.replaceAll('\0', '').replaceAll('\n', '')));
  }
}
