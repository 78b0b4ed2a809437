/**
 * SFTP with every client that speaks it, twice: on a device with an sftp-server of its own, and on one
 * where the helper serves it (test/integration/sftp-builtin.test.ts compares the two byte by byte).
 */
import { closeSync, openSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { folderOf, type Lab } from '../support/compat.js';
import { compare, FULL, useLab } from '../support/compat-check.js';
import { run, RUN_MS } from '../support/program.js';
import { init } from '../support/sftp-wire.js';
import { startSsh } from '../support/ssh.js';
import { busyboxPath, shellPath } from '../support/user.js';
import { waitFor } from '../support/wait.js';

/** A device with little room, for each side its own, on /mnt of sshd's own mount namespace. */
const SMALL = [
  'mount -t tmpfs tmpfs /mnt',
  ...(['direct', 'bridge'] as const).map(folderOf).flatMap((name) => [`mkdir /mnt/${name}`, `mount -t tmpfs -o size=1m,mode=1777 tmpfs /mnt/${name}`]),
];
/** No sftp-server to be found; the reference, sshd's internal one, needs none. */
const HIDDEN = ['for f in /usr/lib/openssh/sftp-server /usr/lib/sftp-server; do [ ! -e $f ] || mount --bind /dev/null $f; done'];

/** Large and many files take long, and are moved by the other clients. */
const SHORT = /^(?!.*(large|many))/;

/** The same on the sh tier, where all takes longer. */
const short = (only: RegExp) => (FULL ? {} : { only });
const LESS: Record<string, string> = FULL ? {} : { LARGE_MB: '3' };

/** sshfs needs a kernel that lets us mount. */
function hasFuse(): boolean {
  try {
    closeSync(openSync('/dev/fuse', 'r+'));
    return true;
  } catch {
    return false;
  }
}

/** Whether a program of the device serves SFTP there. */
async function hasOwnServer({ stack }: Lab): Promise<boolean> {
  const client = startSsh(stack, ['sftp'], { options: ['-s'], input: 'open', timeoutMs: RUN_MS });
  client.child.stdin?.write(init());
  await waitFor('the answer to INIT', () => client.stdout.includes('posix-rename@openssh.com'));
  const { status } = await run('pgrep', ['-u', stack.user, '-x', 'sftp-server']);
  client.child.stdin?.end();
  await client.done;
  return status === 0;
}

describe('with the device\'s sftp-server', () => {
  const lab = useLab({ sshd: { mounts: SMALL } });
  test('it is the device\'s own that serves', async () => {
    expect(await hasOwnServer(lab())).toBe(true);
  });
  compare(lab, 'sftp', 'python', { suffix: 'sftp-server' });
  compare(lab, 'lftp', 'python', { suffix: 'sftp-server', only: SHORT });
  compare(lab, 'psftp', 'python', { suffix: 'sftp-server', only: SHORT });
  describe.skipIf(!hasFuse())('where FUSE works', () => {
    compare(lab, 'sshfs', 'python', { suffix: 'sftp-server' });
  });
});

describe('with the built-in server', () => {
  const lab = useLab({ sshd: { mounts: [...SMALL, ...HIDDEN] } });
  test('it is the helper that serves', async () => {
    expect(await hasOwnServer(lab())).toBe(false);
  });
  compare(lab, 'sftp', 'python', { suffix: 'built-in' });
  compare(lab, 'scp', 'python', { suffix: 'built-in', env: { MODE: '' }, only: SHORT });
  compare(lab, 'lftp', 'python', { suffix: 'built-in' });
  compare(lab, 'psftp', 'python', { suffix: 'built-in' });
  compare(lab, 'paramiko', 'python', { suffix: 'built-in', only: /files/ });
  compare(lab, 'asyncssh', 'python', { suffix: 'built-in', only: /files|scp/ });
  describe.skipIf(!hasFuse())('where FUSE works', () => {
    compare(lab, 'sshfs', 'python', { suffix: 'built-in' });
  });
});

describe('on the sh tier, where the bridge serves it', () => {
  const lab = useLab({ tier: 'sh', sshd: { mounts: [...SMALL, ...HIDDEN] } });
  test('no program of the device serves', async () => {
    expect(await hasOwnServer(lab())).toBe(false);
  });
  compare(lab, 'sftp', 'sh', { ...short(/puts and gets|odd names|long form|renames|wrong|full|resumes|4 GB|no size|finds names|cut/), suffix: 'shell tools' });
  compare(lab, 'lftp', 'sh', { env: LESS, ...short(SHORT), suffix: 'shell tools' });
  compare(lab, 'psftp', 'sh', { env: LESS, ...short(SHORT), suffix: 'shell tools' });
  compare(lab, 'paramiko', 'sh', { suffix: 'shell tools', only: /files/ });
  compare(lab, 'asyncssh', 'sh', { suffix: 'shell tools', only: /files|scp/ });
  describe.skipIf(!hasFuse())('where FUSE works', () => {
    compare(lab, 'sshfs', 'sh', { env: LESS, ...short(/links|4 GB|cut/), suffix: 'shell tools' });
  });
});

describe('on a device that has BusyBox and nothing else', () => {
  const lab = useLab(async (scope) => ({
    tier: 'sh',
    shell: await shellPath(scope, 'ash'),
    files: { '.profile': `PATH=${await busyboxPath(scope)}; export PATH\n` },
    sshd: { mounts: [...SMALL, ...HIDDEN] },
  }));
  compare(lab, 'sftp', 'sh', { ...short(/long form|renames|wrong|full/), suffix: 'BusyBox' });
});
