import type { Address } from './address.js';
import { isLoopback } from './address.js';

/**
 * A known_hosts line (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT") for a host key. `key` is the public
 * key as in a .pub file: algorithm and base64. On loopback it holds for localhost as well.
 */
export function knownHostsLine({ host, port }: Address, key: string): string {
  const hosts = isLoopback(host) ? [...new Set([host, 'localhost'])] : [host];
  const pattern = (name: string) => (port === 22 ? name : `[${name}]:${port}`);
  return `${hosts.map(pattern).join(',')} ${key.split(' ').slice(0, 2).join(' ')}`;
}
