/** The plain terminal with a real ssh: how its end is told, which only its own words and silence show. */
import { afterEach, expect, test } from 'vitest';
import { Lab } from '../faults/lab.js';
import { Program } from '../support/program.js';
import { Scope } from '../support/scope.js';
import { waitFor } from '../support/wait.js';

/** A little more than the time after which silence is told; longer than the bridge needs to tell it. */
const GRACE_SECONDS = 17;
const MOST_MS = 60_000;

const scope = new Scope();
afterEach(() => scope.end());

async function startLab(...bridgeArgs: string[]): Promise<Lab> {
  const lab = new Lab(scope, 0, { graceSeconds: GRACE_SECONDS, bridgeArgs: ['--tier', 'raw', ...bridgeArgs] });
  await lab.start();
  return lab;
}

function login(lab: Lab, option: '-tt' | '-T'): Program {
  const program = new Program('ssh', [...lab.sshOptions(), option, 'host'], { input: 'open', timeoutMs: MOST_MS });
  scope.add(() => program.stop());
  return program;
}

async function answers(program: Program, nth: number): Promise<void> {
  program.child.stdin?.write(`echo $((${String(nth)}000 + 42))\n`);
  await waitFor('the answer', () => program.stdout.includes(`${String(nth)}042`));
}

test('an exit is told with its reason, and the next client gets a terminal of its own', async () => {
  const lab = await startLab();
  for (const nth of [1, 2]) {
    const shell = login(lab, '-tt');
    await answers(shell, nth);
    shell.child.stdin?.write('exit 3\n');
    const { status, stderr } = await shell.done;
    expect({ status, told: /The login shell on the device ended\./.test(stderr.toString()) }).toEqual({ status: 255, told: true });
  }
  expect(lab.bridge.stderr).not.toContain('logging in again');
});

test('a session that died in silence is told of after 15 s and lost after the grace; piped input ends with the output', async () => {
  const [one, two] = await Promise.all([startLab(), startLab()]);
  const shell = login(one, '-tt');
  await answers(shell, 1);
  expect(one.agent.inject('silent-death')).toBe(true);
  shell.child.stdin?.write('ls\n');
  const piped = login(two, '-T');
  piped.child.stdin?.end('echo $((40 + 2))\n');

  const quiet = await piped.done;
  expect(quiet.stdout.toString()).toMatch(/^42\r$/m);
  expect({ status: quiet.status, told: /The input has ended, and the device has printed nothing for 10 s/.test(quiet.stderr.toString()) }).toEqual({ status: 255, told: true });
  const lost = await shell.done;
  expect(lost.stderr.toString()).toMatch(/printed nothing since the input of 15 s ago[^]*printed nothing for 17 s after input; its session is taken for lost/);
  expect(lost.status).toBe(255);
  // And the next one is served.
  await answers(login(one, '-tt'), 3);
});

test('a client that only waits is told before its idle terminal ends, and why it ended', async () => {
  const lab = await startLab('--raw-timeout', '8');
  const shell = login(lab, '-tt');
  // Ticks keep it alive for longer than the bound.
  shell.child.stdin?.write('for n in 1 2 3 4 5 6; do echo tick-$n; sleep 2; done\n');
  await waitFor('the last tick', () => shell.stdout.includes('tick-6\r'));
  expect(shell.stdout.includes('Nothing was typed') || shell.stderr.includes('Nothing was typed')).toBe(false);
  expect(lab.agent.inject('silent-death')).toBe(true);
  const { status, stderr } = await shell.done;
  expect(stderr.toString()).toMatch(/Nothing was typed or printed for 4 s, [^]*ends in 4 s unless[^]*Nothing was typed or printed for 8 s \(--raw-timeout\); the session on the device is taken for lost/);
  expect(status).toBe(255);
  await answers(login(lab, '-tt'), 2);
});
