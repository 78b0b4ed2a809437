/** The list of tunnels a relay serves, as the operator writes it: a JSON file. */
import { createHash, timingSafeEqual } from 'node:crypto';
import { Fault } from '../base/errors.js';

export interface TunnelEntry {
  /** 1 to 128 of letters, digits, `_` and `-` (page 1433); part of the URI. */
  tunnel_id: string;
  /** For people and logs. */
  device_id: string;
  /** What the bridge must show. */
  source_token: string;
  /** What the device agent must show. Never the same: either side could pose as the other. */
  device_token: string;
}

const FIELDS = ['tunnel_id', 'device_id', 'source_token', 'device_token'] as const;
const TUNNEL_ID = /^[A-Za-z0-9_-]{1,128}$/;
const TOKEN = /^[\x21-\x7e]+$/;

/** Most tunnels of one relay: the platform's own limit per tenant (page 1331). */
export const TUNNELS_LIMIT = 1_000;

/**
 * Reads the text of a tunnels file. `name` is the file's name, for the message. Throws a Fault
 * (USAGE) that names the entry and the field, and shows no token.
 */
export function parseTunnels(text: string, name: string): TunnelEntry[] {
  let value: unknown;
  try {
    value = JSON.parse(text.replace(/^\ufeff/, ''));
  } catch {
    // The parser's own message quotes the text around the mistake, which may be a token.
    throw new Fault('USAGE', `${name} is not JSON: it must hold a list of objects with ${FIELDS.join(', ')}`);
  }
  return verifyTunnels(value, name);
}

/** The same check for a list that is in memory already. */
export function verifyTunnels(value: unknown, name: string): TunnelEntry[] {
  if (!Array.isArray(value)) throw new Fault('USAGE', `${name} must hold a list ([ … ]) of tunnels`);
  if (value.length === 0) throw new Fault('USAGE', `${name} lists no tunnel`);
  if (value.length > TUNNELS_LIMIT) {
    throw new Fault('USAGE', `${name} lists ${value.length} tunnels, the most is ${TUNNELS_LIMIT}`);
  }
  const seen = new Set<string>();
  return value.map((item: unknown, index) => {
    const entry = verifyEntry(item, `${name}, entry ${index + 1}`);
    if (seen.has(entry.tunnel_id)) throw new Fault('USAGE', `${name}, entry ${index + 1}: tunnel_id ${entry.tunnel_id} is there twice`);
    seen.add(entry.tunnel_id);
    return entry;
  });
}

function verifyEntry(item: unknown, where: string): TunnelEntry {
  if (typeof item !== 'object' || item === null || Array.isArray(item)) throw new Fault('USAGE', `${where}: not an object`);
  for (const key of Object.keys(item)) {
    if (!(FIELDS as readonly string[]).includes(key)) throw new Fault('USAGE', `${where}: unknown field ${JSON.stringify(key.slice(0, 40))}`);
  }
  const field = (name: (typeof FIELDS)[number]): string => {
    const value = (item as Record<string, unknown>)[name];
    if (typeof value !== 'string' || value === '') throw new Fault('USAGE', `${where}: ${name} must be a text that is not empty`);
    return value;
  };
  const entry = {
    tunnel_id: field('tunnel_id'),
    device_id: field('device_id'),
    source_token: field('source_token'),
    device_token: field('device_token'),
  };
  if (!TUNNEL_ID.test(entry.tunnel_id)) {
    throw new Fault('USAGE', `${where}: tunnel_id must be 1 to 128 letters, digits, _ or -`);
  }
  for (const name of ['source_token', 'device_token'] as const) {
    if (!TOKEN.test(entry[name])) throw new Fault('USAGE', `${where}: ${name} holds white space or characters that are not ASCII`);
  }
  if (entry.source_token === entry.device_token) {
    throw new Fault('USAGE', `${where}: source_token and device_token must differ`);
  }
  return entry;
}

/** Compares in a time that depends on neither. */
export function sameToken(expected: string, shown: string): boolean {
  return timingSafeEqual(digest(expected), digest(shown));
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
