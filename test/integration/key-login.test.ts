/** Login by keys and certificates, with the real ssh and ssh-keygen, against a real sshd behind the tunnel. */
import { copyFile, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { run } from '../support/program.js';
import { Scope } from '../support/scope.js';
import { sshOptions } from '../support/ssh.js';
import { startStack, type Stack } from '../support/stack.js';

const scope = new Scope();
let dir: string;
let stack: Stack;

beforeAll(async () => {
  dir = await scope.tempDir('keys');
  for (const name of ['id', 'user', 'ca']) await keygen('-t', 'ed25519', '-N', '', '-f', join(dir, name));
  await keygen('-t', 'rsa', '-b', '2048', '-N', '', '-f', join(dir, 'rsa'));
  const [id, ca] = [await readFile(join(dir, 'id.pub'), 'utf8'), await readFile(join(dir, 'ca.pub'), 'utf8')];
  await writeFile(join(dir, 'authorized'), `${id}cert-authority,no-agent-forwarding ${ca}`, { mode: 0o600 });
  stack = await startStack(scope, {
    bridgeArgs: ['--authorized-keys', join(dir, 'authorized'), '--device-password-command', `cat ${join(dir, 'password')}`],
    bridgeEnv: (user) => ({ IOTDA_SSH_DEVICE_USER: user.name }),
  });
  // Made after the start: the command runs at each login.
  await writeFile(join(dir, 'password'), `${stack.password}\n`, { mode: 0o600 });
});
afterAll(() => scope.end());

async function keygen(...args: string[]): Promise<void> {
  const result = await run('ssh-keygen', ['-q', ...args]);
  expect(result.stderr.toString()).toBe('');
}

let made = 0;
/** A copy of the key with a certificate of the authority beside it, where ssh finds it. */
async function certified(key: string, ...options: string[]): Promise<string> {
  const path = join(dir, `certified-${made++}`);
  await copyFile(join(dir, key), path);
  await copyFile(join(dir, `${key}.pub`), `${path}.pub`);
  await keygen('-s', join(dir, 'ca'), '-I', 'somebody', ...options, `${path}.pub`);
  return path;
}

function sshBy(key: string, ...args: string[]) {
  // ssh takes the first value that it is given for an option.
  const options = ['-o', 'PubkeyAuthentication=yes', '-o', 'BatchMode=yes', '-o', 'IdentitiesOnly=yes', '-i', key, ...sshOptions(stack)];
  return run('ssh', [...options, '-p', String(stack.port), ...args.slice(0, -1), `${stack.user}@${stack.host}`, args.at(-1) ?? '']);
}

test('a key logs in with the device password that a command prints', async () => {
  const result = await sshBy(join(dir, 'id'), 'exit 4');
  expect([result.status, result.stderr.toString()]).toEqual([4, '']);
});

test.each(['user', 'rsa'])('a certificate logs in: %s', async (key) => {
  const result = await sshBy(await certified(key, '-n', `${stack.user},other`), 'exit 5');
  expect([result.status, result.stderr.toString()]).toEqual([5, '']);
});

test('a certificate says what may be done', async () => {
  const forced = await sshBy(await certified('user', '-n', stack.user, '-O', 'force-command=echo forced'), 'echo asked');
  expect([forced.status, forced.stdout.toString()]).toEqual([0, 'forced\n']);
  const bare = await certified('user', '-n', stack.user, '-O', 'clear');
  const terminal = await sshBy(bare, '-tt', 'echo asked');
  expect(terminal.stderr.toString()).toContain('PTY allocation request failed');
  const forward = await sshBy(bare, '-W', `127.0.0.1:${stack.port}`, 'unused');
  expect([forward.status, forward.stderr.toString()]).toEqual([255, expect.stringContaining('stdio forwarding failed')]);
});

test.each<[string, (user: string) => string[]]>([
  ['another user', () => ['-n', 'other']],
  ['another time', (user) => ['-n', user, '-V', '20200101:20210101']],
  ['another place', (user) => ['-n', user, '-O', 'source-address=10.0.0.0/8']],
])('a certificate for %s does not', async (_what, options) => {
  const result = await sshBy(await certified('user', ...options(stack.user)), 'exit 0');
  expect([result.status, result.stderr.toString()]).toEqual([255, expect.stringContaining('Permission denied')]);
});
