/** The operator's options for what clients may do, each beside sshd with the same setting, by the real clients. */
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { run } from '../support/program.js';
import { Scope } from '../support/scope.js';
import { ssh, sshOptions, type Target } from '../support/ssh.js';
import { startSshd } from '../support/sshd.js';
import { startStack, type Stack } from '../support/stack.js';

/** What a client is asked to do, and what it came to. */
type Ask = readonly [title: string, command: readonly string[], options?: readonly string[], stdin?: string];
interface Setting {
  title: string;
  sshd: string[];
  bridge: string[];
  asks: readonly Ask[];
}

const FORCED = 'echo "asked for: $SSH_ORIGINAL_COMMAND"; cat; echo to stderr >&2; exit 9';

const scope = new Scope();
/** A server that greets and ends, as the one that may be reached. */
let open = 0;
const server = createServer((socket) => socket.end('greeting\n'));
let banner = '';
beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  open = (server.address() as { port: number }).port;
  banner = join(await scope.tempDir('banner'), 'text');
  await writeFile(banner, 'Be careful.\nCaf\u00e9.\n');
});
afterAll(async () => {
  server.close();
  await scope.end();
});

const settings: readonly (() => Setting)[] = [
  () => ({
    title: 'a forced command',
    sshd: [`ForceCommand ${FORCED}`],
    bridge: ['--force-command', FORCED],
    asks: [['a command', ['echo', '"a  b"'], [], 'input\n'], ['a shell', [], ['-T'], 'input\n'], ['a terminal', ['true'], ['-tt'], '\u0004']],
  }),
  () => ({
    title: 'a forced internal-sftp',
    sshd: ['ForceCommand internal-sftp'],
    bridge: ['--force-command', 'internal-sftp'],
    // Not at a terminal: sshd's own log (-e) would be in the output there.
    asks: [['a command', ['echo no']], ['a shell', [], ['-T'], 'echo no\n']],
  }),
  () => ({
    title: 'no terminals',
    sshd: ['PermitTTY no'],
    bridge: ['--permit-tty', 'no'],
    asks: [['a terminal', ['tty; exit 3'], ['-tt']], ['none', ['echo yes; exit 4']]],
  }),
  () => ({
    title: 'variables',
    sshd: ['SetEnv ONE="a b" LC_TWO=theirs'],
    bridge: ['--set-env', 'ONE=a b', '--set-env', 'LC_TWO=theirs'],
    asks: [['set, and stronger than the client’s', ['echo "$ONE|$LC_TWO|$LC_THREE|$FOUR"'], ['-o', 'SetEnv=LC_TWO=mine LC_THREE=mine FOUR=mine']]],
  }),
  () => ({
    title: 'what may be reached',
    sshd: [`PermitOpen 127.0.0.1:${open}`],
    bridge: ['--permit-open', `127.0.0.1:${open}`],
    asks: [
      ['what is named', [], ['-W', `127.0.0.1:${open}`]],
      ['by another name', [], ['-W', `localhost:${open}`]],
      ['another port', [], ['-W', '127.0.0.1:1']],
    ],
  }),
  () => ({
    title: 'where may be listened',
    sshd: ['PermitListen localhost:47001'],
    bridge: ['--permit-listen', 'localhost:47001'],
    asks: [
      ['what is named', ['echo listening'], ['-o', 'ExitOnForwardFailure=yes', '-R', `47001:127.0.0.1:${open}`]],
      ['another port', ['echo listening'], ['-o', 'ExitOnForwardFailure=yes', '-R', `47002:127.0.0.1:${open}`]],
    ],
  }),
  () => ({
    title: 'a banner',
    sshd: [`Banner ${banner}`],
    bridge: ['--banner', banner],
    asks: [['a client that shows it', ['exit 5'], ['-o', 'LogLevel=INFO']]],
  }),
];

describe.each(settings.map((setting) => [setting().title, setting] as const))('%s', (_title, setting) => {
  const own = new Scope();
  let stack: Stack;
  let reference: Target;
  beforeAll(async () => {
    const { sshd, bridge } = setting();
    stack = await startStack(own, { bridgeArgs: bridge });
    const server = await startSshd(own, { users: [stack.account.name], config: sshd });
    reference = { ...stack.direct, port: server.port, host: server.host, knownHosts: server.knownHosts };
  });
  afterAll(() => own.end());

  test.each([...setting().asks.keys()])('does as sshd does: %#', async (index) => {
    const [title, command, options = [], stdin = ''] = setting().asks[index] ?? ['', []];
    const results = [];
    for (const target of [reference, stack]) {
      const result = await ssh(target, command, { options, input: stdin });
      results.push({ title, status: result.status, stdout: result.stdout.toString(), stderr: result.stderr.toString().replaceAll(String(target.port), 'PORT') });
    }
    expect(results[1]).toEqual(results[0]);
  });
});

test('a forced command that runs what it was asked for serves real sftp and scp clients', async () => {
  const own = new Scope();
  scope.add(() => own.end());
  const stack = await startStack(own, { bridgeArgs: ['--force-command', 'exec $SSH_ORIGINAL_COMMAND'] });
  const dir = await own.tempDir('sftp');
  await writeFile(join(dir, 'batch'), 'put batch there\nget there back\n');
  const options = sshOptions(stack);
  const env = { ...process.env, SSHPASS: stack.password };
  const sftp = await run('sshpass', ['-e', 'sftp', ...options, '-o', 'BatchMode=no', '-P', String(stack.port), '-b', 'batch', `${stack.user}@${stack.host}`], { cwd: dir, env });
  expect([sftp.status, sftp.stderr.toString()]).toEqual([0, '']);
  const scp = await run('sshpass', ['-e', 'scp', ...options, '-P', String(stack.port), '-O', `${stack.user}@${stack.host}:there`, 'again'], { cwd: dir, env });
  expect([scp.status, scp.stderr.toString()]).toEqual([0, '']);
  const same = await run('cmp', [join(dir, 'batch'), join(dir, 'again')]);
  expect(same.status).toBe(0);
});
