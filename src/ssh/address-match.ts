/** OpenSSH's lists of addresses (ssh_config(5), PATTERNS; sshd(8), from=): patterns and networks, `!` excludes. */
import { BlockList, isIP } from 'node:net';
import { matches } from './policy.js';

/** Whether `address` is on the comma-separated list. Names are never on it: nobody is asked for them. */
export function matchesAddress(list: string, address: string): boolean {
  let found = false;
  for (const entry of list.split(',')) {
    const isExcluded = entry.trim().startsWith('!');
    const pattern = entry.trim().replace(/^!/, '').toLowerCase();
    if (pattern === '' || !matchesOne(pattern, address.toLowerCase())) continue;
    if (isExcluded) return false;
    found = true;
  }
  return found;
}

function matchesOne(pattern: string, address: string): boolean {
  const [network = '', bits] = pattern.split('/');
  if (bits === undefined) return matches(pattern, address);
  const family = isIP(network);
  const length = Number(bits);
  if (family === 0 || isIP(address) !== family || !/^\d+$/.test(bits) || length > (family === 4 ? 32 : 128)) return false;
  const name = family === 4 ? 'ipv4' : 'ipv6';
  const block = new BlockList();
  block.addSubnet(network, length, name);
  return block.check(address, name);
}
