/**
 * Secrets come from a file, the environment, standard input or a command; from an argument only with
 * a warning, since `ps` shows arguments to everybody.
 */
import { execFile } from 'node:child_process';
import { open } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { Fault } from '../base/errors.js';
import { systemReason } from '../base/system-error.js';

/** Longest secret, in bytes. Tokens of the platform are a few kilobytes. */
export const SECRET_LIMIT_BYTES = 64 * 1024;
/** How long a command that prints a secret may take. */
export const SECRET_COMMAND_MS = 30_000;

/** A secret and what the operator should be told about where it came from. */
export interface Secret {
  value: string;
  warning?: string;
}

/**
 * Reads a secret file whole and removes one line end. `-` is standard input. `what` names it in
 * errors ("the tunnel token"). Throws LOCAL faults.
 */
export async function readSecretFile(path: string, what: string): Promise<Secret> {
  if (path === '-') {
    if (process.stdin.isTTY) process.stderr.write(`Type ${what}, then Ctrl-D: `);
    return { value: checked(await text(process.stdin), what, 'standard input') };
  }
  let file;
  try {
    file = await open(path, 'r');
  } catch (cause) {
    throw unreadable(path, what, cause);
  }
  try {
    const stat = await file.stat();
    const buffer = Buffer.alloc(SECRET_LIMIT_BYTES + 1);
    let size = 0;
    // A pipe (process substitution in bash) gives its content in pieces.
    for (let got = -1; got !== 0 && size < buffer.length; size += got) {
      got = (await file.read(buffer, size, buffer.length - size)).bytesRead;
    }
    const value = checked(buffer.toString('utf8', 0, size), what, path);
    if (stat.isFile() && (stat.mode & 0o077) !== 0) {
      return { value, warning: `${path} (${what}) can be read by other users of this machine: run "chmod 600 ${path}"` };
    }
    return { value };
  } catch (cause) {
    if (cause instanceof Fault) throw cause;
    throw unreadable(path, what, cause);
  } finally {
    await file.close();
  }
}

/** Runs a shell command and takes what it prints, without one line end, as the secret. */
export function readSecretCommand(command: string, what: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = { timeout: SECRET_COMMAND_MS, maxBuffer: SECRET_LIMIT_BYTES, killSignal: 'SIGKILL' as const };
    const child = execFile('/bin/sh', ['-c', command], options, (cause, stdout) => {
      // The command's output may hold the secret, so it is no part of any error; its exit code is.
      if (cause !== null) {
        const why = cause.killed ? `did not end within ${SECRET_COMMAND_MS / 1000} seconds` : `failed (exit code ${String(cause.code)})`;
        return reject(new Fault('LOCAL', `the command that prints ${what} ${why}; run it by hand to see why.`));
      }
      try {
        resolve(checked(stdout, what, 'the command'));
      } catch (fault) {
        reject(fault as Fault);
      }
    });
    child.stdin?.end();
    child.stderr?.pipe(process.stderr, { end: false });
  });
}

/** Removes one line end and refuses what cannot be a secret. */
export function checked(raw: string, what: string, where: string): string {
  const value = raw.replace(/\r?\n$/, '');
  if (value === '') throw new Fault('LOCAL', `${what} is empty: ${where} holds nothing.`);
  if (Buffer.byteLength(value) > SECRET_LIMIT_BYTES) {
    throw new Fault('LOCAL', `${what} from ${where} is longer than ${SECRET_LIMIT_BYTES / 1024} KiB: this is the wrong file.`);
  }
  if (/[\0\r\n]/.test(value)) throw new Fault('LOCAL', `${what} from ${where} has more than one line.`);
  return value;
}

function unreadable(path: string, what: string, cause: unknown): Fault {
  return new Fault('LOCAL', `cannot read ${what} from ${path}: ${systemReason(cause)}.`, { cause });
}
