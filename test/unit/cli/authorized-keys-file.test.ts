import { chmod, rm, writeFile } from 'node:fs/promises';
import { generateKeyPairSync } from 'node:crypto';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { followAuthorizedKeys } from '../../../src/cli/authorized-keys-file.js';
import { Scope } from '../../support/scope.js';

const log = pino({ level: 'silent' });
let scope: Scope;
let file: string;

beforeEach(async () => {
  scope = new Scope();
  file = join(await scope.tempDir('keys'), 'keys');
});
afterEach(() => scope.end());

/** A line of the file; the comment tells which. */
function line(comment: string): string {
  const raw = generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' }).x ?? '';
  const type = Buffer.from('ssh-ed25519');
  const part = (bytes: Buffer) => Buffer.concat([Buffer.from([0, 0, 0, bytes.length]), bytes]);
  return `ssh-ed25519 ${Buffer.concat([part(type), part(Buffer.from(raw, 'base64url'))]).toString('base64')} ${comment}\n`;
}

const comments = (keys: readonly { comment: string }[]) => keys.map(({ comment }) => comment);

test('keys that are added or taken away count without a restart', async () => {
  const [one, two] = [line('one'), line('two')];
  await writeFile(file, one);
  const keys = await followAuthorizedKeys(file, log);
  expect(comments(await keys())).toEqual(['one']);
  await writeFile(file, one + two);
  expect(comments(await keys())).toEqual(['one', 'two']);
  await writeFile(file, two);
  expect(comments(await keys())).toEqual(['two']);
  expect(await keys()).toBe(await keys());
});

test('a file that becomes unusable lets nobody in until it is put right', async () => {
  const one = line('one');
  await writeFile(file, one);
  const keys = await followAuthorizedKeys(file, log);
  await writeFile(file, `no-such-option ${one}`);
  expect(await keys()).toEqual([]);
  await writeFile(file, one);
  expect(comments(await keys())).toEqual(['one']);
  await chmod(file, 0o666);
  expect(await keys()).toEqual([]);
  await chmod(file, 0o600);
  expect(comments(await keys())).toEqual(['one']);
  await rm(file);
  expect(await keys()).toEqual([]);
});

test('a file that cannot be used at the start is a fault', async () => {
  await expect(followAuthorizedKeys(file, log)).rejects.toMatchObject({ code: 'LOCAL' });
  await writeFile(file, 'nonsense\n');
  await expect(followAuthorizedKeys(file, log)).rejects.toMatchObject({ code: 'USAGE' });
});
