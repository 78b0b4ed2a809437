import { open } from 'node:fs/promises';
import { Fault } from '../base/errors.js';
import { systemReason } from '../base/system-error.js';
import { MAX_BANNER_BYTES } from '../ssh/limits.js';

/** The banner as it is now; undefined when there is no such file. Rejects with a LOCAL fault. */
export async function readBanner(path: string): Promise<Buffer | undefined> {
  try {
    const file = await open(path, 'r');
    try {
      const { bytesRead, buffer } = await file.read(Buffer.alloc(MAX_BANNER_BYTES + 1), 0, MAX_BANNER_BYTES + 1, 0);
      if (bytesRead > MAX_BANNER_BYTES) throw new Error(`it is longer than ${MAX_BANNER_BYTES} bytes`);
      return buffer.subarray(0, bytesRead);
    } finally {
      await file.close();
    }
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new Fault('LOCAL', `cannot read the banner from ${path}: ${systemReason(cause)}.`, { cause });
  }
}
