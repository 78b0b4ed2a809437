/**
 * A view keeps all that it is a view of: a packet of 256 kB for a byte in it, or the pool from which Node takes small
 * buffers. What would keep more than twice its own is copied, and not into that pool: for bytes that wait.
 */
export function unpinned(bytes: Buffer): Buffer {
  if (bytes.length * 2 >= bytes.buffer.byteLength) return bytes;
  const copy = Buffer.allocUnsafeSlow(bytes.length);
  bytes.copy(copy);
  return copy;
}
