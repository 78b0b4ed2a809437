import { generateKeyPairSync } from 'node:crypto';
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import ssh2 from 'ssh2';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadHostKeyFiles, loadHostKeys, stateFolder } from '../../../src/ssh/host-key.js';

describe('host keys', () => {
  let root: string;
  beforeEach(() => { root = mkdtempSync(join(tmpdir(), 'ssh-host-key-')); });
  afterEach(() => rmSync(root, { recursive: true, force: true }));

  it('are made once, readable by their owner alone, and kept', async () => {
    const folder = join(root, 'a', 'b');
    const first = await loadHostKeys(folder);
    expect(readdirSync(folder).sort()).toEqual(['ssh_host_ecdsa_key', 'ssh_host_ed25519_key']);
    expect(statSync(folder).mode & 0o777).toBe(0o700);
    for (const name of readdirSync(folder)) expect(statSync(join(folder, name)).mode & 0o777).toBe(0o600);
    expect(await loadHostKeys(folder)).toEqual(first);
    expect(first).toHaveLength(2);
  });

  it('are the same for two programs that start at once', async () => {
    const [one, two] = await Promise.all([loadHostKeys(root), loadHostKeys(root)]);
    expect(one).toEqual(two);
    expect(readdirSync(root)).toHaveLength(2);
  });

  it('are refused when other users can read them', async () => {
    await loadHostKeys(root);
    chmodSync(join(root, 'ssh_host_ed25519_key'), 0o644);
    await expect(loadHostKeys(root)).rejects.toMatchObject({ code: 'LOCAL', message: expect.stringContaining('chmod 600') });
  });

  it('are refused when damaged, and left as they are', async () => {
    const path = join(root, 'ssh_host_ed25519_key');
    writeFileSync(path, 'rubbish', { mode: 0o600 });
    await expect(loadHostKeys(root)).rejects.toMatchObject({ code: 'LOCAL', message: expect.stringContaining(path) });
    expect(readFileSync(path, 'utf8')).toBe('rubbish');
  });

  const PASSPHRASE = { cipher: 'aes-256-cbc', passphrase: 'secret' };
  it.each([
    ['PEM', () => generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ type: 'pkcs1', format: 'pem', ...PASSPHRASE })],
    ['PKCS#8', () => generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem', ...PASSPHRASE })],
    ['OpenSSH’s format', () => ssh2.utils.generateKeyPairSync('ed25519', { cipher: 'aes256-ctr', passphrase: 'secret', rounds: 16 }).private],
  ])('are refused with the reason when they want a passphrase, in %s', async (_format, make) => {
    const path = join(root, 'key');
    writeFileSync(path, make(), { mode: 0o600 });
    await expect(loadHostKeyFiles([path])).rejects.toMatchObject({ code: 'LOCAL', message: expect.stringContaining('passphrase') });
  });

  it('are refused with the reason when they are public', async () => {
    const path = join(root, 'key.pub');
    writeFileSync(path, ssh2.utils.generateKeyPairSync('ed25519').public, { mode: 0o600 });
    await expect(loadHostKeyFiles([path])).rejects.toMatchObject({ code: 'LOCAL', message: expect.stringContaining('is a public key') });
  });

  // Node's mkdir with `recursive` never comes back from there.
  it.runIf(existsSync('/proc/self'))('are not made where no folder can be made', async () => {
    await expect(loadHostKeys('/proc/no/such/state')).rejects.toMatchObject({ code: 'LOCAL', message: expect.stringContaining('XDG_STATE_HOME') });
  });

  it('tell where they cannot be written', async () => {
    await expect(loadHostKeyFiles([join(root, 'none', 'key')])).rejects.toMatchObject({ code: 'LOCAL', message: expect.stringMatching(/cannot be written: its folder does not exist\.$/) });
  });

  it('need a folder', async () => {
    const file = join(root, 'file');
    writeFileSync(file, '');
    await expect(loadHostKeys(join(file, 'state'))).rejects.toMatchObject({ code: 'LOCAL', message: expect.stringContaining('XDG_STATE_HOME') });
  });

  it('live under the XDG state folder', () => {
    expect(stateFolder({ XDG_STATE_HOME: '/var/state' })).toBe('/var/state/iotda-ssh');
    expect(stateFolder({ XDG_STATE_HOME: 'relative' })).toMatch(/\/\.local\/state\/iotda-ssh$/);
    expect(stateFolder({})).toMatch(/\/\.local\/state\/iotda-ssh$/);
  });
});
