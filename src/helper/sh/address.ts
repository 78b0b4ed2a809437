/** Addresses as the device's tools take them, and as its kernel tells them. */

/** A name or a literal address; anything else could be options to the tool it is given to. */
const HOST = /^[A-Za-z0-9_.:][A-Za-z0-9_.:%-]*$/;

export function isHost(text: string): boolean {
  return HOST.test(text);
}

/** Bytes as one word of a socat address, where commas, colons, quotes and brackets mean something. */
export function socatWord(bytes: Buffer): Buffer {
  const text = bytes.toString('latin1').replaceAll(/[^A-Za-z0-9/._\-\n\x80-\xff]/g, (character) => `\\${character}`);
  return Buffer.from(text, 'latin1');
}

export interface Peer {
  host: string;
  port: number;
}

const NOBODY: Peer = { host: '', port: 0 };

/** The peer from the kernel's table: hexadecimal words of the machine's byte order, `:`, the port. */
export function peerOfTable(text: string, bigEndian: boolean): Peer {
  const [, address, port] = /^([0-9A-Fa-f]{8}|[0-9A-Fa-f]{32}):([0-9A-Fa-f]{4})$/.exec(text) ?? [];
  if (address === undefined || port === undefined) return NOBODY;
  const bytes = Buffer.from(address, 'hex');
  if (!bigEndian) bytes.swap32();
  const host = bytes.length === 4 ? bytes.join('.') : textOfV6(bytes);
  return { host, port: parseInt(port, 16) };
}

/** The peer from socat's variables: the address, one of IPv6 in full and in brackets, and the port. */
export function peerOfSocat(host: string, port: string): Peer {
  if (!/^\d{1,5}$/.test(port) || Number(port) > 65_535) return NOBODY;
  if (/^\d{1,3}(\.\d{1,3}){3}$/.test(host)) return { host, port: Number(port) };
  const words = /^\[([0-9A-Fa-f:]+)\]$/.exec(host)?.[1]?.split(':') ?? [];
  if (words.length !== 8 || words.some((word) => !/^[0-9A-Fa-f]{1,4}$/.test(word))) return NOBODY;
  return { host: textOfV6(Buffer.from(words.map((word) => word.padStart(4, '0')).join(''), 'hex')), port: Number(port) };
}

/** RFC 5952; an IPv4 address in IPv6 as the former, as sshd tells it. */
function textOfV6(bytes: Buffer): string {
  if (/^0{20}f{4}/.test(bytes.toString('hex'))) return bytes.subarray(12).join('.');
  const words = Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(index * 2).toString(16)).join(':');
  // The longest run of two zeros or more, the first of equal ones.
  const runs = [...words.matchAll(/(?<![0-9a-f])0(?::0)+(?![0-9a-f])/g)];
  const longest = runs.reduce<RegExpExecArray | undefined>((best, run) => (best !== undefined && best[0].length >= run[0].length ? best : run), undefined);
  if (longest === undefined) return words;
  const [before, after] = [words.slice(0, longest.index), words.slice(longest.index + longest[0].length)];
  return `${before.replace(/:$/, '')}::${after.replace(/^:/, '')}`;
}
