/** The sh tier whose front is killed again and again in the middle of its work, in each shell that it may run in. */
import { afterAll, expect, test } from 'vitest';
import { Scope } from '../support/scope.js';
import { startSsh } from '../support/ssh.js';
import { startStack } from '../support/stack.js';
import { waitFor } from '../support/wait.js';

const scope = new Scope();
afterAll(() => scope.end());

const KILLS = 5;

/** mksh prints by a process of its own, so that what it notes lies between two states for long. */
test.each(['dash', 'mksh'])('every line gets there and back once (%s)', async (shell) => {
  const mounts = ['mount -t tmpfs -o size=6000k,mode=1777 tmpfs /dev/shm', ...(shell === 'dash' ? [] : ['mount --bind /usr/bin/mksh /usr/bin/dash'])];
  const stack = await startStack(scope, { tier: 'sh', sshd: { mounts } });
  const program = startSsh(stack, ['echo up; exec cat'], { input: 'open', timeoutMs: 150_000 });
  scope.add(() => program.stop());
  await waitFor('the command to run', () => program.stdout.startsWith('up\n'), 20_000);
  let sent = '';
  let lines = 0;
  const feed = setInterval(() => {
    const line = `line ${String(lines++)}\n`;
    sent += line;
    program.child.stdin?.write(line);
  }, 4);
  scope.add(() => {
    clearInterval(feed);
  });
  const killer = startSsh(stack.direct, [`cd /dev/shm/.iotda-*; k=0; while [ $k -lt ${String(KILLS)} ]; do sleep 1.$k; p=$(cat fp); [ -n "$p" ] && kill -KILL -$p && echo killed && k=$((k+1)); done`], { timeoutMs: 100_000 });
  scope.add(() => killer.stop());
  expect((await killer.done).stdout.toString()).toBe('killed\n'.repeat(KILLS));
  clearInterval(feed);
  program.child.stdin?.end();
  const { status, stdout } = await program.done;
  expect(stdout.toString() === `up\n${sent}`, 'the lines are the same, each once and in order').toBe(true);
  expect(status).toBe(0);
});
