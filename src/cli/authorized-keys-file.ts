import { stat } from 'node:fs/promises';
import { toFault } from '../base/errors.js';
import type { Log } from '../base/log.js';
import { parseAuthorizedKeys, type AuthorizedKey } from '../ssh/authorized-keys.js';
import { readTrusted } from './files.js';

/** Lines that cannot be used and are named in the log, each time the file is read. */
const TOLD_LINES = 10;

/**
 * The keys in a file, as it is whenever they are asked for: as under sshd, a key that is added or taken
 * away needs no restart. Rejects with a USAGE or LOCAL fault when the file cannot be used now. Later
 * that is told in the log, and nobody is let in by a key until it is put right.
 */
export async function followAuthorizedKeys(file: string, log: Log): Promise<() => Promise<readonly AuthorizedKey[]>> {
  const read = async (): Promise<readonly AuthorizedKey[]> => {
    let passedOver = 0;
    const keys = parseAuthorizedKeys(await readTrusted(file, 'the authorised keys'), file, (problem) => {
      passedOver += 1;
      if (passedOver <= TOLD_LINES) log.warn({ reason: problem.message }, 'passed over a line of the authorised keys: it lets nobody in');
    });
    if (passedOver > TOLD_LINES) log.warn({ lines: passedOver }, 'passed over more lines of the authorised keys');
    return keys;
  };
  let version = await versionOf(file);
  let keys = await read();
  return async () => {
    const now = await versionOf(file);
    if (now === version) return keys;
    try {
      keys = await read();
      log.info({ file, keys: keys.length }, 'read the authorised keys again');
    } catch (thrown) {
      keys = [];
      log.error({ reason: toFault(thrown).message }, 'the authorised keys cannot be used any more: no key is accepted until the file is put right');
    }
    version = now;
    return keys;
  };
}

/** Changes with the file's content, as far as the file system tells. */
async function versionOf(file: string): Promise<string> {
  try {
    const { dev, ino, size, mtimeNs, ctimeNs } = await stat(file, { bigint: true });
    return [dev, ino, size, mtimeNs, ctimeNs].join(' ');
  } catch {
    return 'none';
  }
}
