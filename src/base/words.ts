/**
 * Text that a peer wrote and a person will read: in a log, on a terminal, in an SSH message. Control
 * characters in it could move the reader's cursor, retitle the window or answer queries in his name;
 * marks of direction could show it in another order than it has.
 */

/** C0, DEL and C1 controls, line and paragraph separators, marks of direction. */
const UNSAFE = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;

/** Longest text of a peer that is shown, in characters. */
const SHOWN_CHARS = 400;

/** The peer's own words, harmless on a terminal: unsafe characters become `?`, the rest is cut off. */
export function peerWords(text: string, most: number = SHOWN_CHARS): string {
  const clean = text.slice(0, most).replace(UNSAFE, '?');
  return text.length > most ? `${clean}…` : clean;
}

/** The same text with each unsafe character as a visible escape, so that nothing is lost. */
export function visible(text: string): string {
  return text.replace(UNSAFE, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
