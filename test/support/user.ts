/**
 * Throwaway users of this machine, so that a real sshd can log them in by password. They are
 * removed with their scope; users left over by a run that was killed are removed by the next one.
 */
import { randomBytes } from 'node:crypto';
import { chmod, chown, lstat, mkdir, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { run, survivors } from './program.js';
import type { Scope } from './scope.js';
import { waitFor } from './wait.js';

/** Name: prefix, the test process's pid, a number. The pid tells whose leftovers may be removed. */
const PREFIX = 'iotdat';

export interface ThrowawayUser {
  name: string;
  password: string;
  uid: number;
  home: string;
  shell: string;
}

export interface UserOptions {
  /** Path of the login shell; default /bin/bash. See `shellPath`. */
  shell?: string;
  /** Files in the home, by relative path, owned by the user; made before the first login. */
  files?: Record<string, string>;
}

let counter = 0;

/** Makes a user with a random password; removed, with all its processes and files, with the scope. */
export async function throwawayUser(scope: Scope, options: UserOptions = {}): Promise<ThrowawayUser> {
  if (process.getuid?.() !== 0) throw new Error('these tests make throwaway users: run them as root');
  await removeLeftovers();
  const name = `${PREFIX}${process.pid}x${counter++}`;
  const password = randomBytes(12).toString('hex');
  const shell = options.shell ?? '/bin/bash';
  await account('useradd', ['-m', '-k', '/nonexistent', '-s', shell, name]);
  scope.add(() => removeUser(name));
  await account('chpasswd', [], `${name}:${password}\n`);
  const [, , uid, gid, , home] = (await passwdLines()).find((line) => line[0] === name) ?? [];
  if (uid === undefined || gid === undefined || home === undefined) throw new Error(`useradd made no ${name}`);
  for (const [path, text] of Object.entries(options.files ?? {})) {
    const target = join(home, path);
    await mkdir(dirname(target), { recursive: true });
    await writeFile(target, text);
    for (let dir = target; dir !== home; dir = dirname(dir)) await chown(dir, Number(uid), Number(gid));
  }
  return { name, password, uid: Number(uid), home, shell };
}

/** Login shells that tests name; `ash` is BusyBox's, reached through a link made in `scope`. */
export async function shellPath(scope: Scope, name: 'bash' | 'dash' | 'zsh' | 'fish' | 'tcsh' | 'mksh' | 'ash'): Promise<string> {
  if (name === 'bash' || name === 'dash') return `/bin/${name}`;
  if (name !== 'ash') return `/usr/bin/${name}`;
  const dir = await scope.tempDir('shell');
  await chmod(dir, 0o755);
  await symlink('/usr/bin/busybox', join(dir, 'ash'));
  return join(dir, 'ash');
}

/**
 * A PATH that holds BusyBox's applets and nothing else (no python3, no coreutils): a small device.
 * Give it to a user by `files: { '.profile': `PATH=${dir}; export PATH\n` }` and shell `ash`.
 */
export async function busyboxPath(scope: Scope): Promise<string> {
  const dir = await scope.tempDir('busybox');
  await chmod(dir, 0o755);
  const { stdout } = await run('/usr/bin/busybox', ['--list']);
  for (const applet of stdout.toString().split('\n').filter(Boolean)) {
    await symlink('/usr/bin/busybox', join(dir, applet));
  }
  return dir;
}

/** Ends a user's processes, then removes what they left in the temporary folder, and the user, its home and mail. */
export async function removeUser(name: string): Promise<void> {
  const line = (await passwdLines()).find((fields) => fields[0] === name);
  if (line === undefined) return;
  const uid = Number(line[2]);
  await waitFor(`the processes of ${name} to end`, async () => {
    const alive = await survivors({ uid });
    for (const entry of alive) {
      try {
        process.kill(Number.parseInt(entry, 10), 'SIGKILL');
      } catch {
        // Gone already.
      }
    }
    return alive.length === 0;
  });
  await removeTemporaryFiles(uid);
  try {
    await account('userdel', ['-r', '-f', name]);
  } catch (error) {
    // Another run may have removed the same leftover meanwhile.
    if ((await passwdLines()).some((fields) => fields[0] === name)) throw error;
  }
}

/** fish keeps a folder there for each user, and a module of Ansible that is killed leaves its own. */
async function removeTemporaryFiles(uid: number): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    const path = join(tmpdir(), name);
    // Others come and go there meanwhile.
    const owner = (await lstat(path).catch(() => undefined))?.uid;
    if (owner === uid) await rm(path, { recursive: true, force: true });
  }
}

/** Removes users of test runs whose process no longer exists. */
export async function removeLeftovers(): Promise<void> {
  for (const [name = ''] of await passwdLines()) {
    const pid = new RegExp(`^${PREFIX}(\\d+)x\\d+$`).exec(name)?.[1];
    if (pid === undefined || alive(Number(pid))) continue;
    await removeUser(name);
  }
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function passwdLines(): Promise<string[][]> {
  return (await readFile('/etc/passwd', 'utf8')).split('\n').map((line) => line.split(':'));
}

/** Runs useradd and its kin, which fail at once while another of them holds the lock of /etc/passwd. */
async function account(program: string, args: string[], input?: string): Promise<void> {
  await waitFor(`${program} to work`, async () => {
    const result = await run(`/usr/sbin/${program}`, args, { input });
    const text = result.stderr.toString();
    if (result.status === 0 || (program === 'userdel' && result.status === 6)) return true;
    if (/lock/.test(text)) return false;
    // userdel -r complains about a mail spool that never was, and still removes the user.
    if (program === 'userdel' && result.status === 12) return true;
    throw new Error(`${program} ${args.join(' ')}: ${text.trim() || `status ${result.status}`}`);
  });
}
