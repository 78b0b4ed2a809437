/** The built program at work: nothing secret in logs of any level, lists of processes, files or errors. */
import { readdirSync, readFileSync } from 'node:fs';
import { chmod, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL, fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { run, start, type Program } from '../../support/program.js';
import { Scope } from '../../support/scope.js';
import { ssh, sshOptions, startSsh } from '../../support/ssh.js';
import { IOTDA_SSH, startCommand, startStack, type Stack } from '../../support/stack.js';
import { waitFor } from '../../support/wait.js';

const scope = new Scope();
afterAll(() => scope.end());

const WRONG = 'Wrong-guess-4711';
/** Typed and printed: neither the bridge nor our agent has any business with it. */
const TYPED = 'typed-by-the-user-0815';

interface Process {
  pid: number;
  uid: number;
  command: string;
  environment: string;
}

function processes(): Process[] {
  return readdirSync('/proc').filter((name) => /^\d+$/.test(name)).flatMap((name) => {
    try {
      const uid = Number(/^Uid:\s+(\d+)/m.exec(readFileSync(`/proc/${name}/status`, 'latin1'))?.[1]);
      return { pid: Number(name), uid, command: readFileSync(`/proc/${name}/cmdline`, 'latin1').replaceAll('\0', ' '), environment: readFileSync(`/proc/${name}/environ`, 'latin1') };
    } catch {
      return [];
    }
  });
}

/** Tokens that the stack made, from the files that its commands were given. */
async function tokens(stack: Stack): Promise<string[]> {
  const files = [stack.relay, stack.device, stack.bridge].flatMap(({ child }) => child.spawnargs.filter((arg) => /tunnels\.json$|-token$/.test(arg)));
  const texts = await Promise.all(files.map((file) => readFile(file, 'utf8')));
  const found = texts.flatMap((text) => (text.startsWith('[') ? (JSON.parse(text) as { source_token: string; device_token: string }[]).flatMap((each) => [each.source_token, each.device_token]) : [text.trim()]));
  expect(new Set(found).size).toBe(2);
  return [...new Set(found)];
}

function shown(...programs: Program[]): string {
  return programs.map((program) => program.stdout + program.stderr).join('\n');
}

async function work(stack: Stack): Promise<void> {
  const running = startSsh(stack, ['-tt', `echo ready; read x; echo "got $x" # ${TYPED}`], { input: 'open' });
  await waitFor('the session', () => running.stdout.includes('ready'));

  const secrets = [stack.password, WRONG, ...(await tokens(stack))];
  const all = processes();
  const theDevices = all.filter(({ uid }) => uid === stack.account.uid);
  expect(theDevices.length).toBeGreaterThan(1);
  for (const { command } of all) for (const secret of secrets) expect(command).not.toContain(secret);
  for (const { command, environment } of theDevices) {
    // Session secrets are 32 bytes, tags and names of the helpers are hexadecimal too.
    expect(command).not.toMatch(/[0-9a-f]{40}|\bIT=|\b_I=/);
    for (const secret of secrets) expect(environment).not.toContain(secret);
  }
  // What runs in a session inherits nothing of the helper's start.
  for (const { environment } of theDevices.filter(({ command }) => command.includes(TYPED))) expect(environment).not.toMatch(/(^|\0)_I=/);

  running.child.stdin?.write(`${TYPED}\n`);
  running.child.stdin?.end();
  await running.done;
  expect(running.stdout).toContain(`got ${TYPED}`);
  expect((await ssh({ ...stack, password: WRONG }, ['true'])).status).not.toBe(0);
  expect((await ssh({ ...stack, user: 'nobody-here', password: WRONG }, ['true'])).status).not.toBe(0);
}

describe('a whole stack that logs everything', () => {
  it.each([
    ['python', 'json'],
    ['python', 'text'],
    ['sh', 'json'],
    ['raw', 'json'],
  ] as const)('shows no password, token, session secret or typed text (%s tier, %s)', async (tier, format) => {
    const loud = ['--log-level', 'trace', '--log-format', format];
    const stack = await startStack(scope, { tier, relayArgs: loud, deviceArgs: loud, bridgeArgs: loud });
    if (tier === 'raw') {
      const shell = startSsh(stack, [], { input: 'open', options: ['-tt'] });
      await waitFor('a prompt', () => /[$#] $/.test(shell.stdout));
      shell.child.stdin?.write(`echo ${TYPED}\n`);
      await waitFor('an answer', () => shell.stdout.split(TYPED).length > 2);
      await shell.stop();
    } else {
      await work(stack);
    }
    const text = shown(stack.relay, stack.device, stack.bridge);
    // It did log at that level.
    expect(text).toMatch(format === 'json' ? /"level":(10|20)/ : /TRACE|DEBUG/);
    for (const secret of [stack.password, WRONG, TYPED, ...(await tokens(stack))]) {
      expect(text).not.toContain(secret);
      expect(text).not.toContain(Buffer.from(secret).toString('base64').slice(0, -4));
    }
  });
});

describe('a key login', () => {
  it('shows the device’s password nowhere, and hands it and the token to no program that is run for it', async () => {
    const dir = await scope.tempDir('keys');
    await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(dir, 'id')]);
    const seen = join(dir, 'seen');
    const passwordFile = join(dir, 'pw');
    const command = join(dir, 'command');
    await writeFile(command, `#!/bin/sh\nenv > ${seen}\ncat ${passwordFile}\n`);
    await chmod(command, 0o700);
    const stack = await startStack(scope, {
      bridgeArgs: ['--authorized-keys', join(dir, 'id.pub'), '--device-password-command', command, '--log-level', 'trace'],
      bridgeEnv: ({ name, password }) => ({ IOTDA_SSH_DEVICE_USER: name, IOTDA_SSH_DEVICE_PASSWORD: password, IOTDA_SSH_TOKEN: 'token-in-the-environment' }),
    });
    await writeFile(passwordFile, stack.password, { mode: 0o600 });
    // The first of two equal options counts for ssh.
    const keyed = ['-o', 'PubkeyAuthentication=yes', '-i', join(dir, 'id'), '-o', 'IdentitiesOnly=yes', ...sshOptions(stack), '-p', String(stack.port), `${stack.user}@${stack.host}`];
    const result = await run('ssh', [...keyed, 'echo in'], { env: { SSH_AUTH_SOCK: undefined } });
    expect(result.stdout.toString(), result.stderr.toString()).toBe('in\n');
    const environment = await readFile(seen, 'utf8');
    expect(environment).toContain('PATH=');
    expect(environment).not.toContain(stack.password);
    expect(environment).not.toContain('token-in-the-environment');
    expect(shown(stack.bridge)).not.toContain(stack.password);
  });

  it('is not given by a keys file that another user of this machine can write', async () => {
    const dir = await scope.tempDir('keys');
    await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(dir, 'id')]);
    await chmod(join(dir, 'id.pub'), 0o664);
    const args = ['bridge', '--tunnel-uri', 'ws://127.0.0.1:1/x', '--listen', '127.0.0.1:0', '--authorized-keys', join(dir, 'id.pub'), '--device-user', 'root', '--device-password-command', 'true'];
    const result = await run(process.execPath, [IOTDA_SSH, ...args], { env: { IOTDA_SSH_TOKEN: 'x' } });
    expect(result.status).toBe(3);
    expect(result.stderr.toString()).toMatch(/^iotda-ssh: .*id\.pub \(the authorised keys\) can be written by other users .*chmod go-w .*\n$/);
    const privateKey = await run(process.execPath, [IOTDA_SSH, ...args.map((arg) => arg.replace('id.pub', 'id'))], { env: { IOTDA_SSH_TOKEN: 'x' } });
    expect(privateKey.status).toBe(2);
    expect(privateKey.stderr.toString()).toContain('begins a private key');
    const lines = (await readFile(join(dir, 'id'), 'utf8')).split('\n');
    for (const line of lines.slice(1, -2)) expect(privateKey.stderr.toString()).not.toContain(line);
  });
});

