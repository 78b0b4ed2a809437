/**
 * How agents read a message. Not the application's tolerant decoder: each family has its own idea of
 * JSON, and what it makes of a bad frame is part of its profile.
 */
import { SERVICE_SSH } from '../protocol/constants.js';
import { readJson, type Json } from '../protocol/json.js';
import type { Behaviour } from './behaviour.js';

export type Inbound =
  | { kind: 'connect'; id: string; user: string; password: string }
  | { kind: 'command'; id: string; text: string }
  | { kind: 'disconnect' }
  /** Dropped without an answer. */
  | { kind: 'ignored'; why: string }
  /** The agent's process dies of it. */
  | { kind: 'crash'; why: string }
  /** The agent closes its WebSocket: with this code and text, or abruptly. */
  | { kind: 'close'; code: number; why: string };

/** Reads one message as the agent described by `behaviour` does. Never throws. */
export function readMessage(bytes: Buffer, binary: boolean, behaviour: Behaviour): Inbound {
  if (bytes.length === 0 && behaviour.emptyMessageCloses) return { kind: 'close', code: 1000, why: 'empty message' };
  const members = behaviour.parser === 'strict' ? strictMembers(bytes, binary) : cjsonMembers(bytes, behaviour);
  if (members === undefined) {
    return behaviour.parser === 'strict'
      ? { kind: 'close', code: 1011, why: 'Unexpected character encountered while parsing value.' }
      : { kind: 'ignored', why: 'not JSON' };
  }
  const operation = members.text('operation_type');
  const service = members.text('tunnel_service_type');
  if (operation === undefined || service === undefined) {
    const why = `no ${operation === undefined ? 'operation_type' : 'tunnel_service_type'}`;
    return behaviour.missingFieldCrashes ? { kind: 'crash', why } : { kind: 'ignored', why };
  }
  if (service !== SERVICE_SSH) return { kind: 'ignored', why: `service ${JSON.stringify(service.slice(0, 40))}` };
  const id = members.text('request_id') ?? '';
  switch (operation) {
    case 'connect': {
      const data = members.inner('data');
      const user = data?.text('username');
      const password = data?.text('password');
      if (user === undefined || password === undefined) return { kind: 'ignored', why: 'connect without texts' };
      return { kind: 'connect', id, user, password };
    }
    case 'command': {
      const text = members.text('data');
      return text === undefined ? { kind: 'ignored', why: 'command without text' } : { kind: 'command', id, text };
    }
    case 'disconnect':
      return members.has('data') ? { kind: 'disconnect' } : { kind: 'ignored', why: 'disconnect without data' };
    default:
      return { kind: 'ignored', why: `operation ${JSON.stringify(operation.slice(0, 40))}` };
  }
}

/** One JSON object, looked up in the family's way. */
interface Members {
  has(name: string): boolean;
  text(name: string): string | undefined;
  inner(name: string): Members | undefined;
}

/** cJSON: the first of equal keys, keys without regard to case, garbage behind the object ignored. */
function cjsonMembers(bytes: Buffer, behaviour: Behaviour): Members | undefined {
  const json = readJson(bytes);
  if (!json.ok || !(json.value instanceof Map)) return undefined;
  if (behaviour.parser === 'cjson' && hasLoneSurrogate(bytes)) return undefined;
  return cjsonObject(json.value, behaviour.nulCutsCommand);
}

function cjsonObject(map: Map<string, Json>, cutAtNul: boolean): Members {
  const find = (name: string): Json | undefined => {
    for (const [key, value] of map) if (key.toLowerCase() === name) return value;
    return undefined;
  };
  return {
    has: (name) => find(name) !== undefined,
    text: (name) => {
      const value = find(name);
      if (!Buffer.isBuffer(value)) return undefined;
      const text = value.toString('utf8');
      const nul = cutAtNul ? text.indexOf('\0') : -1;
      return nul === -1 ? text : text.slice(0, nul);
    },
    inner: (name) => {
      const value = find(name);
      return value instanceof Map ? cjsonObject(value, cutAtNul) : undefined;
    },
  };
}

/** Newtonsoft: exact keys, the last of equal ones, nothing behind the object. */
function strictMembers(bytes: Buffer, binary: boolean): Members | undefined {
  if (binary) return undefined;
  try {
    const value: unknown = JSON.parse(bytes.toString('utf8').replace(/^\ufeff/, ''));
    return isObject(value) ? strictObject(value) : undefined;
  } catch {
    return undefined;
  }
}

function strictObject(value: Record<string, unknown>): Members {
  return {
    has: (name) => Object.hasOwn(value, name),
    text: (name) => {
      const member = Object.hasOwn(value, name) ? value[name] : undefined;
      return typeof member === 'string' ? member : undefined;
    },
    inner: (name) => {
      const member = Object.hasOwn(value, name) ? value[name] : undefined;
      return isObject(member) ? strictObject(member) : undefined;
    },
  };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Any escape, so that `\\ud800` (a backslash and letters) is passed over; then half a pair. */
const ESCAPES = /\\(?:u([0-9a-fA-F]{4})|[^u])/g;

function hasLoneSurrogate(bytes: Buffer): boolean {
  if (!bytes.includes('\\u')) return false;
  let highEnd = -1;
  const text = bytes.toString('latin1');
  for (const match of text.matchAll(ESCAPES)) {
    const unit = match[1] === undefined ? 0 : Number.parseInt(match[1], 16);
    const isLow = unit >= 0xdc00 && unit <= 0xdfff;
    const paired = highEnd !== -1 && isLow && match.index === highEnd;
    if (highEnd !== -1 && !paired) return true;
    if (isLow && !paired) return true;
    highEnd = unit >= 0xd800 && unit <= 0xdbff ? match.index + match[0].length : -1;
  }
  return highEnd !== -1;
}
