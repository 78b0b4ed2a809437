/** The bridge against a real sshd behind each kind of agent, and behind each login shell. */
import { createHash, randomBytes } from 'node:crypto';
import { afterEach, describe, expect, test } from 'vitest';
import { RUN_MS } from '../support/program.js';
import { Scope } from '../support/scope.js';
import { ssh, startSsh } from '../support/ssh.js';
import { startStack, type Stack, type StackOptions } from '../support/stack.js';
import { shellPath } from '../support/user.js';
import { waitFor } from '../support/wait.js';

const scope = new Scope();
afterEach(() => scope.end());

const BYTES = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
/** Start-up files that print, colour the prompt and set traps for whoever reads the terminal. */
const NOISY = `echo "welcome; to: the device"; printf '\\033[1;32mcolour\\033[0m\\n'; PS1='\\[\\033[35m\\]\\u@\\h:\\w\\$ \\[\\033[0m\\]'; export NOISY=yes\n`;

function sha(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

async function works(stack: Stack, megabytes: number): Promise<void> {
  const status = await ssh(stack, [`sh -c 'echo out; echo err >&2; exit 37'`]);
  expect({ status: status.status, out: status.stdout.toString(), err: status.stderr.toString() }).toEqual({ status: 37, out: 'out\n', err: 'err\n' });
  const all = await ssh(stack, ['cat'], { input: BYTES });
  expect(all.stdout.equals(BYTES)).toBe(true);
  const none = await ssh(stack, ["printf 'no newline'"], { input: '' });
  expect(none.stdout.toString()).toBe('no newline');
  const bulk = randomBytes(megabytes * 1024 * 1024);
  const both = await ssh(stack, ['cat'], { input: bulk, timeoutMs: 110_000 });
  expect(both.status).toBe(0);
  expect(sha(both.stdout)).toBe(sha(bulk));
  const late = await ssh(stack, ['sleep 3; echo late'], { timeoutMs: 30_000 });
  expect(late.stdout.toString()).toBe('late\n');
  const wrong = await ssh({ ...stack, password: 'not it' }, ['true']);
  expect(wrong.status).not.toBe(0);
}

describe.each(['sound', 'c-agent', 'c-agent-g2', 'c-agent-g1', 'csharp-agent'] as const)('behind the %s profile', (profile) => {
  test.each(['python', 'sh'] as const)('commands, bytes and late output are as from sshd on the %s tier', async (tier) => {
    const slow = tier === 'sh' || profile.includes('-g');
    await works(await startStack(scope, { profile, tier }), slow ? 1 : 5);
  });
});

describe.each(['bash', 'dash', 'zsh', 'fish', 'tcsh', 'mksh', 'ash'] as const)('with the login shell %s', (shell) => {
  test('a noisy start-up and a message of the day disturb nothing, and history stays empty', async () => {
    const options: StackOptions = {
      shell: await shellPath(scope, shell),
      files: { '.profile': NOISY, '.bash_profile': NOISY, '.zprofile': 'echo "welcome; to: zsh"\n', '.login': 'echo "welcome; to: tcsh"\n' },
    };
    const stack = await startStack(scope, options);
    await works(stack, 1);
    const history = await ssh(stack, [`sh -c 'cat ~/.*hist* ~/.local/share/fish/*hist* 2>/dev/null; true'`]);
    expect(history.stdout.toString()).not.toContain('stty');
  });
});

test('a user who kills every python3 keeps the connection', async () => {
  const stack = await startStack(scope, { tier: 'python' });
  const other = startSsh(stack, ['echo begun; read x; echo still $x'], { input: 'open', timeoutMs: RUN_MS });
  scope.add(() => other.stop());
  await waitFor('the other client to run', () => other.stdout.includes('begun'));
  // 1: there was none.
  expect((await ssh(stack, ['pkill -x python3'])).status).toBe(1);
  other.child.stdin?.end('here\n');
  expect((await other.done).stdout.toString()).toBe('begun\nstill here\n');
});