describe('a token given as an argument', () => {
  it.each([[['--token', 'argument-token-31337']], [['--token=argument-token-31337']]])('(%s) is warned about, and gone from the list of processes once the program runs', async (args) => {
    const { program } = await startCommand(scope, ['bridge', '--tunnel-uri', 'ws://127.0.0.1:1/x', '--listen', '127.0.0.1:0', ...args], { env: { XDG_STATE_HOME: await scope.tempDir('state') } });
    expect(program.stderr).toContain('every user of this machine can see the token');
    expect(program.stderr).not.toContain('argument-token-31337');
    const command = await readFile(`/proc/${String(program.pid)}/cmdline`, 'latin1');
    expect(command).toContain('bridge');
    expect(command).not.toContain('argument-token-31337');
    expect(processes().filter((each) => each.command.includes('argument-token-31337'))).toEqual([]);
    await program.stop();
  });
});

describe('this machine', () => {
  it('is listened on for itself alone unless the operator says otherwise, and files are for him alone', async () => {
    const dir = await scope.tempDir('own');
    const env = { IOTDA_SSH_TOKEN: 'x', XDG_STATE_HOME: dir };
    const common = ['bridge', '--tunnel-uri', 'ws://127.0.0.1:1/x'];
    for (const address of ['0.0.0.0:0', '[::]:0', '192.0.2.1:0', 'some.name:0']) {
      const refused = await run(process.execPath, [IOTDA_SSH, ...common, '--listen', address], { env });
      expect(refused.status).toBe(2);
      expect(refused.stderr.toString()).toContain('--allow-remote-listen');
    }
    const ready = join(dir, 'ready.json');
    const program = start(scope, process.execPath, [IOTDA_SSH, ...common, '--listen', '127.0.0.1:0', '--ready-file', ready], { env });
    const text = await waitFor('the bridge to be ready', () => readFile(ready, 'utf8').catch(() => undefined));
    const port = (JSON.parse(text) as { port: number }).port.toString(16).toUpperCase().padStart(4, '0');
    const listeners = ['/proc/net/tcp', '/proc/net/tcp6'].flatMap((file) => readFileSync(file, 'latin1').split('\n').filter((line) => line.split(/\s+/)[2]?.endsWith(`:${port}`) === true && line.split(/\s+/)[4] === '0A'));
    expect(listeners.map((line) => line.split(/\s+/)[2])).toEqual([`0100007F:${port}`]);
    expect((await stat(ready)).mode & 0o777).toBe(0o600);
    expect((await stat(join(dir, 'iotda-ssh'))).mode & 0o777).toBe(0o700);
    for (const name of readdirSync(join(dir, 'iotda-ssh'))) expect((await stat(join(dir, 'iotda-ssh', name))).mode & 0o777, name).toBe(0o600);
    await program.stop();
  });

  it('opens no debugger, which would be everybody’s, whatever signal it gets', async () => {
    const dir = await scope.tempDir('signal');
    const ready = join(dir, 'ready.json');
    const program = start(scope, process.execPath, [IOTDA_SSH, 'bridge', '--tunnel-uri', 'ws://127.0.0.1:1/x', '--listen', '127.0.0.1:0', '--ready-file', ready], { env: { IOTDA_SSH_TOKEN: 'x', XDG_STATE_HOME: dir } });
    await waitFor('the bridge to be ready', () => readFile(ready, 'utf8').catch(() => undefined));
    program.child.kill('SIGUSR1');
    program.child.kill('SIGUSR2');
    await waitFor('the state', () => program.stderr.includes('state'));
    // What answers that one has long answered the one before.
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(program.stderr).not.toContain('Debugger');
    await program.stop();
  });
});

