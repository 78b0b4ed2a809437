/** OpenSSH's lists of addresses (ssh_config(5), PATTERNS; sshd(8), from=): patterns and networks, `!` excludes. */
import { isIP } from 'node:net';
import { matches } from './policy.js';

/**
 * Whether `address` is on the comma-separated list. Names are never on it: nobody is asked for them. As in
 * sshd, nobody is on a list with a network that has more bits than its mask: what it means is not sure.
 */
export function matchesAddress(list: string, address: string): boolean {
  let found = false;
  for (const entry of list.toLowerCase().split(',')) {
    const isExcluded = entry.startsWith('!');
    const isMatch = matchesOne(isExcluded ? entry.slice(1) : entry, address.toLowerCase());
    if (isMatch === undefined || (isMatch && isExcluded)) return false;
    if (isMatch) found = true;
  }
  return found;
}

/** undefined: it is no network. */
function matchesOne(pattern: string, address: string): boolean | undefined {
  const [network = '', length] = pattern.split('/');
  if (length === undefined) return isIP(pattern) > 0 && isIP(pattern) === isIP(address) ? addressBits(pattern) === addressBits(address) : matches(pattern, address);
  if (isIP(network) === 0) return false;
  const bits = addressBits(network);
  const prefix = bits.slice(0, Number(length));
  if (!/^\d+$/.test(length) || Number(length) > bits.length || bits.slice(prefix.length).includes('1')) return undefined;
  return isIP(address) === isIP(network) && addressBits(address).startsWith(prefix);
}

/** An address as text of 32 or 128 zeros and ones. */
function addressBits(address: string): string {
  if (isIP(address) === 4) return address.split('.').map((byte) => Number(byte).toString(2).padStart(8, '0')).join('');
  // A URL's host is written in groups of 16 bits only, whatever was given.
  const [left = '', right] = new URL(`http://[${address.replace(/%.*/, '')}]`).hostname.slice(1, -1).split('::');
  const groupsOf = (text: string): string[] => text.split(':').filter((group) => group !== '');
  const [front, back] = [groupsOf(left), groupsOf(right ?? '')];
  const zeros = Array.from({ length: 8 - front.length - back.length }, () => '0');
  return [...front, ...zeros, ...back].map((group) => Number.parseInt(group, 16).toString(2).padStart(16, '0')).join('');
}
