import { readFile } from 'node:fs/promises';
import { Fault } from '../base/errors.js';

/** One tunnel that the relay serves. Names as on the wire of the platform's API. */
export interface TunnelEntry {
  tunnel_id: string;
  device_id: string;
  source_token: string;
  device_token: string;
}

const FIELDS = ['tunnel_id', 'device_id', 'source_token', 'device_token'] as const;

/** Reads the JSON list of tunnels; an error names the entry and the field, never a token. */
export async function readTunnelsFile(path: string): Promise<TunnelEntry[]> {
  let text;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    throw new Fault('LOCAL', `cannot read the tunnels file ${path}: ${(cause as Error).message}.`, { cause });
  }
  let list: unknown;
  try {
    list = JSON.parse(text);
  } catch {
    // JSON.parse quotes the text around the error, which may be a token.
    throw new Fault('USAGE', `the tunnels file ${path} is not JSON.`);
  }
  return parseTunnels(list, path);
}

export function parseTunnels(list: unknown, path: string): TunnelEntry[] {
  const wrong = (why: string) => new Fault('USAGE', `the tunnels file ${path} ${why}.`);
  if (!Array.isArray(list) || list.length === 0) throw wrong('must hold a JSON list of at least one tunnel');
  const seen = new Set<string>();
  return list.map((entry: unknown, index) => {
    if (typeof entry !== 'object' || entry === null) throw wrong(`has no object at entry ${index + 1}`);
    const tunnel = {} as TunnelEntry;
    for (const field of FIELDS) {
      const value = (entry as Record<string, unknown>)[field];
      if (typeof value !== 'string' || value === '') throw wrong(`needs a string "${field}" in entry ${index + 1}`);
      tunnel[field] = value;
    }
    if (!/^[A-Za-z0-9_-]{1,128}$/.test(tunnel.tunnel_id)) {
      throw wrong(`has a tunnel_id in entry ${index + 1} that is not 1 to 128 letters, digits, _ or -`);
    }
    if (seen.has(tunnel.tunnel_id)) throw wrong(`names tunnel_id ${tunnel.tunnel_id} twice`);
    seen.add(tunnel.tunnel_id);
    return tunnel;
  });
}
