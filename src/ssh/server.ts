/** The SSH server: listens, keeps count of its clients, and ends them in good order. */
import { createServer, type Socket } from 'node:net';
import { Fault } from '../base/errors.js';
import { LineBudget, type Log } from '../base/log.js';
import { weakAmong } from './algorithm-list.js';
import { COMPRESSION, HOST_KEY_ALGORITHMS, STRICT_KEX, WEAK } from './algorithms.js';
import { FailurePace } from './auth.js';
import { Connection } from './connection.js';
import type { Gateway } from './gateway.js';
import * as limits from './limits.js';
import { listen, type ListenAddress } from './listen.js';
import { DEFAULT_POLICY, type SshPolicy } from './policy.js';
import { fingerprint } from './public-key.js';
import { loadSsh2, type HostKey } from './ssh2-core.js';

/**
 * Software version told to clients. It begins with OpenSSH because clients choose by it: OpenSSH sends
 * eow@openssh.com only to such a server (`ssh host yes | head -1` would hang), and asyncssh takes
 * from it the argument order of SFTP's SYMLINK.
 */
export const SSH_IDENT = 'OpenSSH_9.9 iotda-ssh-bridge';

/** How often a closing server looks whether its clients are done, in milliseconds. */
const DRAIN_STEP_MS = 50;

export interface SshServerOptions {
  listen: ListenAddress;
  /** Private keys in OpenSSH's format, best first (host-key.ts makes them). */
  hostKeys: readonly string[];
  gateway: Gateway;
  log: Log;
  policy?: Partial<SshPolicy>;
  /** LoginGraceTime in milliseconds; default 120 s. */
  loginGraceMs?: number | undefined;
  /** Connections that have not authenticated yet (MaxStartups); default 64. */
  maxUnauthenticated?: number | undefined;
  /** Connections in all; default 1024. */
  maxConnections?: number;
  /** Delay of a connection's first refused password in milliseconds, doubled each time; default 250. */
  authDelayMs?: number;
  /** New keys after this many bytes (RekeyLimit); default 1 GiB. */
  rekeyBytes?: number | undefined;
  /** And after this time in milliseconds, whether anything is sent or not; default one hour. */
  rekeyMs?: number | undefined;
  /** false leaves out ssh2's compiled ciphers, as on a machine where they could not be built. */
  nativeCiphers?: boolean;
}

export interface SshServer {
  /** With the port that was chosen. */
  readonly address: ListenAddress;
  /** 0 on a Unix socket. */
  readonly port: number;
  /** The best host key that is served: as in a public key file ("ssh-ed25519 AAAA…"), and SHA256:…. */
  readonly hostKey: { publicKey: string; fingerprint: string };
  /** Clients connected now. */
  readonly connections: number;
  /**
   * Accepts no more clients, gives those that have channels open `drainMs` milliseconds to finish,
   * and disconnects the rest with the reason.
   */
  close(drainMs: number, reason?: Fault): Promise<void>;
}

