import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Command } from 'commander';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { serverSettings, withServerOptions, type ServerOptions } from '../../../src/cli/server-options.js';
import { DEFAULT_POLICY } from '../../../src/ssh/policy.js';
import { MAX_BANNER_BYTES } from '../../../src/ssh/limits.js';
import { Scope } from '../../support/scope.js';

function settings(...args: string[]) {
  const command = withServerOptions(new Command()).exitOverride();
  command.parse(args, { from: 'user' });
  return serverSettings(command.opts<ServerOptions>());
}

describe('the options of the SSH server', () => {
  test('by default change nothing', () => {
    const { policy, bounds, hostKeyFiles } = settings();
    expect({ ...policy, banner: undefined }).toEqual({ ...DEFAULT_POLICY, banner: undefined });
    expect(bounds).toEqual({ loginGraceMs: undefined, maxUnauthenticated: undefined, rekeyBytes: undefined, rekeyMs: undefined });
    expect(hostKeyFiles).toBeUndefined();
  });

  test('become the policy, repeated ones in their order', () => {
    const { policy, bounds, hostKeyFiles } = settings(
      ...['--permit-open', 'a:1,[::1]:*', '--permit-open', '*:2', '--permit-listen', '8080', '--permit-tty', 'no', '--force-command', 'internal-sftp'],
      ...['--set-env', 'A=1', '--set-env', 'B=x,y=z', '--set-env', 'A=2', '--rekey-limit', '64k,30', '--login-grace', '10', '--max-startups', '1'],
      ...['--host-key', '/one', '--host-key', '/two,three'],
      ...['--kex-algorithms', 'curve25519-sha256', '--ciphers', '-aes*', '--macs', 'hmac-sha1', '--host-key-algorithms', 'ssh-rsa', '--pubkey-accepted-algorithms', 'ssh-ed25519'],
    );
    expect(policy).toMatchObject({
      permitOpen: [[{ host: 'a', port: 1 }, { host: '::1', port: undefined }, { host: undefined, port: 2 }]],
      permitListen: [[{ host: undefined, port: 8080 }]],
      pty: false,
      command: 'internal-sftp',
      // The first of a name counts, as in sshd.
      setEnv: { A: '1', B: 'x,y=z' },
      algorithms: { kex: ['curve25519-sha256'], ciphers: ['chacha20-poly1305@openssh.com'], macs: ['hmac-sha1'], hostKeys: ['ssh-rsa'], publicKeys: ['ssh-ed25519'] },
    });
    expect(bounds).toEqual({ loginGraceMs: 10_000, maxUnauthenticated: 1, rekeyBytes: 65_536, rekeyMs: 30_000 });
    expect(hostKeyFiles).toEqual(['/one', '/two,three']);
  });
});

describe('the banner', () => {
  let scope: Scope;
  beforeEach(() => { scope = new Scope(); });
  afterEach(() => scope.end());

  test('is read at each login, and may be missing', async () => {
    const file = join(await scope.tempDir('banner'), 'banner');
    const { banner } = settings('--banner', file).policy;
    expect(await banner()).toBeUndefined();
    await writeFile(file, 'one\n');
    expect(String(await banner())).toBe('one\n');
    await writeFile(file, 'two\n');
    expect(String(await banner())).toBe('two\n');
  });

  test('that is too long is a fault and not a full memory', async () => {
    const file = join(await scope.tempDir('banner'), 'banner');
    await writeFile(file, Buffer.alloc(MAX_BANNER_BYTES + 1, 'x'));
    await expect(settings('--banner', file).policy.banner()).rejects.toMatchObject({ code: 'LOCAL' });
    await expect(settings('--banner', '/proc/self').policy.banner()).rejects.toMatchObject({ code: 'LOCAL' });
  });
});
