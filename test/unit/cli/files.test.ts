import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { knownHostsLine } from '../../../src/cli/known-hosts.js';
import { writeReadyFile } from '../../../src/cli/ready-file.js';
import { Scope } from '../../support/scope.js';

const scope = new Scope();
afterAll(() => scope.end());

describe('the ready file', () => {
  test('is complete, private, replaces an old one and is removed again', async () => {
    const dir = await scope.tempDir();
    const path = join(dir, 'ready.json');
    await writeFile(path, 'old');
    const remove = await writeReadyFile(path, { pid: 1, host: '127.0.0.1', port: 2222 });
    expect(JSON.parse(await readFile(path, 'utf8'))).toEqual({ pid: 1, host: '127.0.0.1', port: 2222 });
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(await readdir(dir)).toEqual(['ready.json']);
    remove();
    expect(await readdir(dir)).toEqual([]);
  });

  test('of another process is left alone', async () => {
    const path = join(await scope.tempDir(), 'ready.json');
    const remove = await writeReadyFile(path, { pid: 1 });
    await writeReadyFile(path, { pid: 2 });
    remove();
    expect(JSON.parse(await readFile(path, 'utf8'))).toEqual({ pid: 2 });
  });

  test('that cannot be written is a local fault that names it', async () => {
    const path = join(await scope.tempDir(), 'no', 'ready.json');
    await expect(writeReadyFile(path, { pid: 1 })).rejects.toMatchObject({ code: 'LOCAL', message: expect.stringContaining(path) });
  });
});

describe('a known_hosts line', () => {
  const key = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFmX0FWa0Y0nXyRySEzSbaPeUw6BXRvC2yXQGRRcb8d5 comment';

  test.each([
    [{ host: '127.0.0.1', port: 2222 }, '[127.0.0.1]:2222,[localhost]:2222'],
    [{ host: 'localhost', port: 2222 }, '[localhost]:2222'],
    [{ host: '::1', port: 22 }, '::1,localhost'],
    [{ host: '192.0.2.1', port: 2222 }, '[192.0.2.1]:2222'],
    [{ host: 'bridge.example', port: 22 }, 'bridge.example'],
  ])('for %j begins with %s', (address, hosts) => {
    expect(knownHostsLine(address, key)).toBe(`${hosts} ${key.replace(' comment', '')}`);
  });
});
