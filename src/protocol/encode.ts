/**
 * From typed frames to the bytes on the wire. `encodeFrame` is the gate: what it lets out can harm
 * no known agent. `encodeUnchecked` renders anything, for the device agent's faulty profiles and for
 * tests.
 */
import { randomUUID } from 'node:crypto';
import { Fault } from '../base/errors.js';
import { FRAME_LIMIT_BYTES, OPERATIONS, REQUEST_ID_LENGTH, SERVICE_SSH } from './constants.js';
import type { Frame } from './frames.js';

/** `compact`: no white space. `cjson`: byte for byte as the stock C agent's cJSON_Print. */
export type FrameStyle = 'compact' | 'cjson';

/** A fresh id of exactly the length that the C agent copies. */
export function newRequestId(): string {
  return randomUUID();
}

/**
 * Encodes a frame that every agent can take. Throws a Fault (PROTOCOL) that names frame, field,
 * expected and got when a field is missing or not a string, the request id is not 36 printable ASCII
 * characters (the C agent reads 36 bytes, whatever is there), a text holds NUL (the C agent cuts
 * there) or a lone surrogate (it drops the frame), or the whole exceeds FRAME_LIMIT_BYTES.
 */
export function encodeFrame(frame: Frame, style: FrameStyle = 'compact'): Buffer {
  check(frame);
  const bytes = encodeUnchecked(frame, style);
  if (bytes.length > FRAME_LIMIT_BYTES) {
    throw refused(frame.operation, 'size', `at most ${FRAME_LIMIT_BYTES} bytes`, `${bytes.length} bytes`);
  }
  return bytes;
}

/** Encodes whatever it is given, of any size. Bytes of `data` above 0x7f go out raw. */
export function encodeUnchecked(frame: Frame, style: FrameStyle = 'compact'): Buffer {
  const layout = style === 'cjson' ? CJSON : COMPACT;
  const head =
    `{${layout.line}"operation_type":${layout.gap}"${frame.operation}",` +
    `${layout.line}"tunnel_service_type":${layout.gap}"${SERVICE_SSH}",` +
    `${layout.line}"request_id":${layout.gap}${JSON.stringify(frame.requestId)}`;
  const key = `,${layout.line}"data":${layout.gap}`;
  const tail = `${layout.end}}`;
  switch (frame.operation) {
    case 'connect_tunnel':
    case 'ping':
    case 'pong':
      return Buffer.from(`${head}${key}null${tail}`);
    case 'connect':
      return Buffer.from(
        `${head}${key}${object(layout, { username: frame.username, password: frame.password })}${tail}`,
      );
    case 'command':
      return Buffer.from(`${head}${key}${quoteText(frame.data)}${tail}`);
    case 'disconnect': {
      const reason = { status_code: frame.status, status_msg: frame.message };
      const none = frame.status === '' && frame.message === '';
      return Buffer.from(`${head}${key}${none ? 'null' : object(layout, reason)}${tail}`);
    }
    case 'connect_response':
      // The C agent sends no data key at all here, the C# agent always sends one.
      if (style === 'cjson' && frame.data.length === 0) return Buffer.from(`${head}${tail}`);
      return withBytes(`${head}${key}"`, frame.data, `"${tail}`);
    case 'command_response':
      return withBytes(`${head}${key}"`, frame.data, `"${tail}`);
  }
}

interface Layout {
  line: string;
  gap: string;
  end: string;
  innerLine: string;
  innerEnd: string;
}
const COMPACT: Layout = { line: '', gap: '', end: '', innerLine: '', innerEnd: '' };
const CJSON: Layout = { line: '\n\t', gap: '\t', end: '\n', innerLine: '\n\t\t', innerEnd: '\n\t' };

function object(layout: Layout, members: Record<string, string>): string {
  const lines = Object.entries(members).map(
    ([name, value]) => `${layout.innerLine}"${name}":${layout.gap}${quoteText(value)}`,
  );
  return `{${lines.join(',')}${layout.innerEnd}}`;
}

