import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { readSecretCommand, readSecretFile, SECRET_LIMIT_BYTES } from '../../../src/cli/secrets.js';
import { Scope } from '../../support/scope.js';

const scope = new Scope();
afterAll(() => scope.end());
const dir = await scope.tempDir();

async function file(content: string | Buffer, mode = 0o600): Promise<string> {
  const path = join(dir, `secret-${Math.random().toString(36).slice(2)}`);
  await writeFile(path, content);
  await chmod(path, mode);
  return path;
}

test.each([
  ['secret\n', 'secret'],
  ['secret\r\n', 'secret'],
  ['secret', 'secret'],
  [' s p a c e \n', ' s p a c e '],
  ['pässwörd\n', 'pässwörd'],
])('a secret file %j holds %j: one line end is removed, nothing else', async (content, value) => {
  expect(await readSecretFile(await file(content), 'the token')).toEqual({ value });
});

test.each([
  ['', 'the token is empty'],
  ['\n', 'the token is empty'],
  ['two\nlines\n', 'has more than one line'],
  ['nul\0', 'has more than one line'],
  ['x'.repeat(SECRET_LIMIT_BYTES + 1), 'longer than 64 KiB'],
])('a secret file that cannot be right is refused without showing it (%#)', async (content, reason) => {
  const promise = readSecretFile(await file(content), 'the token');
  await expect(promise).rejects.toMatchObject({ code: 'LOCAL', message: expect.stringContaining(reason) });
  await expect(promise).rejects.not.toMatchObject({ message: expect.stringContaining('lines') });
});

test('a missing file and a directory are named', async () => {
  await expect(readSecretFile(join(dir, 'none'), 'the token')).rejects.toMatchObject({ code: 'LOCAL', message: expect.stringMatching(/the token from .*none: it does not exist/) });
  await expect(readSecretFile(dir, 'the token')).rejects.toMatchObject({ code: 'LOCAL', message: expect.stringContaining('it is a directory') });
});

test('a file that others can read is used, with a warning that says what to do', async () => {
  const path = await file('secret\n', 0o644);
  expect(await readSecretFile(path, 'the token')).toEqual({ value: 'secret', warning: expect.stringContaining(`chmod 600 ${path}`) });
});

test('a command gives what it prints, and its failure is told without its output', async () => {
  expect(await readSecretCommand('printf "secret\\n"', 'the password')).toBe('secret');
  const failing = readSecretCommand('echo secret; exit 3', 'the password');
  await expect(failing).rejects.toMatchObject({ code: 'LOCAL', message: 'the command that prints the password failed (exit code 3); run it by hand to see why.' });
  await expect(readSecretCommand('true', 'the password')).rejects.toMatchObject({ message: expect.stringContaining('is empty') });
});
