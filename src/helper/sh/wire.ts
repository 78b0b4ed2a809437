/**
 * What flows between the bridge and the sh helper. One line up asks for one thing, one record down
 * tells one thing; both are printable ASCII (and LF), begin with a random tag and end in a checksum.
 *
 * Up: `TAG q sum body LF`. sum is over `q body`. q counts 1, 2, …; the device does each once, in order,
 * and acknowledges; 0 marks a note that may be lost or repeated.
 * Numbers are decimal, without leading zeros, of at most 13 digits. A whole line that makes no sense is
 * answered by F, a note of that kind by nothing.
 *   x ch mode text   start: mode p (pipes), t (terminal), l (a listener, see listen.sh) or s (socket: an empty
 *                    segment tells the end of its output, and \006 in its stream e that it is connected, see connect.sh);
 *                    text: a script, escaped for printf %b; '@n': n pieces of blob
 *   x ch a L/a.N     take the connection N that the listener L told of, as channel ch
 *   d ch slot len sum LF base64 LF   bytes for ch's standard input (ch 0: piece of blob)
 *   D ch slot n sum  the same of n pieces that went before as notes
 *   i ch text        a few bytes of standard input     E ch   its end
 *   s ch SIG         signal to the group               w ch rows cols   window size
 *   c ch             hang up and forget                z ch   forget (its end was seen)
 *   O ch             nobody reads standard output      n bytes   size of new segments
 *   y                nothing
 *   notes: h (introduce yourself), p id (poll), b (end of the session),
 *          v q=i 0 len sum LF base64 LF (piece i of the block that line q is),
 *          k received window seconds {ch stream arrived granted | ! file}: the account of output
 * Down: `:TAG type … sum;`, or `:TAG type value value;` for the short ones without checksum.
 *   a n: done up to n   n n: out of step, last done n   m n: the line after n is damaged   F n: n cannot be done   A n: attached, last done n
 *   v q=i: piece i is put aside for line q   c ch=count: items of standard input taken   p id last {ch=count}   h base64 of facts
 *   o|e ch k LF text: segment k of a stream     x ch 0 LF status signal segments-o segments-e
 *   S o|e/ch/k: segment k was sent again, unacknowledged
 *   l n: program lines held   f reason: cannot run here   g 0: the state is gone   b 0: ended
 */

/** Segments of one stream that the device holds at most until the bridge has taken them. */
export const STREAM_SEGMENTS = 8;
/** Most bytes of one segment: with eight of them, a stream's spool stays below 300 kB. */
export const SEGMENT_MAX_BYTES = 24 * 1024;
/** Least bytes of one segment, on a path that loses much. */
export const SEGMENT_MIN_BYTES = 1536;
/** Items of standard input that the device holds at most for one channel. */
export const INPUT_SLOTS = 4;
/** Most characters of an inline item; four of them fit the smallest pipe the kernel makes (4,096). */
export const INLINE_CHARS = 900;
/** Most bytes of one block of standard input: 64 kB as text. */
export const BLOCK_MAX_BYTES = 48 * 1024;
export const BLOCK_MIN_BYTES = 1024;
/** A start script longer than this goes as a blob: `read` takes a system call for each byte. */
export const SCRIPT_INLINE_CHARS = 4_000;
/** Most characters of one record; longer ones are noise. */
export const RECORD_LIMIT_CHARS = 128 * 1024;
/** Status that stands for an end, or output, lost on the device (no memory for a process, no room in its file system). */
export const STATUS_OUTPUT_LOST = 999;
/** What connect.sh writes into stream e once the connection stands; no tool says such a thing. */
export const CONNECTED = 0x06;
/** What the device counts for an exit record. */
export const EXIT_RECORD_CHARS = 99;

/** Bytes as one word of printable ASCII for printf %b. */
export function escapeForPrintf(bytes: Buffer): string {
  let text = '';
  for (const byte of bytes) {
    if (byte === 0x5c) text += '\\\\';
    else if (byte >= 0x20 && byte < 0x7f) text += String.fromCharCode(byte);
    else text += `\\0${byte.toString(8).padStart(3, '0')}`;
  }
  return text;
}

