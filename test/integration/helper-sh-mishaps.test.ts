/** The sh tier where the device has no room, or kills what serves a command: the true status, or a sentence, and an end. */
import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Scope } from '../support/scope.js';
import { ssh, startSsh } from '../support/ssh.js';
import { startStack, type Stack } from '../support/stack.js';
import { waitFor } from '../support/wait.js';

const scope = new Scope();
let stack: Stack;
beforeAll(async () => {
  stack = await startStack(scope, { tier: 'sh', sshd: { mounts: ['mount -t tmpfs -o size=600k,mode=1777 tmpfs /dev/shm'] } });
});
afterAll(() => scope.end());

const onDevice = async (script: string): Promise<string> => (await ssh(stack.direct, [script])).stdout.toString();
const LOST = 'its end, or some of its output, is lost';

/** A command that has said `up`. */
async function running(command: string, options: readonly string[] = []): Promise<ReturnType<typeof startSsh>> {
  const program = startSsh(stack, [command], { options, input: 'open', timeoutMs: 60_000 });
  scope.add(() => program.stop());
  await waitFor('the command to run', () => program.stdout.includes('up'));
  return program;
}

/** Starts a command, does this on the device once it runs, and tells how it ended. */
async function during(command: string, script: string, options: readonly string[] = []): Promise<{ status: number | null; stderr: string }> {
  const program = await running(command, options);
  await onDevice(script);
  const { status } = await program.done;
  return { status, stderr: program.stderr };
}

/** No room from now on, for so many seconds, whatever is freed meanwhile. */
const fill = (seconds: number): string =>
  `(n=0; while [ $n -lt ${seconds * 20} ]; do dd if=/dev/zero bs=1k of=/dev/shm/fill.$n count=600; n=$((n+1)); sleep .05; done; rm -f /dev/shm/fill.*) >/dev/null 2>&1 &`;

describe.each([['without a terminal', []], ['with a terminal', ['-tt']]])('where the file system is full at the end of a command %s', (_, options) => {
  test('its status is the right one, once there is room', async () => {
    const ended = await during('echo up; sleep 2; exit 7', fill(4), options);
    expect(ended.status).toBe(7);
  });

  test('a signal is a signal, or unknown, and no status', async () => {
    const ended = await during('echo up; sleep 2; kill -TERM $$; exit 3', fill(4), options);
    expect(ended.status).toBe(255);
  });
});

test('what was done while the file system was full is not forgotten by the front that comes next', async () => {
  const program = await running('echo up; exec cat');
  // Whatever is freed is taken at once.
  await onDevice(`(timeout 6 sh -c 'while :; do printf %04096d 0 >>/dev/shm/fill; done'; rm -f /dev/shm/fill) >/dev/null 2>&1 &`);
  await wait(500);
  let sent = '';
  for (let n = 0; n < 10; n += 1) {
    program.child.stdin?.write(`line ${n}\n`);
    sent += `line ${n}\n`;
    await wait(300);
  }
  await waitFor('the lines to come back', () => program.stdout === `up\n${sent}`);
  await onDevice('kill -KILL -"$(cat /dev/shm/.iotda-*/fp)"');
  program.child.stdin?.end('on');
  expect((await program.done).status).toBe(0);
  expect(program.stdout).toBe(`up\n${sent}on`);
});

describe('when the device kills', () => {
  const pids = 'for f in /dev/shm/.iotda-*/[0-9]*/';
  test('what collects the output, the client is told', async () => {
    const ended = await during('echo up; head -c 300000 /dev/zero; sleep 3; exit 0', `${pids}P; do kill -KILL "$(cat $f)"; done`);
    expect(ended.status).toBe(255);
    expect(ended.stderr).toContain(LOST);
  });

  test('the encoder of output that is to come, the client is told', async () => {
    const ended = await during('echo up; sleep 3; echo payload; exit 0', 'pkill -KILL -x -u "$(id -u)" base64');
    expect(ended.status).toBe(255);
    expect(ended.stderr).toContain(LOST);
  });

  test('the front while it starts a command, that is started all the same, once', async () => {
    const first = await running('echo up; cat');
    const killer = startSsh(stack.direct, [`cd /dev/shm/.iotda-*; n=$(ls -d [0-9]* | sort -n | tail -1); n=$((n+1)); echo ready
      until [ -d $n ]; do :; done; kill -KILL -$(cat fp); echo killed`]);
    scope.add(() => killer.stop());
    await waitFor('the killer', () => killer.stdout.includes('ready'));
    const second = await ssh(stack, ['echo x >>started; cat started; exit 5']);
    expect([second.status, second.stdout.toString()]).toEqual([5, 'x\n']);
    expect((await killer.done).stdout.toString()).toContain('killed');
    first.child.stdin?.end();
    expect((await first.done).status).toBe(0);
    // Nothing of either stays.
    await waitFor('the folders to go', async () => (await onDevice('ls -d /dev/shm/.iotda-*/[0-9]* 2>/dev/null')) === '');
  });

  test('what waits for the end, the client is told', async () => {
    const ended = await during('echo up; sleep 3; exit 0', `${pids}S; do kill -KILL "$(cat $f)"; done`);
    expect(ended.status).toBe(255);
    expect(ended.stderr).toContain(LOST);
  });

  test('the janitor, another takes its place, and one only', async () => {
    const program = await running('echo up; exec cat');
    const janitors = async (): Promise<string[]> => (await onDevice('pgrep -u "$(id -u)" -f "[r] jan$"')).split('\n').filter((line) => line !== '');
    const [killed = ''] = await janitors();
    await onDevice(`kill -KILL ${killed}; d=$(echo /dev/shm/.iotda-*); setsid sh "$d/r" jan </dev/null >/dev/null 2>&1 & until [ "$(cat "$d/jp")" != ${killed} ]; do :; done; echo ${killed} >"$d/jp"`);
    // The one started just now is told by its number that it is not the one; the front starts the right one.
    await waitFor('the next janitor', async () => {
      const [only, ...more] = await janitors();
      return more.length === 0 && only !== undefined && only !== killed && (await onDevice('cat /dev/shm/.iotda-*/jp')) === `${only}\n`;
    }, 30_000);
    program.child.stdin?.end('on');
    expect((await program.done).status).toBe(0);
    expect(program.stdout).toBe('up\non');
  });
});
