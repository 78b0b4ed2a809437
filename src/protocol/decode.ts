/**
 * The gate from the wire to a typed frame. It is total: whatever arrives becomes a frame, something
 * to ignore, or a Fault, and it never throws. What a shell printed is handed on as exact bytes and
 * is never quoted in a Fault.
 */
import { Fault } from '../base/errors.js';
import { INBOUND_LIMIT_BYTES, OPERATIONS, REQUEST_ID_LENGTH, SERVICE_SSH, type Operation } from './constants.js';
import type { Frame } from './frames.js';
import { readJson, type Json } from './json.js';

export type Decoded =
  | { kind: 'frame'; frame: Frame }
  /** Well-formed and not for us (unknown operation or service): log it and go on. */
  | { kind: 'ignored'; reason: string }
  /** Not a frame. Code PROTOCOL; the message names frame, field, expected and got. */
  | { kind: 'fault'; fault: Fault };

type Members = Map<string, Json>;

const EMPTY = Buffer.alloc(0);

/** Longest foreign name (an unknown operation) shown in a log, in characters. */
const NAME_SHOWN = 40;

/**
 * Decodes one WebSocket message. Byte order mark, white space and anything behind the closing brace
 * are tolerated, and so are unknown keys, repeated keys (the first counts), missing request ids and
 * any type of `data` in answers. `data` of answers may be a view of `bytes`.
 */
export function decodeFrame(bytes: Buffer): Decoded {
  if (bytes.length > INBOUND_LIMIT_BYTES) {
    return broken('frame', `at most ${INBOUND_LIMIT_BYTES} bytes`, `${bytes.length} bytes`);
  }
  const output = decodeOutput(bytes);
  if (output !== undefined) return output;
  const json = readJson(bytes);
  if (!json.ok) return broken('frame', `${json.expected} at byte ${json.offset}`, gotByte(bytes, json.offset));
  if (!(json.value instanceof Map)) return broken('frame', 'a JSON object', kindOf(json.value));
  const members = json.value;

  const type = field(members, 'operation_type');
  if (!Buffer.isBuffer(type)) return broken('frame, field operation_type', 'a string', kindOf(type));
  const operation = type.toString('utf8');
  if (!isOperation(operation)) return { kind: 'ignored', reason: `unknown operation ${shown(operation)}` };

  const service = field(members, 'tunnel_service_type');
  if (Buffer.isBuffer(service) && service.toString('utf8') !== SERVICE_SSH) {
    return { kind: 'ignored', reason: `${operation} for unknown service ${shown(service.toString('utf8'))}` };
  }
  const id = field(members, 'request_id');
  const requestId = Buffer.isBuffer(id) ? id.toString('utf8') : '';
  return decodeOperation(operation, requestId, field(members, 'data'));
}

/** What stands before the request id and between it and the data, as the two public agents print it. */
const OUTPUT_LAYOUTS = (['\n\t|\t', '|'] as const).map((layout) => {
  const [line, gap] = layout.split('|') as [string, string];
  return {
    before: `{${line}"operation_type":${gap}"command_response",${line}"tunnel_service_type":${gap}"${SERVICE_SSH}",${line}"request_id":${gap}"`,
    between: `",${line}"data":${gap}"`,
  };
});
const PLAIN_ID = new RegExp(`^[0-9A-Za-z-]{${REQUEST_ID_LENGTH}}$`);
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const CLOSE_BRACE = 0x7d;

/**
 * The way for bulk output: 500 frames and more per megabyte differ in nothing but a plain `data`.
 * Undefined for everything else, which then takes the long way; both give the same answer.
 */