export type SegmentStream = 'o' | 'e';

export type ShRecord =
  | { type: 'a' | 'n' | 'm' | 'F' | 'A' | 'l'; value: number }
  | { type: 'f'; reason: string }
  | { type: 'g' | 'b' }
  | { type: 'c'; channel: number; taken: number }
  | { type: 'v'; line: number; index: number }
  | { type: 'S'; stream: SegmentStream; channel: number; index: number }
  | { type: 'p'; id: number; last: number; taken: readonly (readonly [channel: number, count: number])[] }
  | { type: 'h'; text: string }
  | { type: 'o' | 'e'; channel: number; index: number; text: string }
  | { type: 'x'; channel: number; status: number; signal: number; out: number; err: number };

const NUMBER = /^\d{1,10}$/;

function number(text: string | undefined): number {
  return text !== undefined && NUMBER.test(text) ? Number(text) : Number.NaN;
}

/**
 * One record (without the framing characters and the tag), or undefined for anything that is not
 * exactly one. `verify` checks a checksum word against the text it covers.
 */
export function parseRecord(text: string, verify: (covered: string, sum: string) => boolean): ShRecord | undefined {
  const type = text[0];
  if (type === undefined || text[1] !== ' ') return undefined;
  if ('anmFAlfgbcvS'.includes(type)) return parseShort(type, text.slice(2));
  const cut = text.lastIndexOf(' ');
  const covered = text.slice(0, cut);
  if (!verify(covered, text.slice(cut + 1))) return undefined;
  const line = covered.indexOf('\n');
  const head = (line < 0 ? covered : covered.slice(0, line)).split(' ');
  const body = line < 0 ? '' : covered.slice(line + 1);
  switch (type) {
    case 'h':
      return { type, text: covered.slice(2) };
    case 'o':
    case 'e': {
      const [channel, index] = [number(head[1]), number(head[2])];
      if (Number.isNaN(channel + index) || head.length !== 3) return undefined;
      return { type, channel, index, text: body };
    }
    case 'x': {
      const [channel, values] = [number(head[1]), body.split(' ').map(number)];
      const [status, signal, out, err] = values;
      if (status === undefined || signal === undefined || out === undefined || err === undefined) return undefined;
      if (values.length !== 4 || Number.isNaN(channel + status + signal + out + err)) return undefined;
      return { type, channel, status, signal, out, err };
    }
    case 'p': {
      const [id, last] = [number(head[1]), number(head[2])];
      const taken = head.slice(3).map((pair) => pairOf(pair));
      if (Number.isNaN(id + last) || taken.includes(undefined)) return undefined;
      return { type, id, last, taken: taken.filter((pair) => pair !== undefined) };
    }
    default:
      return undefined;
  }
}

/** A short record says its value twice: a slice lost from the middle, or text put in, shows. */
function parseShort(type: string, rest: string): ShRecord | undefined {
  const [first, second, more] = rest.split(' ');
  if (first === undefined || first !== second || more !== undefined) return undefined;
  switch (type) {
    case 'a':
    case 'n':
    case 'm':
    case 'F':
    case 'A':
    case 'l': {
      const value = number(first);
      return Number.isNaN(value) ? undefined : { type, value };
    }
    case 'f':
      return { type, reason: first };
    case 'g':
    case 'b':
      return { type };
    case 'c': {
      const pair = pairOf(first);
      return pair === undefined ? undefined : { type, channel: pair[0], taken: pair[1] };
    }
    case 'v': {
      const pair = pairOf(first);
      return pair === undefined ? undefined : { type, line: pair[0], index: pair[1] };
    }
    case 'S': {
      const [stream, channel, index, over] = first.split('/');
      if ((stream !== 'o' && stream !== 'e') || over !== undefined || Number.isNaN(number(channel) + number(index))) return undefined;
      return { type, stream, channel: number(channel), index: number(index) };
    }
    default:
      return undefined;
  }
}

function pairOf(text: string): readonly [number, number] | undefined {
  const [left, right, more] = text.split('=').map(number);
  if (left === undefined || right === undefined || more !== undefined || Number.isNaN(left + right)) return undefined;
  return [left, right];
}
