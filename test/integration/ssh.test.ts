import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Fault } from '../../src/base/errors.js';
import { PASSWORD, sha256, startLocalSsh, USER, type LocalSsh } from '../support/local-ssh.js';

/** Enough for many windows, many packets and, below, many key exchanges. */
const BULK = randomBytes(20_000_000);

let local: LocalSsh;
beforeAll(async () => {
  local = await startLocalSsh();
  writeFileSync(join(local.folder, 'bulk'), BULK);
});
afterAll(() => local.close());

describe('OpenSSH\'s ssh', () => {
  it('gets separate streams and the exit status', async () => {
    const ran = await local.ssh(['echo out; echo err >&2; exit 37']);
    expect(ran).toMatchObject({ code: 37, stdout: Buffer.from('out\n') });
    expect(ran.stderr).toBe('err\n');
  });

  it('gets every byte value back', async () => {
    const all = Buffer.from(Array.from({ length: 256 }, (_, value) => value));
    expect((await local.ssh(['cat'], all)).stdout).toEqual(all);
  });

  it('carries a command that is not UTF-8, and one of 120 kB', async () => {
    // Node passes only UTF-8 arguments: sh makes the odd byte.
    const odd = await local.run('sh', ['-c', 'exec ssh "$@" "printf %s $(printf "\\377\\376")"', 'sh', ...local.options, '-l', USER, '127.0.0.1']);
    expect(odd.stdout).toEqual(Buffer.from([0xff, 0xfe]));
    const long = 'a'.repeat(120_000);
    expect((await local.ssh([`echo ${long}`])).stdout.toString()).toBe(`${long}\n`);
  });

  it('ends when its reader ends', async () => {
    const ran = await local.run('sh', ['-c', 'ssh "$@" yes | head -1', 'sh', ...local.options, '-l', USER, '127.0.0.1']);
    expect(ran).toMatchObject({ code: 0, stdout: Buffer.from('y\n') });
  });

  it('is told of the signal that ended the program', async () => {
    const ran = await local.ssh(['-v', 'kill -TERM $$']);
    expect(ran.code).toBe(255);
    expect(ran.stderr).toContain('rtype exit-signal');
  });

  it('runs a script from standard input', async () => {
    expect(await local.ssh(['-T'], 'echo hi\nexit 5\n')).toMatchObject({ code: 5, stdout: Buffer.from('hi\n') });
  });

  it('gets a terminal with TERM and its size', async () => {
    const ran = await local.ssh(['-tt', 'echo $TERM; tty; stty size']);
    expect(ran.stdout.toString()).toMatch(/\/dev\/pts\/\d+\r\n\d+ \d+\r\n$/);
  });

  it('passes on the variables on the list only', async () => {
    const ran = await local.run('env', ['LC_ODD=yes', 'ODD=no', 'ssh', '-o', 'SendEnv=LC_ODD', '-o', 'SendEnv=ODD', ...local.options, '-l', USER, '127.0.0.1', 'echo "$LC_ODD-$ODD"']);
    expect(ran.stdout.toString()).toBe('yes-\n');
  });

  it('is told which signature algorithms are taken', async () => {
    const ran = await local.ssh(['-vv', 'true']);
    const list = /server-sig-algs=<([^>]*)>/.exec(ran.stderr)?.[1]?.split(',') ?? [];
    expect(list).toEqual(expect.arrayContaining(['ssh-ed25519', 'rsa-sha2-512', 'rsa-sha2-256', 'sk-ssh-ed25519@openssh.com']));
    expect(list).not.toContain('ssh-rsa');
    expect(ran.stderr).toMatch(/resetting send seqnr/);
  });

  it.each([
    ['as it comes', []],
    ['compressed', ['-C']],
    ['with new keys each megabyte', ['-o', 'RekeyLimit=1M']],
    ['compressed, with new keys each megabyte', ['-C', '-o', 'RekeyLimit=1M']],
    ['by aes256-gcm', ['-c', 'aes256-gcm@openssh.com']],
    ['by aes128-ctr and a plain MAC', ['-c', 'aes128-ctr', '-m', 'hmac-sha2-512']],
  ])('moves bulk data both ways at once, %s', async (_how, options) => {
    const ran = await local.ssh([...options, 'cat'], BULK);
    expect(sha256(ran.stdout)).toBe(sha256(BULK));
    expect(ran.code).toBe(0);
  });

  it('gets both streams whole when both are large', async () => {
    const ran = await local.ssh(['cat bulk & cat bulk >&2; wait; exit 3'.replaceAll('bulk', join(local.folder, 'bulk'))]);
    expect(ran.code).toBe(3);
    expect(sha256(ran.stdout)).toBe(sha256(BULK));
    expect(ran.stderr.length).toBe(BULK.toString().length);
  });

  it('reads the reason when the device refuses', async () => {
    local.gateway.device.refuse = () => ({ code: 'unsupported', message: 'This device runs one shell only.' });
    const ran = await local.ssh(['true']);
    local.gateway.device.refuse = () => undefined;
    expect(ran.code).toBe(255);
    expect(ran.stderr).toContain('iotda-ssh: This device runs one shell only.');
  });

  it('reads the reason when there is no device', async () => {
    local.gateway.fault = new Fault('BUSY', 'The device is in use by another user.');
    const ran = await local.ssh(['true']);
    local.gateway.fault = undefined;
    expect(ran.code).toBe(255);
    expect(ran.stderr).toContain('The device is in use by another user.');
  });

  it('runs twenty sessions through one connection', { timeout: 60_000 }, async () => {
    const control = ['-S', join(local.folder, 'control')];
    expect((await local.ssh(['-M', '-o', 'ControlPersist=yes', ...control, '-fN'])).code).toBe(0);
    const all = await Promise.all(Array.from({ length: 20 }, (_, index) => local.ssh([...control, `cat; exit ${index}`], BULK.subarray(index, 1_000_000))));
    expect(all.map((ran) => ran.code)).toEqual(all.map((_, index) => index));
    for (const [index, ran] of all.entries()) expect(sha256(ran.stdout)).toBe(sha256(BULK.subarray(index, 1_000_000)));
    expect((await local.ssh([...control, '-O', 'check'])).code).toBe(0);
    expect((await local.ssh([...control, '-O', 'exit'])).code).toBe(0);
  });
});

