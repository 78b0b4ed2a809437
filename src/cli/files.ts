import type { Stats } from 'node:fs';
import { open, realpath, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Fault } from '../base/errors.js';
import { systemReason } from '../base/system-error.js';

/** Longest text file read, in bytes: a thousand tunnels with long tokens, or as many keys. */
export const TEXT_LIMIT_BYTES = 16 * 1024 * 1024;
/** Bytes of one read. */
const READ_BYTES = 64 * 1024;

/** Permission bits: written by the group or by everybody; read by them. */
const WRITTEN_BY_OTHERS = 0o022;
const READ_BY_OTHERS = 0o077;
const WRITTEN_BY_ALL = 0o002;
const STICKY = 0o1000;

/** Reads a file that is no secret. `what` names it in the LOCAL fault that says why it cannot. */
export async function readText(path: string, what: string): Promise<string> {
  return (await read(path, what)).text;
}

/** The same for a file with secrets in it: `warn` is told when other users can read it. */
export async function readSecrets(path: string, what: string, warn: (sentence: string) => void): Promise<string> {
  const { text, stats } = await read(path, what);
  if (stats.isFile() && (stats.mode & READ_BY_OTHERS) !== 0) {
    warn(`${path} (${what}) can be read by other users of this machine: run "chmod 600 ${path}"`);
  }
  return text;
}

/**
 * The same for a file that decides who is let in: as under sshd's StrictModes, nobody else may be able
 * to write it. Rejects with a LOCAL fault that says how to put that right.
 */
export async function readTrusted(path: string, what: string): Promise<string> {
  const { text, stats } = await read(path, what);
  if (stats.isFile() && (stats.mode & WRITTEN_BY_OTHERS) !== 0) {
    throw new Fault('LOCAL', `${path} (${what}) can be written by other users of this machine, who could let themselves in: run "chmod go-w ${path}".`);
  }
  if (!stats.isFile()) return text;
  checkOwner(`${path} (${what})`, stats.uid);
  // Of a symbolic link, both.
  for (const folder of new Set([dirname(path), dirname(await realpath(path))])) {
    const { mode, uid } = await stat(folder);
    checkOwner(`${folder}, the folder of ${what},`, uid);
    if ((mode & WRITTEN_BY_ALL) !== 0 && (mode & STICKY) === 0) {
      throw new Fault('LOCAL', `${folder}, the folder of ${what}, can be written by everybody, who could put another file there: run "chmod o-w ${folder}".`);
    }
  }
  return text;
}

/** An owner may write whatever the mode says. */
function checkOwner(name: string, owner: number): void {
  if (owner === 0 || owner === process.geteuid?.()) return;
  throw new Fault('LOCAL', `${name} belongs to another user of this machine (${owner}), who could let anybody in: use a file, in a folder, of your own.`);
}

async function read(path: string, what: string): Promise<{ text: string; stats: Stats }> {
  try {
    const file = await open(path, 'r');
    try {
      const chunks: Buffer[] = [];
      let size = 0;
      for (;;) {
        const { bytesRead, buffer } = await file.read(Buffer.alloc(READ_BYTES), 0, READ_BYTES);
        if (bytesRead === 0) break;
        size += bytesRead;
        if (size > TEXT_LIMIT_BYTES) throw new Error(`it is longer than ${TEXT_LIMIT_BYTES / 1024 / 1024} MiB: this is the wrong file`);
        chunks.push(buffer.subarray(0, bytesRead));
      }
      return { text: Buffer.concat(chunks).toString('utf8'), stats: await file.stat() };
    } finally {
      await file.close();
    }
  } catch (cause) {
    throw new Fault('LOCAL', `cannot read ${what} from ${path}: ${systemReason(cause)}.`, { cause });
  }
}
