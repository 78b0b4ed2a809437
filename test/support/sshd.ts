/** A private OpenSSH server on loopback: the device's own sshd in these tests. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort } from './ports.js';
import { run, start, type Program } from './program.js';
import type { Scope } from './scope.js';
import { waitFor } from './wait.js';

export interface Sshd {
  host: string;
  port: number;
  /** A known_hosts file that holds its key. */
  knownHosts: string;
  program: Program;
}

export interface SshdOptions {
  /** The only users who may log in; default: all. */
  users?: readonly string[];
  /** Further sshd_config lines, for example `SetEnv PATH=/nowhere` or `Banner /path`. */
  config?: readonly string[];
  /** Shows /etc/motd to terminals, as devices do; default: not. */
  motd?: boolean;
  /** Shell commands run first in a mount namespace of sshd's own, for example a read-only /tmp. */
  mounts?: readonly string[];
}

/** Starts sshd on a free port of 127.0.0.1 with its own host key; ended with the scope. */
export async function startSshd(scope: Scope, options: SshdOptions = {}): Promise<Sshd> {
  if (process.getuid?.() !== 0) throw new Error('these tests start a private sshd: run them as root');
  const dir = await scope.tempDir('sshd');
  const key = join(dir, 'host_ed25519');
  const made = await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', key]);
  if (made.status !== 0) throw new Error(`ssh-keygen: ${made.stderr.toString()}`);
  await mkdir('/run/sshd', { recursive: true, mode: 0o755 });
  const port = await freePort();
  const config = [
    `Port ${port}`,
    'ListenAddress 127.0.0.1',
    `HostKey ${key}`,
    'PidFile none',
    // Without PAM the login does not depend on how this machine is set up.
    'UsePAM no',
    'PasswordAuthentication yes',
    'KbdInteractiveAuthentication no',
    'PermitRootLogin no',
    'StrictModes no',
    `PrintMotd ${options.motd === true ? 'yes' : 'no'}`,
    'UseDNS no',
    'Subsystem sftp internal-sftp',
    'AcceptEnv LANG LC_*',
    'MaxStartups 200:30:400',
    'MaxSessions 200',
    'LogLevel VERBOSE',
    ...(options.users === undefined ? [] : [`AllowUsers ${options.users.join(' ')}`]),
    ...(options.config ?? []),
    '',
  ].join('\n');
  await writeFile(join(dir, 'sshd_config'), config);
  const command = ['/usr/sbin/sshd', '-D', '-e', '-f', join(dir, 'sshd_config')];
  const wrapper = ['unshare', '-m', '--propagation', 'private', 'sh', '-ec', [...(options.mounts ?? []), 'exec "$0" "$@"'].join('\n')];
  const [file = '', ...args] = options.mounts === undefined ? command : [...wrapper, ...command];
  const program = start(scope, file, args);
  await waitFor('sshd to listen', () => {
    if (!program.running) throw new Error(`sshd ended: ${program.stderr}`);
    return program.stderr.includes('Server listening on 127.0.0.1');
  });
  const publicKey = (await run('cat', [`${key}.pub`])).stdout.toString().split(' ').slice(0, 2).join(' ');
  const knownHosts = join(dir, 'known_hosts');
  await writeFile(knownHosts, `[127.0.0.1]:${port} ${publicKey}\n`);
  return { host: '127.0.0.1', port, knownHosts, program };
}
