/** How the device prints bytes, by the tools it has (start.sh). */
export type Encoding = 'b64' | 'hex';

/** The bytes of one segment, or undefined when the text is not of the encoding. */
export function decodeSegment(text: string, encoding: Encoding): Buffer | undefined {
  const plain = text.replace(/\s+/g, '');
  if (encoding === 'hex') {
    return /^(?:[0-9a-f]{2})*$/.test(plain) ? Buffer.from(plain, 'hex') : undefined;
  }
  if (plain.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(plain)) return undefined;
  return Buffer.from(plain, 'base64');
}
