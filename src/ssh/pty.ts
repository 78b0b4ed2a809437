/** Reading pty-req and window-change (RFC 4254 sections 6.2, 6.7 and 8). */
import type { PtyRequest, WindowSize } from '../mux/device.js';
import type { WireReader } from './wire.js';

/** Opcodes from here on have no defined argument: reading stops (RFC 4254 section 8). */
const FIRST_UNDEFINED_OPCODE = 160;
const TTY_OP_END = 0;
/** Longest TERM handed on, in bytes. */
const MAX_TERM = 1024;

export function readPtyRequest(body: WireReader): PtyRequest {
  // Cut as bytes: a part of a long text keeps all of it in memory.
  const term = body.bytes('terminal type').subarray(0, MAX_TERM).toString('latin1');
  const size = readWindowSize(body);
  return { term, size, modes: readModes(body.bytes('terminal modes')) };
}

export function readWindowSize(body: WireReader): WindowSize {
  return {
    cols: dimension(body.uint32('columns')),
    rows: dimension(body.uint32('rows')),
    widthPx: dimension(body.uint32('width in pixels')),
    heightPx: dimension(body.uint32('height in pixels')),
  };
}

/** Clients cut the modes short or leave out the end mark; what can be read is used, as in sshd. */
function readModes(encoded: Buffer): [opcode: number, value: number][] {
  // Each opcode once, the last counts: a packet holds fifty thousand.
  const modes = new Map<number, number>();
  for (let at = 0; at + 5 <= encoded.length; at += 5) {
    const opcode = encoded.readUInt8(at);
    if (opcode === TTY_OP_END || opcode >= FIRST_UNDEFINED_OPCODE) break;
    modes.set(opcode, encoded.readUInt32BE(at + 1));
  }
  return [...modes];
}

/** The kernel's struct winsize holds 16 bits. */
function dimension(value: number): number {
  return Math.min(value, 0xffff);
}