describe('passwords', () => {
  it.each(['password', 'keyboard-interactive'])('by %s let in', async (method) => {
    const ran = await local.run('sshpass', ['-p', PASSWORD, 'ssh', '-o', `PreferredAuthentications=${method}`, ...local.options, '-l', USER, '127.0.0.1', 'echo in']);
    expect(ran.stdout.toString()).toBe('in\n');
  });

  it('that are wrong are asked for again', async () => {
    const ran = await local.run('sshpass', ['-p', 'wrong', 'ssh', '-o', 'PubkeyAuthentication=no', ...local.options, '-l', USER, '127.0.0.1', 'true']);
    // sshpass's own code for "the same question came a second time".
    expect(ran.code).toBe(5);
  });
});

describe('files', () => {
  it.each([['SFTP', []], ['the old protocol', ['-O']]])('go both ways by scp over %s', async (_how, extra) => {
    const from = join(local.folder, 'bulk');
    const there = join(local.folder, 'there');
    const back = join(local.folder, 'back');
    expect((await local.run('scp', ['-q', ...extra, ...local.options, from, `${USER}@127.0.0.1:${there}`])).code).toBe(0);
    expect((await local.run('scp', ['-q', ...extra, ...local.options, `${USER}@127.0.0.1:${there}`, back])).code).toBe(0);
    expect(sha256(readFileSync(back))).toBe(sha256(BULK));
  });
});

describe('other clients', () => {
  it('dropbear, whose first guess at the key exchange is right', async () => {
    const ran = await local.run('env', [`DROPBEAR_PASSWORD=${PASSWORD}`, 'dbclient', '-y', '-p', String(local.server.port), `${USER}@127.0.0.1`, 'cat; exit 4'], BULK);
    expect(ran.code).toBe(4);
    expect(sha256(ran.stdout)).toBe(sha256(BULK));
  });

  it('PuTTY\'s plink', async () => {
    const ran = await local.run('plink', ['-ssh', '-batch', '-hostkey', local.server.hostKey.fingerprint, '-P', String(local.server.port), '-pw', PASSWORD, `${USER}@127.0.0.1`, 'cat; exit 6'], BULK);
    expect(ran.code).toBe(6);
    expect(sha256(ran.stdout)).toBe(sha256(BULK));
  });
});

describe('a machine without compiled ciphers', () => {
  it.each(['chacha20-poly1305@openssh.com', 'aes128-gcm@openssh.com', 'aes128-ctr'])('takes long commands and bulk data by %s', async (cipher) => {
    const plain = await startLocalSsh({ nativeCiphers: false, rekeyBytes: 2_000_000 });
    try {
      const long = 'b'.repeat(120_000);
      const ran = await plain.ssh(['-c', cipher, `: ${long}; cat`], BULK.subarray(0, 5_000_000));
      expect(sha256(ran.stdout)).toBe(sha256(BULK.subarray(0, 5_000_000)));
    } finally {
      await plain.close();
    }
  });
});
