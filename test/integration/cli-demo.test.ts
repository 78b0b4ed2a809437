/** `npm start`: what a newcomer types first. */
import { randomInt } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { expectNoSurvivors, run, start, survivors, type Program } from '../support/program.js';
import { Scope } from '../support/scope.js';
import { ssh, startSsh, type Target } from '../support/ssh.js';
import { type ReadyFile } from '../support/stack.js';
import { waitFor } from '../support/wait.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const START = join(ROOT, 'bin', 'start.mjs');

const scope = new Scope();
afterAll(() => scope.end());

interface Demo extends Target {
  program: Program;
  ready: ReadyFile;
  readyFile: string;
  /** In the environment of everything that runs on the demo's device: a login keeps TZ. */
  trace: string;
}

async function startDemo(...args: string[]): Promise<Demo> {
  return startDemoBy([process.execPath, START], args);
}

async function startDemoBy([file = '', ...first]: string[], args: string[]): Promise<Demo> {
  const dir = await scope.tempDir('demo');
  const readyFile = join(dir, 'ready.json');
  const trace = `<demo${randomInt(2 ** 40)}>0`;
  const program = start(scope, file, [...first, '--listen', '127.0.0.1:0', '--ready-file', readyFile, ...args], { cwd: ROOT, env: { XDG_STATE_HOME: dir, TZ: trace } });
  const ready = JSON.parse(
    await waitFor('the demo to be ready', async () => {
      if (!program.running) throw new Error(`the demo ended: ${program.stderr}`);
      return existsSync(readyFile) && readFile(readyFile, 'utf8');
    }),
  ) as ReadyFile;
  const knownHosts = join(dir, 'known_hosts');
  await writeFile(knownHosts, `${ready.knownHosts}\n`);
  const output = await waitFor('the announcement', () => program.stdout.includes('Ctrl-C') && program.stdout);
  const password = /^ {2}password {2}(\S+) {2}\(for this run only\)$/m.exec(output)?.[1] ?? '';
  return { program, ready, readyFile, trace, host: 'localhost', port: ready.port, user: ready.user ?? '', password, knownHosts };
}

