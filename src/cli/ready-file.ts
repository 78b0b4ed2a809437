import { randomUUID } from 'node:crypto';
import { readFileSync, unlinkSync } from 'node:fs';
import { rename, unlink, writeFile } from 'node:fs/promises';
import { Fault } from '../base/errors.js';
import { NO_FOLDER, systemReason } from '../base/system-error.js';
import type { ListenAddress } from '../ssh/listen.js';
import { knownHostsLine } from './known-hosts.js';

/** What a script learns from a ready file. Fields that a command does not have are left out. */
export interface Ready {
  pid: number;
  host?: string;
  port?: number;
  /** The Unix socket, where it is none of the two. */
  socket?: string;
  /** The user name to log in as, where it is known. */
  user?: string;
  hostKeyFingerprint?: string;
  /** A line for known_hosts. */
  knownHosts?: string;
}

/** How to get to an SSH server with this host key. A Unix socket has no name that known_hosts could know it by. */
export function whereToConnect(address: ListenAddress, key: string): Pick<Ready, 'host' | 'port' | 'socket' | 'knownHosts'> {
  return 'path' in address ? { socket: address.path } : { ...address, knownHosts: knownHostsLine(address, key) };
}

/**
 * Writes the file whole or not at all (0600), so that a script that waits for it never reads half.
 * Returns what removes it again, unless another process has put its own there.
 */
export async function writeReadyFile(path: string, ready: Ready): Promise<() => void> {
  const text = `${JSON.stringify(ready, undefined, 2)}\n`;
  const temporary = `${path}.${randomUUID().slice(0, 8)}.tmp`;
  try {
    await writeFile(temporary, text, { mode: 0o600, flag: 'wx' });
    await rename(temporary, path);
  } catch (cause) {
    await unlink(temporary).catch(() => undefined);
    throw new Fault('LOCAL', `cannot write the ready file ${path}: ${systemReason(cause, NO_FOLDER)}.`, { cause });
  }
  return () => {
    try {
      if (readFileSync(path, 'utf8') === text) unlinkSync(path);
    } catch {
      // Somebody removed it before us.
    }
  };
}