describe('the log', () => {
  it.each(['json', 'text'])('has no control character of a peer in it, in any field, key, error or sentence (%s)', async (format) => {
    const module = pathToFileURL(fileURLToPath(new URL('../../../dist/base/log.js', import.meta.url))).href;
    const evil = 'x\\u001b[2J\\u0007\\u009b31m\\u202e\\u2028\\r\\nfake line\\u007f';
    const script = `
      import { createLog } from ${JSON.stringify(module)};
      const log = createLog({ level: 'trace', format: ${JSON.stringify(format)} });
      const evil = "${evil}";
      log.info({ said: evil, deep: { facts: { [evil]: [evil] } } }, evil);
      log.child({ client: evil }).warn({ err: new Error(evil, { cause: new Error(evil) }) }, 'an error');
      log.trace({ password: 'hunter2', token: 'hunter2', deep: { secret: 'hunter2', data: 'hunter2', credential: { a: 'hunter2' }, tunnel_access_token: 'hunter2' }, source_token: 'hunter2' }, 'secrets');
    `;
    const { stderr, status } = await run(process.execPath, ['--input-type=module', '-e', script], { env: { NO_COLOR: undefined } });
    expect(status).toBe(0);
    const text = stderr.toString();
    expect(text).toContain('[2J');
    // Line ends are the log's own: the lines of stacks, which begin with their mark, among them.
    expect(text.replaceAll('\n', '')).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/);
    expect(text).not.toMatch(/^fake line/m);
    expect(text).not.toContain('hunter2');
    if (format === 'json') for (const line of text.trim().split('\n')) expect(JSON.parse(line)).toMatchObject({ level: expect.any(Number) as number });
  });
});
