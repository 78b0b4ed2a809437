/**
 * The laboratory of the compatibility tests: one device with a real sshd, reached in two ways by the
 * same user with the same key, `direct` (that sshd, the reference) and `bridge` (through the tunnel).
 * A check is a shell script that is run on both; see compat-check.ts.
 */
import { chmod, chown, mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from './program.js';
import type { Scope } from './scope.js';
import { startStack, type Stack, type StackOptions } from './stack.js';
import { busyboxPath, shellPath } from './user.js';

export type Tier = 'python' | 'sh';

/** One of the two ways to the device, as scripts see it. */
export interface Side {
  name: 'direct' | 'bridge';
  port: number;
  /** Work folder of this side on the client's machine, for the checks' own folders. */
  local: string;
  /** The same on the device, owned by the user. */
  remote: string;
  /** Variables of every script: CFG, KEY, PORT, U, UHOME, KNOWN_HOSTS, SSHPASS, SIDE and PATH. */
  env: Record<string, string>;
}

export interface Lab {
  tier: Tier;
  stack: Stack;
  direct: Side;
  bridge: Side;
  /** Folder that both sides read: keys, inventories. */
  dir: string;
}

export interface LabOptions extends Omit<StackOptions, 'tier' | 'bridgeEnv'> {
  tier?: Tier;
  /** The user may become root without, and bin with a password. */
  sudo?: boolean;
  /** A device that has BusyBox and nothing else: its login shell is ash, its PATH has the applets only. */
  busybox?: boolean;
  /** Further lines of the ssh_config that scripts use as $CFG. */
  sshConfig?: readonly string[];
}

/** Options of ssh that keep this machine's settings out, as ssh_config lines. */
const PRIVATE_SETTINGS = [
  'GlobalKnownHostsFile /dev/null',
  'StrictHostKeyChecking yes',
  'IdentitiesOnly yes',
  'IdentityAgent none',
  'NumberOfPasswordPrompts 1',
  'ConnectTimeout 20',
  'LogLevel ERROR',
];

/** Name of a side's folders. */
export function folderOf(name: Side['name']): string {
  return `w-${name}-w`;
}

/** Starts the stack and lays out both sides; everything ends with the scope. */
export async function startLab(scope: Scope, options: LabOptions = {}): Promise<Lab> {
  const { tier = 'python', sshConfig = [], bridgeArgs = [], sudo = false, busybox = false, ...given } = options;
  const rest = busybox ? await onlyBusybox(scope, given) : given;
  const dir = await scope.tempDir('lab');
  const key = join(dir, 'id_ed25519');
  const made = await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'compat', '-f', key]);
  if (made.status !== 0) throw new Error(`ssh-keygen: ${made.stderr.toString()}`);
  const publicKey = (await run('cat', [`${key}.pub`])).stdout.toString();
  const stack = await startStack(scope, {
    ...rest,
    tier,
    files: { ...rest.files, '.ssh/authorized_keys': publicKey },
    bridgeArgs: ['--authorized-keys', `${key}.pub`, ...bridgeArgs],
    bridgeEnv: (account) => ({ IOTDA_SSH_DEVICE_USER: account.name, IOTDA_SSH_DEVICE_PASSWORD: account.password }),
  });
  if (sudo) await allowSudo(scope, stack.user);
  const side = async (name: Side['name'], port: number, knownHosts: string): Promise<Side> => {
    // A name that no program prints by itself, so that it can be made equal in what they print.
    const local = join(dir, folderOf(name));
    const remote = join(dir, 'device', folderOf(name));
    await mkdir(local);
    await mkdir(remote, { recursive: true });
    await chown(remote, stack.account.uid, stack.account.uid);
    const config = join(dir, `${folderOf(name)}.config`);
    const host = ['Host dev', `  HostName 127.0.0.1`, `  Port ${port}`, `  User ${stack.user}`];
    const settings = [`IdentityFile ${key}`, `UserKnownHostsFile ${knownHosts}`, ...PRIVATE_SETTINGS, ...sshConfig];
    await writeFile(config, [...host, 'Host *', ...settings.map((line) => `  ${line}`), ''].join('\n'));
    return {
      name,
      port,
      local,
      remote,
      env: {
        SIDE: name,
        CFG: config,
        KEY: key,
        PORT: String(port),
        U: stack.user,
        UHOME: stack.account.home,
        KNOWN_HOSTS: knownHosts,
        SSHPASS: stack.password,
        SSHD_PORT: String(stack.direct.port),
        SSHD_KNOWN_HOSTS: stack.direct.knownHosts,
      },
    };
  };
  // Scripts run as root, programs on the device as the user: both must reach the folder.
  await chmod(dir, 0o755);
  return {
    tier,
    stack,
    dir,
    direct: await side('direct', stack.direct.port, stack.direct.knownHosts),
    bridge: await side('bridge', stack.port, stack.knownHosts),
  };
}

/** The PATH twice: sshd gives it to commands, the login shell that the bridge starts from reads its profile. */
async function onlyBusybox(scope: Scope, options: Omit<StackOptions, 'tier' | 'bridgeEnv'>): Promise<typeof options> {
  const path = await busyboxPath(scope);
  return {
    ...options,
    shell: await shellPath(scope, 'ash'),
    files: { ...options.files, '.profile': `PATH=${path}; export PATH\n` },
    sshd: { ...options.sshd, config: [...(options.sshd?.config ?? []), `SetEnv PATH=${path}`] },
  };
}

async function allowSudo(scope: Scope, user: string): Promise<void> {
  const path = `/etc/sudoers.d/${user}`;
  scope.add(() => rm(path, { force: true }));
  const lines = [`Defaults:${user} timestamp_timeout=0, !lecture`, `${user} ALL=(root) NOPASSWD: ALL`, `${user} ALL=(bin) PASSWD: ALL`, ''];
  await writeFile(path, lines.join('\n'), { mode: 0o440 });
}
