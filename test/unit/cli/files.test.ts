import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { fingerprint, knownHostsLine } from '../../../src/cli/known-hosts.js';
import { writeReadyFile } from '../../../src/cli/ready-file.js';
import { stateDir } from '../../../src/cli/shared-options.js';
import { parseTunnels, readTunnelsFile } from '../../../src/cli/tunnels-file.js';
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

  test('has the fingerprint that ssh-keygen -l prints', () => {
    // printf '%s\n' "$key" | ssh-keygen -l -f -
    expect(fingerprint(key)).toBe('SHA256:lk5KGkT0gWoaNw3LG0z5350PmvfdpdrSb34/ZcrpQ9M');
  });
});

describe('the tunnels file', () => {
  const good = { tunnel_id: 'a-1', device_id: 'd', source_token: 's3cret', device_token: 't0ken' };

  test('is a list of tunnels; further fields are ignored', () => {
    expect(parseTunnels([{ ...good, comment: 'x' }], 'f')).toEqual([good]);
  });

  test.each([
    [{}, 'must hold a JSON list'],
    [[], 'must hold a JSON list'],
    [[null], 'no object at entry 1'],
    [[good, { ...good, tunnel_id: 'b', device_token: 5 }], 'needs a string "device_token" in entry 2'],
    [[{ ...good, source_token: '' }], 'needs a string "source_token" in entry 1'],
    [[{ ...good, tunnel_id: 'a/b' }], 'tunnel_id in entry 1 that is not'],
    [[good, good], 'names tunnel_id a-1 twice'],
  ])('%# is refused with entry and field, without a token', (list, reason) => {
    expect(() => parseTunnels(list, 'f')).toThrow(expect.objectContaining({ code: 'USAGE', message: expect.stringContaining(reason) }));
    expect(() => parseTunnels(list, 'f')).not.toThrow(/s3cret|t0ken/);
  });

  test('that is not JSON is refused without showing its text', async () => {
    const path = join(await scope.tempDir(), 'tunnels.json');
    await writeFile(path, '[{"source_token": s3cret}]');
    await expect(readTunnelsFile(path)).rejects.toMatchObject({ code: 'USAGE', message: `the tunnels file ${path} is not JSON.` });
  });
});

test('the state folder follows XDG_STATE_HOME when it is absolute', () => {
  expect(stateDir({ XDG_STATE_HOME: '/var/x' })).toBe('/var/x/iotda-ssh');
  expect(stateDir({ XDG_STATE_HOME: 'relative' })).toMatch(/^\/.*\/\.local\/state\/iotda-ssh$/);
  expect(stateDir({})).toMatch(/^\/.*\/\.local\/state\/iotda-ssh$/);
});
