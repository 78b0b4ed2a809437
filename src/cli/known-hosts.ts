import { createHash } from 'node:crypto';
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

/** The fingerprint as ssh shows it: SHA256: and unpadded base64. */
export function fingerprint(key: string): string {
  const blob = Buffer.from(key.split(' ')[1] ?? '', 'base64');
  return `SHA256:${createHash('sha256').update(blob).digest('base64').replace(/=+$/, '')}`;
}
