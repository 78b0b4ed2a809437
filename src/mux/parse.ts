import { inflateSync } from 'node:zlib';
import { Fault } from '../base/errors.js';
import { peerWords } from '../base/words.js';
import type { Outcome, Refusal } from './device.js';
import { PAYLOAD_LIMIT_BYTES } from './wire.js';

/** JSON objects that the helper sends; anything else in their place is a PROTOCOL fault. */
type Json = Record<string, unknown>;

export function parseJson(payload: Buffer, what: string): Json {
  try {
    const value: unknown = JSON.parse(payload.toString());
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Json;
  } catch (cause) {
    throw new Fault('PROTOCOL', `The device's helper sent ${what} that is not JSON.`, { cause });
  }
  throw new Fault('PROTOCOL', `The device's helper sent ${what} that is not a JSON object.`);
}

export function text(json: Json, name: string): string {
  const value = json[name];
  return typeof value === 'string' ? value : '';
}

export function number(json: Json, name: string): number {
  const value = json[name];
  return typeof value === 'number' && Number.isInteger(value) ? value : 0;
}

const REFUSALS: readonly Refusal['code'][] = ['unsupported', 'prohibited', 'connect-failed', 'resource'];

export function parseRefusal(payload: Buffer): Refusal {
  const json = parseJson(payload, 'a refusal');
  const code = REFUSALS.find((known) => known === json['code']) ?? 'resource';
  return { code, message: peerWords(text(json, 'message')) || 'the device gave no reason' };
}

/** A TCP port, or 0 for what is none. */
export function parsePort(json: Json): number {
  const port = number(json, 'port');
  return port >= 0 && port <= 0xffff ? port : 0;
}

/** Longest path of a socket in bytes; sun_path holds 108. */
const PATH_LIMIT_BYTES = 4096;

export function parsePath(json: Json): Buffer {
  const path = Buffer.from(text(json, 'path'), 'latin1');
  if (path.length === 0 || path.length > PATH_LIMIT_BYTES || path.includes(0)) {
    throw new Fault('PROTOCOL', "The device's helper named a socket by what is no path.");
  }
  return path;
}

/** Whom a listener accepted; clients show it to their user. */
export function parsePeer(json: Json): { host: string; port: number } {
  const host = text(json, 'host');
  return { host: /^[\x21-\x7e]{1,255}$/.test(host) ? host : '', port: parsePort(json) };
}

export function parseOutcome(payload: Buffer): Outcome {
  const json = parseJson(payload, 'an exit message');
  const signal = text(json, 'signal');
  if (signal !== '') {
    // Clients show the name; where it has none, sshd says SIG@openssh.com.
    const name = signal.replace(/@openssh\.com$/, '').replaceAll(/[^A-Z0-9]/g, '').slice(0, 16);
    return { kind: 'signal', signal: name === '' ? 'SIG' : name, coreDumped: json['core'] === true, message: peerWords(text(json, 'message')) };
  }
  if (typeof json['status'] !== 'number') {
    throw new Fault('PROTOCOL', "The device's helper sent an exit message without status or signal.");
  }
  return { kind: 'status', status: number(json, 'status') };
}

/** One whole zlib stream of at most PAYLOAD_LIMIT_BYTES inflated. */
export function inflate(payload: Buffer): Buffer {
  try {
    return inflateSync(payload, { maxOutputLength: PAYLOAD_LIMIT_BYTES });
  } catch (cause) {
    throw new Fault('PROTOCOL', "The device's helper sent compressed data that does not inflate within its bound.", { cause });
  }
}