describe('the demo', () => {
  test('prints the exact ssh command, which works, and ends cleanly on Ctrl-C', async () => {
    const demo = await startDemo();
    const name = userInfo().username;
    expect(demo.program.stdout).toContain(`  ssh -p ${demo.port} ${name}@localhost\n`);
    expect(demo.program.stdout).toContain(`  host key  ${demo.ready.hostKeyFingerprint}\n`);
    expect(demo.ready).toMatchObject({ pid: demo.program.pid, host: '127.0.0.1', user: name });
    expect((await stat(demo.readyFile)).mode & 0o777).toBe(0o600);

    const result = await ssh(demo, ['printf out; printf err >&2; exit 37']);
    expect({ ...result, stdout: result.stdout.toString(), stderr: result.stderr.toString() }).toEqual({ status: 37, signal: null, stdout: 'out', stderr: 'err' });

    // A program that runs on while the demo is stopped.
    const open = startSsh(demo, ['echo started; sleep 3600'], { timeoutMs: 60_000 });
    await waitFor('the program to start', () => open.stdout.includes('started'));
    expect(await survivors({ environment: demo.trace })).not.toEqual([]);
    demo.program.kill('SIGINT');
    expect(await demo.program.done).toMatchObject({ status: 0, signal: null });
    expect((await open.done).status).toBe(255);
    await expectNoSurvivors({ environment: demo.trace });
    await expectNoSurvivors({ mark: demo.program.mark });
    expect(existsSync(demo.readyFile)).toBe(false);
  });

  test.each(['SIGINT', 'SIGTERM'] as const)('under npm start ends when npm alone gets %s', async (signal) => {
    const demo = await startDemoBy(['npm', 'start', '--'], []);
    expect(demo.ready.pid).not.toBe(demo.program.pid);
    process.kill(demo.program.pid, signal);
    expect(await demo.program.done).toMatchObject({ status: 0, signal: null });
    await expectNoSurvivors({ mark: demo.program.mark });
  });

  test('gives an interactive shell with the size and TERM of the client', async () => {
    const demo = await startDemo();
    const terminal = startSsh(demo, [], { options: ['-tt'], input: 'open', timeoutMs: 60_000, env: { TERM: 'vt220' } });
    terminal.child.stdin?.write('echo "term=$TERM"; stty size; echo do"ne"; exit 5\n');
    await waitFor('the answer', () => terminal.stdout.includes('done'));
    expect(terminal.stdout).toContain('term=vt220');
    expect((await terminal.done).status).toBe(5);
  });

  test('keeps a password from a file to itself and refuses another', async () => {
    const file = join(await scope.tempDir(), 'password');
    await writeFile(file, 'correct horse\n', { mode: 0o600 });
    const demo = await startDemo('--password-file', file);
    expect(demo.program.stdout).toContain('password  the one in your password file');
    expect(demo.program.stdout + demo.program.stderr).not.toContain('correct horse');
    expect((await ssh({ ...demo, password: 'correct horse' }, ['exit 3'])).status).toBe(3);
    expect((await ssh({ ...demo, password: 'wrong' }, ['true'])).status).not.toBe(0);
  });

  test('keeps its host key', async () => {
    const dir = await scope.tempDir();
    const key = join(dir, 'key');
    const first = await startDemo('--host-key', key);
    const second = await startDemo('--host-key', key);
    expect(second.ready.hostKeyFingerprint).toBe(first.ready.hostKeyFingerprint);
    expect((await stat(key)).mode & 0o777).toBe(0o600);
  });

  test('says in one line that a port is taken', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    scope.add(() => server.close());
    await waitFor('the server', () => server.listening);
    const { port } = server.address() as AddressInfo;
    const result = await run(process.execPath, [START, '--listen', `127.0.0.1:${port}`], { env: { XDG_STATE_HOME: await scope.tempDir() } });
    expect(result.status).toBe(3);
    expect(result.stderr.toString()).toMatch(new RegExp(`^iotda-ssh: [^\\n]*127\\.0\\.0\\.1:${port}[^\\n]*port[^\\n]*\\n$`));
    expect(result.stdout.toString()).toBe('');
  });

  test('says in one line that a shell is missing', async () => {
    const result = await run(process.execPath, [START, '--listen', '127.0.0.1:0', '--shell', '/no/shell'], { env: { XDG_STATE_HOME: await scope.tempDir() } });
    expect(result.status).toBe(3);
    expect(result.stderr.toString()).toMatch(/^iotda-ssh: [^\n]*\/no\/shell[^\n]*\n$/);
  });

  test('gives a plain terminal of the shell that was asked for, and refuses commands there', async () => {
    const demo = await startDemo('--shell', '/bin/dash', '--tier', 'raw');
    const terminal = startSsh(demo, [], { options: ['-tt'], input: 'open', timeoutMs: 60_000 });
    terminal.child.stdin?.write('echo "<$0>"\n');
    await waitFor('the name of the shell', () => terminal.stdout.includes('<-dash>'));
    const refused = await ssh(demo, ['true']);
    expect(refused.status).not.toBe(0);
    expect(refused.stderr.toString()).not.toBe('');
    terminal.kill();
    await terminal.done;
  });

  test('stops while clients of it are still connecting', async () => {
    const demo = await startDemo();
    const clients = Array.from({ length: 5 }, () => startSsh(demo, ['sleep 3600'], { timeoutMs: 60_000 }));
    demo.program.kill('SIGTERM');
    expect((await demo.program.done).status).toBe(0);
    for (const client of clients) expect((await client.done).status).not.toBe(0);
    await expectNoSurvivors({ environment: demo.trace });
  });
});
