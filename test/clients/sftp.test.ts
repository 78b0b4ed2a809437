/**
 * SFTP with every client that speaks it, twice: on a device with an sftp-server of its own, and on one
 * where the helper serves it (test/integration/sftp-builtin.test.ts compares the two byte by byte).
 */
import { closeSync, openSync } from 'node:fs';
import { describe } from 'vitest';
import { folderOf } from '../support/compat.js';
import { compare, useLab } from '../support/compat-check.js';

/** A device with little room, for each side its own, on /mnt of sshd's own mount namespace. */
const SMALL = [
  'mount -t tmpfs tmpfs /mnt',
  ...(['direct', 'bridge'] as const).map(folderOf).flatMap((name) => [`mkdir /mnt/${name}`, `mount -t tmpfs -o size=1m,mode=1777 tmpfs /mnt/${name}`]),
];
/** No sftp-server to be found; the reference, sshd's internal one, needs none. */
const HIDDEN = ['for f in /usr/lib/openssh/sftp-server /usr/lib/sftp-server; do [ ! -e $f ] || mount --bind /dev/null $f; done'];

/** sshfs needs a kernel that lets us mount. */
function hasFuse(): boolean {
  try {
    closeSync(openSync('/dev/fuse', 'r+'));
    return true;
  } catch {
    return false;
  }
}

describe('with the device\'s sftp-server', () => {
  const lab = useLab({ sshd: { mounts: SMALL } });
  compare(lab, 'sftp', 'python', { suffix: 'sftp-server' });
  compare(lab, 'lftp', 'python', { suffix: 'sftp-server' });
  compare(lab, 'psftp', 'python', { suffix: 'sftp-server' });
  describe.skipIf(!hasFuse())('where FUSE works', () => {
    compare(lab, 'sshfs', 'python', { suffix: 'sftp-server' });
  });
});

describe('with the built-in server', () => {
  const lab = useLab({ sshd: { mounts: [...SMALL, ...HIDDEN] } });
  compare(lab, 'sftp', 'python', { suffix: 'built-in' });
  // Many small files: sftp's own checks have them.
  compare(lab, 'scp', 'python', { suffix: 'built-in', env: { MODE: '' }, only: /^(?!copies many)/ });
  compare(lab, 'lftp', 'python', { suffix: 'built-in' });
  compare(lab, 'psftp', 'python', { suffix: 'built-in' });
  compare(lab, 'paramiko', 'python', { suffix: 'built-in', only: /files/ });
  compare(lab, 'asyncssh', 'python', { suffix: 'built-in', only: /files|scp/ });
  describe.skipIf(!hasFuse())('where FUSE works', () => {
    compare(lab, 'sshfs', 'python', { suffix: 'built-in' });
  });
});
