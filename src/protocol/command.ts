/** How much text fits one command frame. */
import { FRAME_LIMIT_BYTES, REQUEST_ID_LENGTH } from './constants.js';
import { encodeUnchecked } from './encode.js';

/** Bytes of a compact command frame around its data. */
const OVERHEAD_BYTES = encodeUnchecked({
  operation: 'command',
  requestId: 'x'.repeat(REQUEST_ID_LENGTH),
  data: '',
}).length;

/** Most characters of `data` in one command frame, all printable ASCII without `"` and `\`. */
export const MAX_COMMAND_DATA = FRAME_LIMIT_BYTES - OVERHEAD_BYTES;

/** Bytes that `text` takes inside a frame, escapes and UTF-8 counted. */
export function commandDataBytes(text: string): number {
  let bytes = 0;
  for (const character of text) bytes += characterBytes(character);
  return bytes;
}

/**
 * Cuts `text` between characters into pieces that each take at most `limit` bytes inside a frame.
 * Joined again they are `text`. Empty text gives no piece.
 */
export function splitCommandData(text: string, limit: number = MAX_COMMAND_DATA): string[] {
  const pieces: string[] = [];
  let start = 0;
  let at = 0;
  let bytes = 0;
  for (const character of text) {
    const width = characterBytes(character);
    if (bytes + width > limit && at > start) {
      pieces.push(text.slice(start, at));
      start = at;
      bytes = 0;
    }
    bytes += width;
    at += character.length;
  }
  if (at > start) pieces.push(text.slice(start, at));
  return pieces;
}

function characterBytes(character: string): number {
  const point = character.codePointAt(0)!;
  if (point < 0x20) return '\b\f\n\r\t'.includes(character) ? 2 : 6;
  if (point < 0x80) return character === '"' || character === '\\' ? 2 : 1;
  if (point < 0x800) return 2;
  if (point >= 0xd800 && point <= 0xdfff) return 6; // alone, it goes out as an escape
  return point < 0x10000 ? 3 : 4;
}
