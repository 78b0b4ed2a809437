import { resolve } from 'node:path';
import { Fault } from '../base/errors.js';
import type { ListenAddress } from '../ssh/listen.js';

/** Where to listen or to connect. `host` is a name or an IP address without brackets. */
export interface Address {
  host: string;
  port: number;
}

/** The host of an address that names only a port: never more than this machine by accident. */
export const DEFAULT_HOST = '127.0.0.1';

/**
 * Reads HOST:PORT. The grammar:
 *
 *   address = host ":" port | ":" port | port
 *   host    = name | IPv4 | "[" IPv6 "]"
 *   port    = 0 … 65535
 *
 * Without a host it is 127.0.0.1. Throws a USAGE fault that says what is wrong with it.
 */
export function parseAddress(text: string): Address {
  const wrong = (why: string) => new Fault('USAGE', `"${text}" is not HOST:PORT: ${why}.`);
  const match = /^(?:(?:\[(?<v6>[^\]]*)\]|(?<host>[^:[\]]*)):)?(?<port>[^:[\]]*)$/.exec(text);
  if (match?.groups === undefined) {
    if (/^[0-9a-f:.%]*:[0-9a-f:.%]*:/i.test(text)) throw wrong('write an IPv6 address in brackets, as in [::1]:2222');
    throw wrong('it reads as in localhost:2222, [::1]:2222, :2222 or 2222');
  }
  const { v6, host, port = '' } = match.groups;
  if (port === '') throw wrong('the port is missing');
  if (!/^\d{1,5}$/.test(port) || Number(port) > 65_535) {
    throw wrong(text === port && !/^\d+$/.test(port) ? 'the port is missing' : 'the port is a number from 0 to 65535');
  }
  if (v6 !== undefined && !/^[0-9a-f:.]*:[0-9a-f:.]*(%\w+)?$/i.test(v6)) throw wrong('brackets hold an IPv6 address');
  if (host !== undefined && host !== '' && !/^[A-Za-z0-9._-]+$/.test(host)) throw wrong('the host is a name or an IP address');
  return { host: v6 ?? (host === undefined || host === '' ? DEFAULT_HOST : host), port: Number(port) };
}

/** unix(7): sun_path, less its end. */
const SOCKET_NAME_BYTES = 107;

/** HOST:PORT, or a Unix socket's file, which has a slash in its name. */
export function parseListenAddress(text: string): ListenAddress {
  if (!text.includes('/')) return parseAddress(text);
  const path = resolve(text);
  // Node would cut it, and listen on another name.
  if (Buffer.byteLength(path) > SOCKET_NAME_BYTES) throw new Fault('USAGE', `"${path}" is too long for a Unix socket: ${SOCKET_NAME_BYTES} bytes at most.`);
  return { path };
}

/** The same text form back, for people and for other programs. */
export function formatAddress(address: ListenAddress): string {
  if ('path' in address) return address.path;
  const { host, port } = address;
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Whether only this machine can reach it. Names other than localhost are not trusted to stay here. */
export function isLoopback(host: string): boolean {
  return /^(localhost|127(\.\d{1,3}){3}|::1)$/i.test(host);
}
