/** The ssh layer on a LocalDevice, with real clients pointed at it: no tunnel, no other user. */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLog } from '../../src/base/log.js';
import { loadHostKeys } from '../../src/ssh/host-key.js';
import { startSshServer, type SshServer, type SshServerOptions } from '../../src/ssh/server.js';
import { LocalGateway } from './local-device.js';

/** Longest one client may run, in milliseconds. */
const CLIENT_MS = 60_000;

export interface Ran {
  code: number | null;
  stdout: Buffer;
  stderr: string;
}

export interface LocalSsh {
  server: SshServer;
  gateway: LocalGateway;
  /** A private folder, removed at the end. */
  folder: string;
  /** Options for ssh, sftp and scp: key, known_hosts, no user configuration. */
  options: readonly string[];
  /** Runs OpenSSH's ssh: options and command in the order of its command line. */
  ssh(args: readonly string[], input?: Buffer | string): Promise<Ran>;
  run(program: string, args: readonly string[], input?: Buffer | string): Promise<Ran>;
  close(): Promise<void>;
}

export const USER = 'tester';
export const PASSWORD = 'right horse';

export async function startLocalSsh(extra: Partial<SshServerOptions> = {}): Promise<LocalSsh> {
  const folder = mkdtempSync(join(tmpdir(), 'ssh-local-'));
  const hostKeys = await loadHostKeys(join(folder, 'state'));
  const gateway = new LocalGateway({ user: USER, password: PASSWORD });
  const server = await startSshServer({
    listen: { host: '127.0.0.1', port: 0 }, hostKeys, gateway, log: silentLog(), authDelayMs: 10, ...extra,
  }).catch((error: unknown) => {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  });
  writeFileSync(join(folder, 'known_hosts'), `[127.0.0.1]:${server.port} ${server.hostKey.publicKey}\n`);
  const key = join(folder, 'id');
  await runProgram('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', key], '', folder);
  gateway.keys.add(readFileSync(`${key}.pub`, 'utf8').split(' ')[1] ?? '');
  const options = [
    '-F', 'none', '-o', `Port=${server.port}`, '-i', key, '-o', 'IdentitiesOnly=yes',
    '-o', `UserKnownHostsFile=${join(folder, 'known_hosts')}`, '-o', 'StrictHostKeyChecking=yes',
  ];
  const run = (program: string, args: readonly string[], input: Buffer | string = ''): Promise<Ran> => runProgram(program, args, input, folder);
  return {
    server, gateway, folder, options, run,
    // The destination goes first: ssh takes options after it, and all that is left is the command.
    ssh: (args, input) => run('ssh', [...options, '-l', USER, '127.0.0.1', ...args], input),
    close: async () => {
      await server.close(0);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

export function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function runProgram(program: string, args: readonly string[], input: Buffer | string, cwd: string): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const env = { ...process.env };
    delete env['SSH_AUTH_SOCK'];
    const child = spawn(program, args, { cwd, env, stdio: ['pipe', 'pipe', 'pipe'] });
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    const deadline = setTimeout(() => child.kill('SIGKILL'), CLIENT_MS);
    child.stdout.on('data', (bytes: Buffer) => out.push(bytes));
    child.stderr.on('data', (bytes: Buffer) => err.push(bytes));
    child.stdin.on('error', () => {});
    child.stdin.end(input);
    child.on('error', reject);
    child.on('close', (code) => {
      clearTimeout(deadline);
      resolve({ code, stdout: Buffer.concat(out), stderr: Buffer.concat(err).toString() });
    });
  });
}
