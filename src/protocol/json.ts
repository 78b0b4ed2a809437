/**
 * A JSON reader that works on bytes. `JSON.parse` cannot be used on frames: agents cut UTF-8
 * sequences at their read boundaries and pass other encodings raw inside JSON text, and turning
 * such text into a JavaScript string destroys it. Strings therefore stay Buffers.
 *
 * Valid JSON gives exactly what JSON.parse gives, with two differences: the first of two equal keys
 * wins (as in the agent's cJSON), and raw control characters inside strings are accepted.
 */

export type Json = null | boolean | number | Buffer | Json[] | Map<string, Json>;

/** Deepest nesting accepted. The deepest legal frame has two levels. */
export const JSON_DEPTH_LIMIT = 16;

export type JsonResult =
  | { ok: true; value: Json; /** Offset behind the value; what follows was not looked at. */ end: number }
  | { ok: false; /** Offset of the first byte that does not fit. */ offset: number; expected: string };

/** Reads one value from the start of `bytes`, behind an optional byte order mark and white space. */
export function readJson(bytes: Buffer): JsonResult {
  const hasMark = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf;
  const reader = new Reader(bytes, hasMark ? 3 : 0);
  const value = reader.value(0);
  if (value === undefined) return { ok: false, offset: reader.at, expected: reader.expected };
  return { ok: true, value, end: reader.at };
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;

const REPLACEMENT = 0xfffd;

/** One-letter escapes (RFC 8259 section 7) and the byte each stands for. */
const SHORT_ESCAPES: ReadonlyMap<number, number> = new Map(
  [...'"\\/bfnrt'].map((letter, index) => [letter.charCodeAt(0), '"\\/\b\f\n\r\t'.charCodeAt(index)]),
);

const NUMBER = /^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?$/;

/** Longest number text accepted, in bytes: keeps the pattern above off hostile megabytes. */
const NUMBER_LIMIT_BYTES = 400;

/** Every method returns undefined after calling `fail`, and the caller hands that upwards. */
class Reader {
  at: number;
  expected = '';
  readonly #bytes: Buffer;

  constructor(bytes: Buffer, at: number) {
    this.#bytes = bytes;
    this.at = at;
  }

  value(depth: number): Json | undefined {
    this.#skipSpace();
    switch (this.#bytes[this.at]) {
      case QUOTE:
        return this.#string();
      case OPEN_BRACE:
        return depth < JSON_DEPTH_LIMIT ? this.#object(depth) : this.#fail(`at most ${JSON_DEPTH_LIMIT} levels`);
      case OPEN_BRACKET:
        return depth < JSON_DEPTH_LIMIT ? this.#array(depth) : this.#fail(`at most ${JSON_DEPTH_LIMIT} levels`);
      default:
        return this.#word();
    }
  }

  #fail(expected: string): undefined {
    this.expected = expected;
    return undefined;
  }

  #skipSpace(): void {
    for (;;) {
      const byte = this.#bytes[this.at];
      if (byte !== 0x20 && byte !== 0x09 && byte !== 0x0a && byte !== 0x0d) return;
      this.at++;
    }
  }

  #object(depth: number): Map<string, Json> | undefined {
    const members = new Map<string, Json>();
    this.at++;
    this.#skipSpace();
    if (this.#bytes[this.at] === CLOSE_BRACE) return this.#closed(members);
    for (;;) {
      this.#skipSpace();
      if (this.#bytes[this.at] !== QUOTE) return this.#fail('a key in quotes');
      const key = this.#string();
      if (key === undefined) return undefined;
      this.#skipSpace();
      if (this.#bytes[this.at] !== COLON) return this.#fail('a colon');
      this.at++;
      const value = this.value(depth + 1);
      if (value === undefined) return undefined;
      const name = key.toString('utf8');
      if (!members.has(name)) members.set(name, value);
      this.#skipSpace();
      const next = this.#bytes[this.at];
      if (next === CLOSE_BRACE) return this.#closed(members);
      if (next !== COMMA) return this.#fail('a comma or a closing brace');
      this.at++;
    }
  }

  #array(depth: number): Json[] | undefined {
    const items: Json[] = [];
    this.at++;
    this.#skipSpace();
    if (this.#bytes[this.at] === CLOSE_BRACKET) return this.#closed(items);
    for (;;) {
      const value = this.value(depth + 1);
      if (value === undefined) return undefined;
      items.push(value);
      this.#skipSpace();
      const next = this.#bytes[this.at];
      if (next === CLOSE_BRACKET) return this.#closed(items);
      if (next !== COMMA) return this.#fail('a comma or a closing bracket');
      this.at++;
    }
  }

  #closed<T>(value: T): T {
    this.at++;
    return value;
  }

  #word(): null | boolean | number | undefined {
    const bytes = this.#bytes;
    const start = this.at;
    let end = start;
    while (end < bytes.length && end - start < NUMBER_LIMIT_BYTES && isWordByte(bytes[end]!)) end++;
    const word = bytes.toString('latin1', start, end);
    this.at = end;
    if (word === 'null') return null;
    if (word === 'true') return true;
    if (word === 'false') return false;
    if (NUMBER.test(word)) return Number(word);
    this.at = start;
    return this.#fail('a JSON value');
  }

  /** The string that starts at the quote under the cursor; a view of the input where it can be. */
  #string(): Buffer | undefined {
    const bytes = this.#bytes;
    const start = this.at + 1;
    const quote = bytes.indexOf(QUOTE, start);
    if (quote === -1) {
      this.at = bytes.length;
      return this.#fail('a closing quote');
    }
    const plain = bytes.subarray(start, quote);
    if (!plain.includes(BACKSLASH)) {
      this.at = quote + 1;
      return plain;
    }
    return this.#escapedString(start);
  }

  /** Offset of the first quote at or behind `at` that is not escaped, or -1. Linear in what it passes. */
  #closingQuote(at: number): number {
    const bytes = this.#bytes;
    let quote = bytes.indexOf(QUOTE, at);
    let escape = bytes.indexOf(BACKSLASH, at);
    while (quote !== -1 && escape !== -1 && escape < quote) {
      const behind = escape + 2;
      if (quote < behind) quote = bytes.indexOf(QUOTE, behind);
      escape = bytes.indexOf(BACKSLASH, behind);
    }
    return quote;
  }

  #escapedString(start: number): Buffer | undefined {
    const bytes = this.#bytes;
    const end = this.#closingQuote(start);
    if (end === -1) {
      this.at = bytes.length;
      return this.#fail('a closing quote');
    }
    // No escape is shorter than what it stands for.
    const out = Buffer.allocUnsafe(end - start);
    let length = 0;
    let at = start;
    for (;;) {
      // Output mostly has an escape at its line ends alone, so whole runs are copied at once.
      const found = bytes.indexOf(BACKSLASH, at);
      const runEnd = found === -1 || found > end ? end : found;
      length += bytes.copy(out, length, at, runEnd);
      at = runEnd;
      if (at === end) break;
      const letter = bytes[at + 1]!;
      const short = SHORT_ESCAPES.get(letter);
      if (short !== undefined) {
        out[length++] = short;
        at += 2;
        continue;
      }
      const unit = letter === 0x75 ? hex4(bytes, at + 2) : -1;
      if (unit < 0) {
        this.at = at;
        return this.#fail('a JSON escape');
      }
      at += 6;
      let point = unit;
      if (unit >= 0xd800 && unit <= 0xdfff) {
        const low = unit <= 0xdbff && bytes[at] === BACKSLASH && bytes[at + 1] === 0x75 ? hex4(bytes, at + 2) : -1;
        if (low >= 0xdc00 && low <= 0xdfff) {
          point = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
          at += 6;
        } else {
          point = REPLACEMENT;
        }
      }
      length = putUtf8(out, length, point);
    }
    this.at = end + 1;
    return out.subarray(0, length);
  }
}