function decodeOutput(bytes: Buffer): Decoded | undefined {
  for (const { before, between } of OUTPUT_LAYOUTS) {
    const idEnd = before.length + REQUEST_ID_LENGTH;
    const start = idEnd + between.length;
    const head = bytes.toString('latin1', 0, start);
    if (!head.startsWith(before) || !head.endsWith(between) || head.length !== start) continue;
    const requestId = head.slice(before.length, idEnd);
    const quote = bytes.indexOf(QUOTE, start);
    if (quote === -1 || !PLAIN_ID.test(requestId)) return undefined;
    const data = bytes.subarray(start, quote);
    let end = quote + 1;
    if (bytes[end] === 0x0a) end++;
    if (bytes[end] !== CLOSE_BRACE || data.includes(BACKSLASH)) return undefined;
    return frame({ operation: 'command_response', requestId, data });
  }
  return undefined;
}

function decodeOperation(operation: Operation, requestId: string, data: Json | undefined): Decoded {
  switch (operation) {
    case 'connect_tunnel':
    case 'ping':
    case 'pong':
      return frame({ operation, requestId });
    case 'connect_response':
      if (data === undefined) return frame({ operation, requestId, data: EMPTY, bare: true });
      return frame({ operation, requestId, data: Buffer.isBuffer(data) ? data : EMPTY });
    case 'command_response':
      // The platform's own example shows null here.
      return frame({ operation, requestId, data: Buffer.isBuffer(data) ? data : EMPTY });
    case 'command':
      if (!Buffer.isBuffer(data)) return broken('command, field data', 'a string', kindOf(data));
      return frame({ operation, requestId, data: data.toString('utf8') });
    case 'connect': {
      if (!(data instanceof Map)) return broken('connect, field data', 'an object', kindOf(data));
      const username = field(data, 'username');
      const password = field(data, 'password');
      if (!Buffer.isBuffer(username)) return broken('connect, field data.username', 'a string', kindOf(username));
      if (!Buffer.isBuffer(password)) return broken('connect, field data.password', 'a string', kindOf(password));
      return frame({ operation, requestId, username: username.toString('utf8'), password: password.toString('utf8') });
    }
    case 'disconnect': {
      const reason: Members = data instanceof Map ? data : new Map();
      const status = textOrNumber(field(reason, 'status_code'));
      const message = textOrNumber(field(reason, 'status_msg'));
      return frame({ operation, requestId, status, message });
    }
  }
}

function frame(value: Frame): Decoded {
  return { kind: 'frame', frame: value };
}

function broken(where: string, expected: string, got: string): Decoded {
  return { kind: 'fault', fault: new Fault('PROTOCOL', `malformed tunnel ${where}: expected ${expected}, got ${got}`) };
}

/** The agent's cJSON matches keys without regard to case and takes the first; so do we. */
function field(members: Members, name: string): Json | undefined {
  for (const [key, value] of members) {
    if (key === name || key.toLowerCase() === name) return value;
  }
  return undefined;
}

function isOperation(name: string): name is Operation {
  return (OPERATIONS as readonly string[]).includes(name);
}

/** The documentation shows status codes as strings; numbers are a likely slip of an agent. */
function textOrNumber(value: Json | undefined): string {
  if (Buffer.isBuffer(value)) return value.toString('utf8');
  return typeof value === 'number' ? String(value) : '';
}

function kindOf(value: Json | undefined): string {
  if (value === undefined) return 'nothing';
  if (value === null) return 'null';
  if (Buffer.isBuffer(value)) return 'a string';
  if (Array.isArray(value)) return 'an array';
  return value instanceof Map ? 'an object' : `a ${typeof value}`;
}

/** A byte that broke the syntax could be typed text or part of a password: name its class alone. */
function gotByte(bytes: Buffer, offset: number): string {
  const byte = bytes[offset];
  if (byte === undefined) return `the end of ${bytes.length} bytes`;
  if (byte < 0x20 || byte === 0x7f) return 'a control character';
  return byte < 0x80 ? 'another character' : 'a byte that is not ASCII';
}

function shown(name: string): string {
  return JSON.stringify(name.length > NAME_SHOWN ? `${name.slice(0, NAME_SHOWN)}…` : name);
}
