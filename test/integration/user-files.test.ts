/** What lies in the user's home and start-up files is the user's, and in the way of nothing. */
import { appendFile, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { run } from '../support/program.js';
import { Scope } from '../support/scope.js';
import { ssh } from '../support/ssh.js';
import { startStack } from '../support/stack.js';

const scope = new Scope();
afterEach(() => scope.end());

/** Names of modules that the helper imports, or that those import. */
const MODULES = ['socket', 'signal', 'struct', 'enum', 'hashlib', 'select', 'pty', 'tty', 'zlib', 'types', 'os'];

test('Python modules in the home, PYTHONPATH and PYTHONHOME do not keep the helper from starting', async () => {
  const stack = await startStack(scope, { tier: 'python' });
  const { home } = stack.account;
  const vendor = join(home, 'vendor');
  await mkdir(vendor);
  for (const name of MODULES) {
    // One that ends at once, with status 0, and one that is not what its name says.
    await writeFile(join(home, `${name}.py`), 'open("/proc/self/fd/1", "w").write("ran")\nraise SystemExit\n');
    await writeFile(join(vendor, `${name}.py`), 'class Enum(object): pass\n');
  }
  await appendFile(join(home, '.profile'), `export PYTHONPATH=${vendor} PYTHONHOME=/nowhere\n`);
  const ran = await ssh(stack, ['echo fine; cat /proc/self/comm; env | grep ^PYTHON']);
  // As under sshd, which reads no start-up file for a command.
  expect({ status: ran.status, out: ran.stdout.toString(), err: ran.stderr.toString() }).toEqual({ status: 1, out: 'fine\ncat\n', err: '' });
  const shell = await ssh(stack, [], { options: ['-T'], input: 'env | grep ^PYTHON | sort\n' });
  expect(shell.stdout.toString()).toContain(`PYTHONHOME=/nowhere\nPYTHONPATH=${vendor}\n`);
});

test.each(['python', 'sh'] as const)('a home that is not there is told of as by sshd (%s tier)', async (tier) => {
  const stack = await startStack(scope, { tier });
  await run('usermod', ['-d', '/nowhere/at all', stack.account.name]);
  for (const command of [['pwd'], ['-tt', 'pwd']]) {
    const [there, here] = await Promise.all([stack.direct, stack].map(async (target) => {
      const ran = await ssh(target, command.slice(-1), { options: command.slice(0, -1) });
      return { status: ran.status, out: ran.stdout.toString(), err: ran.stderr.toString() };
    }));
    expect(there).toMatchObject({ status: 0 });
    expect(`${there?.out}${there?.err}`).toContain('Could not chdir to home directory /nowhere/at all: No such file or directory');
    expect(here).toEqual(there);
  }
});

// Behind the stock agent every further login hangs, and says nothing of why.
test.each(['sound', 'c-agent'] as const)('a login shell that ends at once is told with its last words (%s)', async (profile) => {
  const stack = await startStack(scope, { profile });
  await run('usermod', ['-s', '/usr/sbin/nologin', stack.account.name]);
  const ran = await ssh(stack, ['true']);
  expect(ran.status).toBe(255);
  expect(ran.stderr.toString()).toContain('The device session ended while the helper was started; the last it printed: "This account is currently not available."');
  // Not the lot of logins: they lock accounts.
  expect(stack.bridge.stderr.match(/the helper did not start; logging in again/g)).toHaveLength(3);
});