function isWordByte(byte: number): boolean {
  return (
    (byte >= 0x30 && byte <= 0x39) || // digits
    (byte >= 0x61 && byte <= 0x7a) || // a to z
    byte === 0x2b || // plus
    byte === 0x2d || // minus
    byte === 0x2e || // point
    byte === 0x45 // E
  );
}

/** Four hexadecimal digits as a number, or -1. */
function hex4(bytes: Buffer, at: number): number {
  let value = 0;
  for (let index = at; index < at + 4; index++) {
    const byte = bytes[index] ?? 0;
    const lower = byte | 0x20;
    if (byte >= 0x30 && byte <= 0x39) value = value * 16 + (byte - 0x30);
    else if (lower >= 0x61 && lower <= 0x66) value = value * 16 + (lower - 0x57);
    else return -1;
  }
  return value;
}

function putUtf8(out: Buffer, at: number, point: number): number {
  if (point < 0x80) {
    out[at++] = point;
  } else if (point < 0x800) {
    out[at++] = 0xc0 | (point >> 6);
    out[at++] = 0x80 | (point & 0x3f);
  } else if (point < 0x10000) {
    out[at++] = 0xe0 | (point >> 12);
    out[at++] = 0x80 | ((point >> 6) & 0x3f);
    out[at++] = 0x80 | (point & 0x3f);
  } else {
    out[at++] = 0xf0 | (point >> 18);
    out[at++] = 0x80 | ((point >> 12) & 0x3f);
    out[at++] = 0x80 | ((point >> 6) & 0x3f);
    out[at++] = 0x80 | (point & 0x3f);
  }
  return at;
}
