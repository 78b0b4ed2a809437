/** What may never be shown, in the parts that show something. */
import { readFileSync } from 'node:fs';
import { chmod, chown, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { Fault } from '../../src/base/errors.js';
import { peerWords, visible } from '../../src/base/words.js';
import { readSecrets, readText, readTrusted } from '../../src/cli/files.js';
import { faultText } from '../../src/cli/report.js';
import { parseTunnels } from '../../src/relay/config.js';
import { parseAuthorizedKeys } from '../../src/ssh/authorized-keys.js';
import { verifyOptions } from '../../src/tunnel/options.js';
import { silentLog } from '../../src/base/log.js';
import { Scope } from '../support/scope.js';
// @ts-expect-error A script without types.
import { verdict } from '../audit.mjs';

const scope = new Scope();
afterAll(() => scope.end());

describe('words of a peer', () => {
  const evil = 'a\u0000\u001b[31m\u0007\u007f\u0085\u009b2J\u200e\u202eb\u2028c\u2066d\ufeffe';

  it('are harmless on a terminal, and no longer than is read', () => {
    expect(peerWords(evil)).toBe('a??[31m????2J??b?c?d?e');
    expect(peerWords('x'.repeat(1e6), 10)).toBe(`${'x'.repeat(10)}…`);
    expect(visible(evil)).toMatch(/^[\x20-\x7e]+$/);
    expect(visible('größer ✓')).toBe('größer ✓');
  });

  it('cannot write a second line into what a failed command prints', () => {
    const fault = new Fault('TUNNEL', 'ended: \niotda-ssh: all is well\u001b[1A');
    expect(faultText(fault, 'text')).toBe('iotda-ssh: ended: \\u000aiotda-ssh: all is well\\u001b[1A\n');
    expect(faultText(fault, 'json').split('\n')).toHaveLength(2);
  });
});

describe('an error about a file', () => {
  it.each(['hunter2', 'hunter2 and more', 'hunter2,from="x" y', '"hunter2', 'expiry-time="hunter2" ssh-ed25519 AAAA', 'ssh-ed25519 hunter2'])(
    'that was given for the keys (%s) does not quote it: it may be the one with the password',
    (content) => {
      const thrown = (() => {
        try {
          return parseAuthorizedKeys(content, 'keys');
        } catch (error) {
          return error;
        }
      })();
      expect(thrown).toMatchObject({ code: 'USAGE' });
      expect(String(thrown)).not.toContain('hunter2');
    },
  );

  it('of tunnels, or about a token or a URI, quotes no token', () => {
    for (const text of ['hunter2', '[{"tunnel_id":"a","device_id":"d","source_token":"hunter2 x","device_token":"hunter2"}]', '{"source_token":"hunter2"}', '[{"hunter2long":1}']) {
      let message = '';
      try {
        parseTunnels(text, 'tunnels');
      } catch (thrown) {
        message = String(thrown);
      }
      expect(message).not.toBe('');
      expect(message).not.toContain('hunter2');
    }
    expect(() => verifyOptions({ uri: 'wss://h/x', token: 'hunter2 with space', log: silentLog() })).toThrow(/^(?!.*hunter2)/);
    expect(verifyOptions({ uri: 'wss://me:hunter2@h/x?t=hunter2', token: 't', log: silentLog() }).shown).toBe('wss://h/x');
  });

  it('that is too long, or a device that never ends, is one sentence and not a full memory', async () => {
    await expect(readText('/dev/zero', 'the keys')).rejects.toMatchObject({ code: 'LOCAL', message: expect.stringContaining('longer than 16 MiB') as string });
  });
});

describe('a file of authorised keys', () => {
  it.each(['620', '602', '666'])('that others may write (mode %s) is refused, with what to do', async (octal) => {
    const mode = Number.parseInt(octal, 8);
    const path = join(await scope.tempDir('keys'), 'keys');
    await writeFile(path, '');
    await chmod(path, mode);
    await expect(readTrusted(path, 'the authorised keys')).rejects.toMatchObject({ code: 'LOCAL', message: expect.stringContaining(`chmod go-w ${path}`) as string });
    await chmod(path, 0o644);
    expect(await readTrusted(path, 'the authorised keys')).toBe('');
  });

  it.runIf(process.getuid?.() === 0)('that belongs to another user, or whose folder does, is refused: its owner may write it', async () => {
    const folder = await scope.tempDir('keys');
    const path = join(folder, 'keys');
    await writeFile(path, '', { mode: 0o644 });
    for (const name of [path, folder]) {
      await chown(name, 65_534, 65_534);
      await expect(readTrusted(path, 'the authorised keys')).rejects.toMatchObject({ code: 'LOCAL', message: expect.stringContaining('belongs to another user') as string });
      await chown(name, 0, 0);
    }
    expect(await readTrusted(path, 'the authorised keys')).toBe('');
  });

  it('in a folder that everybody may write is refused; in one like /tmp it is not', async () => {
    const folder = join(await scope.tempDir('keys'), 'open');
    await mkdir(folder);
    await writeFile(join(folder, 'keys'), '', { mode: 0o600 });
    await chmod(folder, 0o777);
    await expect(readTrusted(join(folder, 'keys'), 'the authorised keys')).rejects.toMatchObject({ code: 'LOCAL', message: expect.stringContaining('could put another file there') as string });
    await chmod(folder, 0o1777);
    expect(await readTrusted(join(folder, 'keys'), 'the authorised keys')).toBe('');
  });
});

describe('a file of tokens', () => {
  it('that others may read is warned about', async () => {
    const path = join(await scope.tempDir('tunnels'), 'tunnels.json');
    const warnings: string[] = [];
    await writeFile(path, 'x', { mode: 0o600 });
    await readSecrets(path, 'the tunnels file', (sentence) => warnings.push(sentence));
    expect(warnings).toEqual([]);
    await chmod(path, 0o640);
    await readSecrets(path, 'the tunnels file', (sentence) => warnings.push(sentence));
    expect(warnings).toEqual([expect.stringContaining(`chmod 600 ${path}`)]);
  });
});

describe('the dependencies', () => {
  interface Entry { integrity?: string; resolved?: string; link?: boolean; dev?: boolean; hasInstallScript?: boolean; optional?: boolean }
  const lock = JSON.parse(readFileSync(fileURLToPath(new URL('../../package-lock.json', import.meta.url)), 'utf8')) as { packages: Record<string, Entry> };
  const packages = Object.entries(lock.packages).filter(([path]) => path !== '');

  it('are pinned by SHA-512 and come from the registry alone', () => {
    expect(packages.length).toBeGreaterThan(50);
    for (const [path, entry] of packages) {
      expect(entry.integrity, path).toMatch(/^sha512-/);
      // Without an address it is the registry's that npm is set to.
      expect(entry.resolved ?? 'https://registry.npmjs.org/', path).toMatch(/^https:\/\/registry\.npmjs\.org\//);
    }
  });

  it('that are shipped run no code at installation but these', () => {
    const scripted = packages.filter(([, entry]) => entry.hasInstallScript === true && entry.dev !== true).map(([path]) => path.replace(/^.*node_modules\//, ''));
    // Both build optional native ciphers, and do without when they cannot.
    expect([...new Set(scripted)].sort()).toEqual(['cpu-features', 'ssh2']);
  });

  it('are audited: a finding fails, and an audit that could not be done is told from a clean one', () => {
    const clean = JSON.stringify({ auditReportVersion: 2, vulnerabilities: {} });
    const found = JSON.stringify({ auditReportVersion: 2, vulnerabilities: { ws: { name: 'ws', severity: 'high', range: '<8', via: [{ title: 'DoS', url: 'https://x' }, 'other'] } } });
    expect(verdict(0, clean, '')).toEqual({ vulnerable: [] });
    expect(verdict(1, found, '')).toEqual({ vulnerable: ['ws <8: high; DoS (https://x); through other'] });
    expect(verdict(1, JSON.stringify({ message: '405 Method Not Allowed' }), '')).toEqual({ unknown: '405 Method Not Allowed' });
    expect(verdict(1, '', 'npm warn x\nnpm error audit endpoint returned an error\n')).toEqual({ unknown: 'npm error audit endpoint returned an error' });
    expect(verdict(null, '', '')).toMatchObject({ unknown: expect.any(String) as string });
  });
});
