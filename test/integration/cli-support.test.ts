/** The helpers themselves: if these fail, no other integration test can be believed. */
import { readFile } from 'node:fs/promises';
import { afterAll, expect, test } from 'vitest';
import { expectNoSurvivors, Program, survivors } from '../support/program.js';
import { Scope } from '../support/scope.js';
import { ssh } from '../support/ssh.js';
import { startSshd } from '../support/sshd.js';
import { busyboxPath, shellPath, throwawayUser } from '../support/user.js';
import { waitFor } from '../support/wait.js';

const scope = new Scope();
afterAll(() => scope.end());

test('a throwaway user logs in to a private sshd and is gone afterwards', async () => {
  const own = new Scope();
  const user = await throwawayUser(own, { shell: '/bin/dash', files: { '.config/x/y': 'hello' } });
  const sshd = await startSshd(own, { users: [user.name] });
  const target = { ...sshd, user: user.name, password: user.password };
  const result = await ssh(target, ['cat; cat .config/x/y; id -un; echo $SHELL; echo err >&2; exit 37'], { input: Buffer.from([0, 255, 10]) });
  expect(result.stdout.toString('latin1')).toBe(`\0\xff\nhello${user.name}\n/bin/dash\n`);
  expect(result.stderr.toString()).toBe('err\n');
  expect(result.status).toBe(37);
  const wrong = await ssh({ ...target, password: 'wrong' }, ['true']);
  expect(wrong.status).not.toBe(0);
  await own.end();
  expect(await readFile('/etc/passwd', 'utf8')).not.toContain(`${user.name}:`);
  expect(await survivors({ uid: user.uid })).toEqual([]);
});

test('a small device has BusyBox ash, its applets and no python', async () => {
  const path = await busyboxPath(scope);
  const user = await throwawayUser(scope, { shell: await shellPath(scope, 'ash'), files: { '.profile': `PATH=${path}; export PATH\n` } });
  const sshd = await startSshd(scope, { users: [user.name] });
  const result = await ssh({ ...sshd, user: user.name, password: user.password }, [], { input: 'command -v python3 || echo none; ls -d /\n' });
  expect(result.stdout.toString()).toContain('none\n/\n');
});

test('survivors finds what a program left behind', async () => {
  const program = new Program('sh', ['-c', 'setsid sleep 300 >/dev/null 2>&1 & echo started']);
  await program.done;
  const left = await waitFor('the orphan', async () => {
    const found = await survivors({ mark: program.mark });
    return found.some((line) => line.includes('sleep')) && found;
  });
  expect(left).toHaveLength(1);
  process.kill(Number.parseInt(left[0] ?? '', 10), 'SIGKILL');
  await expectNoSurvivors({ mark: program.mark });
});