/** Rejects with a Fault LOCAL when the address cannot be listened on or a host key cannot be used. */
export async function startSshServer(options: SshServerOptions): Promise<SshServer> {
  const core = loadSsh2({ nativeCiphers: options.nativeCiphers ?? true });
  await core.ready;
  const keys = options.hostKeys.map((text) => {
    const key = core.parsePrivateKey(text);
    if (key instanceof Error) throw new Fault('LOCAL', `A host key cannot be used: ${key.message}. Remove the file to have a new one made.`, { cause: key });
    return key;
  });
  const { log, gateway } = options;
  const policy: SshPolicy = { ...DEFAULT_POLICY, ...options.policy };
  const { algorithms } = policy;
  const hostKeys = byAlgorithm(keys, algorithms.hostKeys);
  const [served] = Object.values(hostKeys);
  if (served === undefined) throw new Fault('USAGE', `No host key can sign by ${algorithms.hostKeys.join(' or ')}: name one that can with --host-key.`);
  const offer = core.createOffer({
    kex: [...algorithms.kex, STRICT_KEX],
    serverHostKey: Object.keys(hostKeys),
    cipher: algorithms.ciphers,
    mac: algorithms.macs,
    compress: COMPRESSION,
  });
  const weak = weakAmong({ ...algorithms, hostKeys: Object.keys(hostKeys) });
  if (Object.keys(weak).length > 0) log.warn(weak, 'weak algorithms are allowed, as asked');
  const pace = new FailurePace(options.authDelayMs ?? limits.AUTH_DELAY_MS);
  const maxUnauthenticated = options.maxUnauthenticated ?? limits.MAX_UNAUTHENTICATED;
  const maxConnections = options.maxConnections ?? limits.MAX_CONNECTIONS;
  const strangerLines = new LineBudget(limits.STRANGER_LINES, limits.STRANGER_LINES_PER_S);
  const clientLines = new LineBudget(limits.CLIENT_LINES, limits.CLIENT_LINES_PER_S);
  const clients = new Set<Connection>();
  let unauthenticated = 0;
  let refusing = 0;
  let refusedSinceLog = 0;
  let refusedLogAt = -Infinity;

  const refuse = (socket: Socket, why: string): void => {
    refusedSinceLog += 1;
    // Whoever floods us shall not flood the log as well, nor hold our file descriptors.
    if (performance.now() - refusedLogAt >= limits.REFUSED_LOG_MS) {
      log.warn({ client: socket.remoteAddress, bound: why, count: refusedSinceLog }, 'refused clients: too many connections');
      refusedLogAt = performance.now();
      refusedSinceLog = 0;
    }
    socket.on('error', () => {});
    if (refusing >= limits.MAX_REFUSING) {
      socket.destroy();
      return;
    }
    refusing += 1;
    socket.once('close', () => { refusing -= 1; });
    socket.resume();
    // sshd's words, which clients show as the line before the identification.
    socket.end(`Exceeded ${why}\r\n`);
    setTimeout(() => socket.destroy(), limits.LINGER_MS).unref();
  };

  const accept = (socket: Socket): void => {
    if (clients.size >= maxConnections || unauthenticated >= maxUnauthenticated) {
      refuse(socket, clients.size >= maxConnections ? 'MaxConnections' : 'MaxStartups');
      return;
    }
    unauthenticated += 1;
    let settled = false;
    const client: Connection = new Connection({
      socket, core, hostKeys, allHostKeys: keys, offer, gateway, policy, pace, log, strangerLines, clientLines,
      ident: SSH_IDENT,
      loginGraceMs: options.loginGraceMs ?? limits.LOGIN_GRACE_MS,
      rekeyBytes: options.rekeyBytes ?? limits.REKEY_BYTES,
      rekeyMs: options.rekeyMs ?? limits.REKEY_MS,
      settled: () => {
        if (!settled) unauthenticated -= 1;
        settled = true;
      },
      closed: () => clients.delete(client),
    });
    clients.add(client);
  };

  const server = createServer(accept);
  const address = await listen(server, options.listen);
  server.on('error', (cause) => log.error({ err: cause }, 'the SSH listener failed'));

  return {
    address,
    port: 'port' in address ? address.port : 0,
    hostKey: { publicKey: `${served.type} ${served.getPublicSSH().toString('base64')}`, fingerprint: fingerprint(served.getPublicSSH()) },
    get connections() {
      return clients.size;
    },
    async close(drainMs, reason = new Fault('LOCAL', 'The bridge is shutting down.')) {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      const deadline = performance.now() + drainMs;
      while ([...clients].some((client) => !client.isIdle) && performance.now() < deadline) {
        await new Promise((resolve) => setTimeout(resolve, Math.min(DRAIN_STEP_MS, Math.max(1, deadline - performance.now()))));
      }
      for (const client of clients) client.disconnect(reason);
      await closed;
    },
  };
}

/** The library looks host keys up by signature algorithm; of these, those that are `allowed`. */
function byAlgorithm(keys: readonly HostKey[], allowed: readonly string[]): Record<string, HostKey> {
  const table: Record<string, HostKey> = {};
  for (const key of keys) {
    const algorithms = HOST_KEY_ALGORITHMS[key.type];
    if (algorithms === undefined) throw new Fault('LOCAL', `A host key of type ${key.type} cannot be used: make an ed25519 key.`);
    for (const algorithm of [...algorithms, ...WEAK.hostKeys.filter((name) => name === key.type)]) {
      if (allowed.includes(algorithm)) table[algorithm] ??= key;
    }
  }
  return table;
}
