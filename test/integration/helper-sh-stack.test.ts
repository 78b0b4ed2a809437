import { createHash, randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Scope } from '../support/scope.js';
import { startStack, type Stack } from '../support/stack.js';
import { ssh } from '../support/ssh.js';

const sha = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

describe.each(['sound', 'c-agent', 'csharp-agent'] as const)('the real ssh through the sh tier and the %s', (profile) => {
  const scope = new Scope();
  let stack: Stack;

  beforeAll(async () => {
    stack = await startStack(scope, { tier: 'sh', profile });
  });

  afterAll(() => scope.end());

  it('runs commands with their own streams and status', async () => {
    const run = await ssh(stack, ['echo out; echo err >&2; exit 37']);
    expect([run.stdout.toString(), run.stderr.toString(), run.status]).toEqual(['out\n', 'err\n', 37]);
  });

  it('carries a megabyte both ways without a byte changed', async () => {
    const data = randomBytes(1_000_000);
    const run = await ssh(stack, ['cat'], { input: data });
    expect(run.status).toBe(0);
    expect(sha(run.stdout)).toBe(sha(data));
  });

  it('runs ten sessions at once', async () => {
    const runs = await Promise.all(Array.from({ length: 10 }, (_, index) => ssh(stack, [`echo ${index}; exit ${index}`])));
    expect(runs.map((run) => [run.stdout.toString(), run.status])).toEqual(runs.map((_, index) => [`${index}\n`, index]));
  });

  it('gives a terminal', async () => {
    const run = await ssh(stack, ['tty; echo $TERM; exit 5'], { options: ['-tt'], env: { TERM: 'vt220' } });
    expect(run.stdout.toString()).toMatch(/^\/dev\/pts\/\d+\r\nvt220\r\n/);
    expect(run.status).toBe(5);
  });
});
