/** Devices with less: no python3, no place to write, no POSIX shell behind the login, no socat or nc. */
import { createHash, randomBytes } from 'node:crypto';
import { chmod, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { expectNoSurvivors, RUN_MS } from '../support/program.js';
import { Scope } from '../support/scope.js';
import { ssh, startSsh } from '../support/ssh.js';
import { startStack, type Stack } from '../support/stack.js';
import { busyboxPath, shellPath } from '../support/user.js';
import { waitFor } from '../support/wait.js';

const scope = new Scope();
afterEach(() => scope.end());

function readOnly(...folders: readonly string[]): string[] {
  return folders.map((folder) => `mount --bind ${folder} ${folder} && mount -o remount,ro,bind ${folder}`);
}

async function moves(stack: Stack, bytes: number): Promise<void> {
  const data = randomBytes(bytes);
  const result = await ssh(stack, ['cat; echo err >&2; exit 9'], { input: data, timeoutMs: 100_000 });
  expect(result.status).toBe(9);
  expect(result.stderr.toString()).toBe('err\n');
  const sha = (value: Buffer) => createHash('sha256').update(value).digest('hex');
  expect(sha(result.stdout)).toBe(sha(data));
}

function tierOf(stack: Stack): string | undefined {
  return /"tier":"(\w+)"[^\n]*the device is ready/.exec(stack.bridge.stderr)?.[1];
}

describe('a device', () => {
  test('that has BusyBox and nothing else is served by the sh tier', async () => {
    const path = await busyboxPath(scope);
    const stack = await startStack(scope, {
      shell: await shellPath(scope, 'ash'),
      files: { '.profile': `PATH=${path}; export PATH\n` },
    });
    await moves(stack, 1024 * 1024);
    expect(tierOf(stack)).toBe('sh');
  });

  test('that has no program to make a terminal is given one of pipes: status, lines, Ctrl-C and Ctrl-D', async () => {
    const path = await busyboxPath(scope);
    // Some builds have it.
    await rm(join(path, 'script'), { force: true });
    const stack = await startStack(scope, { shell: await shellPath(scope, 'ash'), files: { '.profile': `PATH=${path}; PS1='> '; export PATH PS1\n` } });
    const command = await ssh(stack, ['echo out; echo err >&2; echo $TERM; exit 7'], { options: ['-tt'], env: { TERM: 'vt100' } });
    expect({ status: command.status, out: command.stdout.toString(), err: command.stderr.toString() }).toEqual({ status: 7, out: 'out\r\nerr\r\nvt100\r\n', err: '' });
    const shell = startSsh(stack, [], { options: ['-tt'], input: 'open', timeoutMs: RUN_MS });
    scope.add(() => shell.stop());
    const types = (text: string) => shell.child.stdin?.write(text);
    await waitFor('the prompt', () => shell.stdout.endsWith('> '));
    types('echo $((40 + 3\x7f2))\r');
    await waitFor('the answer', () => shell.stdout.includes('\r\n42\r\n> '));
    types('echo up; cat; sleep 300\r');
    // A shell reads ahead in a pipe: what is typed before cat runs would be its own.
    await waitFor('cat to run', () => shell.stdout.includes('\r\nup\r\n'));
    types('line\r');
    await waitFor('the line to come back', () => shell.stdout.includes('line\r\nline\r\n'));
    types('\x03');
    await waitFor('the shell to ask again', () => /\^C(\r\n)*> $/.test(shell.stdout));
    types('\x04');
    expect((await shell.done).status).toBe(130);
    expect(tierOf(stack)).toBe('sh');
  });

  test.each(['python', 'sh'] as const)('whose sh is bash is served by the %s tier', async (tier) => {
    const stack = await startStack(scope, { tier, sshd: { mounts: ['mount --bind /bin/bash "$(readlink -f /bin/sh)"'] } });
    await moves(stack, 1024 * 1024);
    const sh = await ssh(stack, ["/bin/sh -c 'echo $BASH_VERSION'"]);
    expect(sh.stdout.toString()).toMatch(/^\d/);
    expect(stack.bridge.stderr).not.toContain('trying again');
  });

  test.each(['python', 'sh'] as const)('whose login shell is restricted is served by the %s tier, and keeps no line of ours', async (tier) => {
    const stack = await startStack(scope, { tier, shell: '/usr/bin/rbash', files: { '.bash_history': 'mine\n' } });
    await moves(stack, 64 * 1024);
    // What sshd gives such a user: commands by name, run by the same shell.
    const direct = await ssh(stack.direct, ['/bin/true']);
    const bridged = await ssh(stack, ['/bin/true']);
    expect({ status: bridged.status, err: bridged.stderr.toString() }).toEqual({ status: direct.status, err: direct.stderr.toString() });
    expect(bridged.stderr.toString()).toContain('restricted');
    expect(tierOf(stack)).toBe(tier);
    await stack.bridge.stop();
    await expectNoSurvivors({ uid: stack.account.uid });
    expect(await readFile(join(stack.account.home, '.bash_history'), 'utf8')).toBe('mine\n');
  });

  test('whose sh is bash and whose profile ends idle shells is served for longer than that', async () => {
    // Bash takes TMOUT for every read, also of the programs that serve the bridge.
    const stack = await startStack(scope, {
      tier: 'sh',
      files: { '.profile': 'TMOUT=4; export TMOUT\n' },
      sshd: { mounts: ['mount --bind /bin/bash "$(readlink -f /bin/sh)"'] },
    });
    expect((await ssh(stack, ['sleep 9; echo late'])).stdout.toString()).toBe('late\n');
    await moves(stack, 64 * 1024);
    expect(stack.bridge.stderr.match(/the device is ready/g)).toHaveLength(1);
    expect(stack.bridge.stderr).not.toContain('was lost');
  });

  test('whose /tmp is read-only is served by the python tier', async () => {
    const stack = await startStack(scope, { sshd: { mounts: readOnly('/tmp', '/var/tmp') } });
    await moves(stack, 1024 * 1024);
    expect(tierOf(stack)).toBe('python');
  });

  test('whose /tmp, /var/tmp, /dev/shm and /run are read-only is served by the sh tier too', async () => {
    const stack = await startStack(scope, { tier: 'sh', sshd: { mounts: readOnly('/tmp', '/var/tmp', '/dev/shm', '/run') } });
    await moves(stack, 256 * 1024);
    expect(tierOf(stack)).toBe('sh');
  });

  test.each(['python', 'sh'] as const)('on which nothing but the home can be written is served by the %s tier', async (tier) => {
    // /dev stays: terminals are made there.
    const stack = await startStack(scope, { tier, sshd: { mounts: ['mount --bind /home /home', 'mount -o remount,ro,bind /', ...readOnly('/tmp', '/var', '/run', '/dev/shm')] } });
    const refused = await ssh(stack, ['touch /tmp/x /var/tmp/x /dev/shm/x /run/x /x 2>&1; touch ok; ls']);
    expect(refused.stdout.toString().match(/Read-only file system/g)).toHaveLength(5);
    expect(refused.stdout.toString()).toMatch(/^ok$/m);
    await moves(stack, 256 * 1024);
    expect(tierOf(stack)).toBe(tier);
    stack.bridge.kill('SIGINT');
    await stack.bridge.exited;
    await waitFor('nothing to be left in the home', async () => (await ssh(stack.direct, ['ls -A'])).stdout.toString() === 'ok\n');
  });

  test('whose login is a menu and no shell gives its terminal, and says why a command is refused', async () => {
    const menu = join(await scope.tempDir('menu'), 'menu');
    await writeFile(menu, '#!/bin/sh\necho "1) status 2) reboot"\nwhile read choice; do echo "chose <$choice>"; done\n', { mode: 0o755 });
    await chmod(dirname(menu), 0o755);
    const stack = await startStack(scope, { shell: menu });
    const refused = await ssh(stack, ['echo hi']);
    expect(refused.status).toBe(255);
    expect(refused.stderr.toString()).toContain('only a plain terminal');
    const shell = startSsh(stack, [], { input: '21\n', options: ['-tt'] });
    scope.add(() => shell.stop());
    await waitFor('the terminal to answer', () => shell.stdout.includes('chose <21>'));
    expect(shell.stdout).toContain('1) status');
    expect(tierOf(stack)).toBe('raw');
  });
});
