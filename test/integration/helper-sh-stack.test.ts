import { createHash, randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Scope } from '../support/scope.js';
import { startStack, type Stack } from '../support/stack.js';
import { run } from '../support/program.js';
import { ssh, sshOptions } from '../support/ssh.js';

const sha = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

describe.each(['sound', 'c-agent', 'csharp-agent'] as const)('the real ssh through the sh tier and the %s', (profile) => {
  const scope = new Scope();
  let stack: Stack;

  beforeAll(async () => {
    stack = await startStack(scope, { tier: 'sh', profile });
  });

  afterAll(() => scope.end());

  it('runs commands with their own streams and status', async () => {
    const result = await ssh(stack, ['echo out; echo err >&2; exit 37']);
    expect([result.stdout.toString(), result.stderr.toString(), result.status]).toEqual(['out\n', 'err\n', 37]);
  });

  it('carries a megabyte both ways without a byte changed', async () => {
    const data = randomBytes(1_000_000);
    const result = await ssh(stack, ['cat'], { input: data });
    expect(result.status).toBe(0);
    expect(sha(result.stdout)).toBe(sha(data));
  });

  it('runs ten sessions at once', async () => {
    const runs = await Promise.all(Array.from({ length: 10 }, (_, index) => ssh(stack, [`echo ${index}; exit ${index}`])));
    expect(runs.map((result) => [result.stdout.toString(), result.status])).toEqual(runs.map((_, index) => [`${index}\n`, index]));
  });

  it('takes file names without a folder as names in the home', async () => {
    const batch = Buffer.from('mkdir made-here\n');
    const options = ['-q', '-b', '-', '-P', String(stack.port), ...sshOptions(stack)];
    const sftp = await run('sshpass', ['-e', 'sftp', '-oBatchMode=no', ...options, `${stack.user}@${stack.host}`], { input: batch, env: { SSHPASS: stack.password } });
    expect(sftp.stderr.toString()).toBe('');
    expect((await ssh(stack, ['cd "$HOME" && ls -d made-here && rmdir made-here'])).stdout.toString()).toBe('made-here\n');
  });

  it('gives a terminal', async () => {
    const result = await ssh(stack, ['tty; echo $TERM; exit 5'], { options: ['-tt'], env: { TERM: 'vt220' } });
    expect(result.stdout.toString()).toMatch(/^\/dev\/pts\/\d+\r\nvt220\r\n/);
    expect(result.status).toBe(5);
  });
});

describe.each(['sh', 'python'] as const)('an agent that loses every message above 1,400 bytes, with the %s tier', (tier) => {
  const scope = new Scope();
  afterAll(() => scope.end());

  it('is a slow one, and no more', async () => {
    const stack = await startStack(scope, { tier, deviceArgs: ['--fault', 'fragmentLossRate=1'] });
    const data = randomBytes(60_000);
    const result = await ssh(stack, ['cat; exit 6'], { input: data });
    expect(result.stderr.toString()).toBe('');
    expect(result.status).toBe(6);
    expect(sha(result.stdout)).toBe(sha(data));
  });
});
