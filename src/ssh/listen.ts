/** Where the server listens: a TCP address, or a Unix socket that only its owner can reach. */
import { lstatSync, unlinkSync } from 'node:fs';
import { connect, type AddressInfo, type Server } from 'node:net';
import { Fault } from '../base/errors.js';

export type ListenAddress = { host: string; port: number } | { path: string };

/** Everything but reading and writing by the owner. */
const OTHERS = 0o177;

/** Resolves with the address as it became (the port that was chosen). Rejects with a LOCAL fault that says why not. */
export async function listen(server: Server, where: ListenAddress): Promise<ListenAddress> {
  try {
    await bind(server, where);
  } catch (cause) {
    if (!('path' in where) || (cause as NodeJS.ErrnoException).code !== 'EADDRINUSE' || !(await isLeftOver(where.path))) throw listenFault(cause as NodeJS.ErrnoException, where);
    unlinkSync(where.path);
    await bind(server, where).catch((again: NodeJS.ErrnoException) => {
      throw listenFault(again, where);
    });
  }
  if ('path' in where) return where;
  const { address, port } = server.address() as AddressInfo;
  return { host: address, port };
}

function bind(server: Server, where: ListenAddress): Promise<void> {
  return new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    // The socket comes to be within listen(): nobody can reach it for even a moment.
    const before = 'path' in where ? process.umask(OTHERS) : undefined;
    server.listen(where, () => {
      server.off('error', reject);
      resolve();
    });
    if (before !== undefined) process.umask(before);
  });
}

/** A socket that nobody answers at any more: its bridge was killed. */
function isLeftOver(path: string): Promise<boolean> {
  if (!lstatSync(path, { throwIfNoEntry: false })?.isSocket()) return Promise.resolve(false);
  return new Promise((resolve) => {
    const probe = connect(path);
    probe.once('connect', () => {
      probe.destroy();
      resolve(false);
    });
    probe.once('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'ECONNREFUSED'));
  });
}

function listenFault(cause: NodeJS.ErrnoException, where: ListenAddress): Fault {
  const isSocket = 'path' in where;
  const reasons: Readonly<Record<string, string>> = {
    EADDRINUSE: isSocket ? 'another program listens there, or the file is no socket; choose another name' : 'another program uses that port; choose another one',
    EACCES: isSocket ? 'its folder is missing or cannot be written' : 'ports below 1024 need privileges; choose a higher one',
    EADDRNOTAVAIL: 'this machine has no such address',
    ENOTFOUND: 'the host name is not known',
  };
  const why = reasons[cause.code ?? ''] ?? cause.message;
  return new Fault('LOCAL', `Cannot listen on ${isSocket ? where.path : `${where.host}:${where.port}`}: ${why}.`, { cause });
}
