import type { RunMode } from './requests.js';
import type { UpItem } from './uplink.js';
import { escapeForPrintf, SCRIPT_INLINE_CHARS } from './wire.js';

/** Bytes of one piece of a blob. */
const BLOB_BYTES = 24 * 1024;

/**
 * The lines that start a channel with this script. A long one goes before as numbered pieces of a
 * blob, which may be repeated without harm; the start names how many there are.
 */
export function launchItems(number: number, mode: RunMode, script: Buffer, blocks: boolean): { pieces: UpItem[]; start: UpItem } {
  const text = escapeForPrintf(script);
  const pieces: UpItem[] = [];
  if (blocks && text.length > SCRIPT_INLINE_CHARS) {
    for (let at = 0; at < script.length; at += BLOB_BYTES) {
      pieces.push({ kind: 'block', channel: 0, slot: pieces.length, bytes: script.subarray(at, at + BLOB_BYTES) });
    }
  }
  return { pieces, start: { kind: 'line', body: `x ${number} ${mode} ${pieces.length > 0 ? `@${pieces.length}` : text}` } };
}
