import { readFile } from 'node:fs/promises';
import { Fault } from '../base/errors.js';

/** Reads a file that is no secret. `what` names it in the LOCAL fault that says why it cannot. */
export async function readText(path: string, what: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    throw new Fault('LOCAL', `cannot read ${what} from ${path}: ${reason(cause)}.`, { cause });
  }
}

/** Why a file could not be used, in words. */
export function reason(cause: unknown): string {
  const words = { ENOENT: 'it does not exist', EACCES: 'permission denied', EISDIR: 'it is a directory' };
  const { code, message } = cause as NodeJS.ErrnoException;
  return words[code as keyof typeof words] ?? message;
}