/** The first character that JSON must escape or that is more than one byte. */
const FIRST_SPECIAL = /["\\\u0000-\u001f\u0080-\uffff]/;

/** JSON.stringify and cJSON escape alike. Packets are plain up to their line end: skip that part. */
function quoteText(text: string): string {
  const special = text.search(FIRST_SPECIAL);
  if (special === -1) return `"${text}"`;
  return `"${text.slice(0, special)}${JSON.stringify(text.slice(special)).slice(1)}`;
}

/** Bytes that each byte takes inside a JSON string: 1 raw, 2 short escape, 6 as \u00xx. */
const WIDTH = new Uint8Array(256).fill(1).fill(6, 0, 0x20);
/** Second byte of the short escapes. */
const SHORT = new Uint8Array(256);
for (const [byte, letter] of [['"', '"'], ['\\', '\\'], ['\b', 'b'], ['\f', 'f'], ['\n', 'n'], ['\r', 'r'], ['\t', 't']] as const) {
  WIDTH[byte.charCodeAt(0)] = 2;
  SHORT[byte.charCodeAt(0)] = letter.charCodeAt(0);
}
const HEX = Buffer.from('0123456789abcdef');

function withBytes(head: string, data: Buffer, tail: string): Buffer {
  let width = 0;
  for (let index = 0; index < data.length; index++) width += WIDTH[data[index]!]!;
  const out = Buffer.allocUnsafe(Buffer.byteLength(head) + width + tail.length);
  let at = out.write(head);
  if (width === data.length) at += data.copy(out, at);
  else at = escapeInto(out, at, data);
  out.write(tail, at);
  return out;
}

function escapeInto(out: Buffer, start: number, data: Buffer): number {
  let at = start;
  for (let index = 0; index < data.length; index++) {
    const byte = data[index]!;
    const width = WIDTH[byte]!;
    if (width === 1) {
      out[at++] = byte;
    } else if (width === 2) {
      out[at++] = 0x5c;
      out[at++] = SHORT[byte]!;
    } else {
      at += out.write('\\u00', at, 'latin1');
      out[at++] = HEX[byte >> 4]!;
      out[at++] = HEX[byte & 15]!;
    }
  }
  return at;
}

const REQUEST_ID = new RegExp(`^[\\x21-\\x7e]{${REQUEST_ID_LENGTH}}$`);
const LONE_SURROGATE = /\p{Surrogate}/u;

function check(frame: Frame): void {
  const operation: unknown = frame.operation;
  if (!(OPERATIONS as readonly unknown[]).includes(operation)) {
    throw refused('frame', 'operation_type', `one of ${OPERATIONS.join(', ')}`, kindOf(operation));
  }
  const id: unknown = frame.requestId;
  if (typeof id !== 'string' || !REQUEST_ID.test(id)) {
    const got = typeof id === 'string' ? `${id.length} characters` : kindOf(id);
    throw refused(frame.operation, 'request_id', `${REQUEST_ID_LENGTH} printable ASCII characters`, got);
  }
  switch (frame.operation) {
    case 'connect':
      checkText(frame, 'data.username', frame.username);
      checkText(frame, 'data.password', frame.password);
      return;
    case 'command':
      checkText(frame, 'data', frame.data);
      return;
    case 'disconnect':
      checkText(frame, 'data.status_code', frame.status);
      checkText(frame, 'data.status_msg', frame.message);
      return;
    case 'connect_response':
    case 'command_response':
      if (!Buffer.isBuffer(frame.data)) throw refused(frame.operation, 'data', 'bytes', kindOf(frame.data));
      return;
    default:
  }
}

function checkText(frame: Frame, field: string, text: unknown): void {
  if (typeof text !== 'string') throw refused(frame.operation, field, 'a string', kindOf(text));
  if (text.includes('\0')) throw refused(frame.operation, field, 'no NUL', 'one');
  if (LONE_SURROGATE.test(text)) throw refused(frame.operation, field, 'whole characters', 'half of a surrogate pair');
}

function refused(operation: string, field: string, expected: string, got: string): Fault {
  return new Fault('PROTOCOL', `tunnel frame ${operation} not sent, field ${field}: expected ${expected}, got ${got}`);
}

function kindOf(value: unknown): string {
  if (value === undefined) return 'nothing';
  return value === null ? 'null' : `a value of type ${typeof value}`;
}
