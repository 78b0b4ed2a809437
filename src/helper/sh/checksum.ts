import { createHash } from 'node:crypto';

/** Checksum tools that the device may have, best first (start.sh probes in this order). */
export const SUM_TOOLS = ['cksum', 'md5sum', 'sha1sum', 'sha256sum'] as const;
export type SumTool = (typeof SUM_TOOLS)[number];

/** Length of the printed checksum, which tells the tools apart; cksum prints up to ten digits. */
const BY_LENGTH: Readonly<Record<number, SumTool>> = { 32: 'md5sum', 40: 'sha1sum', 64: 'sha256sum' };

const POLYNOMIAL = 0x04c11db7;
const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 24;
  for (let bit = 0; bit < 8; bit += 1) crc = crc < 0 ? (crc << 1) ^ POLYNOMIAL : crc << 1;
  return crc >>> 0;
});

/** POSIX cksum: CRC-32 with the length appended, most significant bit first. */
export function cksum(bytes: Uint8Array): number {
  let crc = 0;
  const feed = (byte: number): void => {
    crc = ((crc << 8) ^ (TABLE[((crc >>> 24) ^ byte) & 0xff] ?? 0)) >>> 0;
  };
  for (const byte of bytes) feed(byte);
  for (let length = bytes.length; length > 0; length = Math.floor(length / 256)) feed(length & 0xff);
  return ~crc >>> 0;
}

/** What `tool` prints for these bytes, as far as the first blank. */
export function checksum(tool: SumTool, bytes: Uint8Array): string {
  if (tool === 'cksum') return String(cksum(bytes));
  return createHash(tool.slice(0, -'sum'.length)).update(bytes).digest('hex');
}

/** Whether a printed checksum, by whichever tool, is that of the text. */
export function verifyChecksum(text: string, sum: string): boolean {
  const tool = BY_LENGTH[sum.length] ?? (/^\d{1,10}$/.test(sum) ? 'cksum' : undefined);
  return tool !== undefined && checksum(tool, Buffer.from(text, 'latin1')) === sum;
}
