/** The commands as processes: exit codes, secrets, TLS, keys; what the parts do is tested elsewhere. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { run, start, type Program, type StartOptions } from '../support/program.js';
import { Scope } from '../support/scope.js';
import { ssh } from '../support/ssh.js';
import { IOTDA_SSH, startCommand, startStack, type Stack } from '../support/stack.js';
import { waitFor } from '../support/wait.js';

const scope = new Scope();
afterAll(() => scope.end());

const iotdaSsh = (args: readonly string[], options: StartOptions = {}) => run(process.execPath, [IOTDA_SSH, ...args], options);

async function secretFile(text: string): Promise<string> {
  const path = join(await scope.tempDir(), 'secret');
  await writeFile(path, `${text}\n`, { mode: 0o600 });
  return path;
}

const TUNNEL = { tunnel_id: 't1', device_id: 'd1', source_token: 'source-secret', device_token: 'device-secret' };

async function startRelay(...args: string[]) {
  const tunnels = await secretFile(JSON.stringify([TUNNEL]));
  const { ready } = await startCommand(scope, ['relay', '--listen', '127.0.0.1:0', '--tunnels', tunnels, ...args]);
  return ready;
}

describe('exit codes', () => {
  test.each([
    ['no command', [], 2, /^Usage: iotda-ssh/],
    ['an unknown command', ['brigde'], 2, /unknown command 'brigde'/],
    ['an option that is missing', ['bridge'], 2, /required option '--tunnel-uri/],
    ['a token that is missing', ['bridge', '--tunnel-uri', 'ws://127.0.0.1:1/x'], 2, /the tunnel token is missing/],
    ['a listen address for other machines', ['bridge', '--tunnel-uri', 'ws://127.0.0.1:1/x', '--token', 'x', '--listen', '0.0.0.0:0'], 2, /add --allow-remote-listen/],
    ['a file that does not exist', ['relay', '--listen', ':0', '--tunnels', '/nonexistent/f'], 3, /cannot read the tunnels file from \/nonexistent\/f: it does not exist/],
    ['a device without a target', ['device', '--tunnel-uri', 'ws://127.0.0.1:1/x', '--token', 'x'], 2, /either --sshd HOST:PORT or --local/],
    ['help', ['--help'], 0, /^$/],
    ['the version', ['--version'], 0, /^$/],
  ])('%s', async (_, args, status, stderr) => {
    const result = await iotdaSsh(args);
    expect(result.stderr.toString()).toMatch(stderr);
    expect(result.status).toBe(status);
  });

  test('a token that the platform refuses', async () => {
    const { port } = await startRelay();
    const uri = `ws://127.0.0.1:${port}/v5/iot/tunnels/t1/source-connect`;
    const result = await iotdaSsh(['bridge', '--tunnel-uri', uri, '--token-file', await secretFile('wrong-secret'), '--listen', '127.0.0.1:0'], {
      env: { XDG_STATE_HOME: await scope.tempDir() },
    });
    expect(result.status).toBe(4);
    expect(result.stderr.toString()).toMatch(/^iotda-ssh: .*token/m);
    expect(result.stderr.toString()).not.toContain('wrong-secret');
  });
});

describe('the token', () => {
  /** Reads it from wherever `args` and `options` say; the relay's log tells whether it was the right one. */
  async function connects(args: string[], options: StartOptions): Promise<Program> {
    const { port } = await startRelay();
    const uri = `ws://127.0.0.1:${port}/v5/iot/tunnels/t1/source-connect`;
    const all = [IOTDA_SSH, 'bridge', '--tunnel-uri', uri, '--listen', '127.0.0.1:0', '--log-level', 'debug', ...args];
    const program = start(scope, process.execPath, all, { ...options, env: { ...options.env, XDG_STATE_HOME: await scope.tempDir() } });
    await waitFor('the tunnel to open', () => {
      if (!program.running) throw new Error(program.stderr);
      return program.stderr.includes('tunnel open');
    });
    return program;
  }

  test('comes from standard input', async () => {
    const program = await connects(['--token-file', '-'], { input: 'source-secret\n' });
    expect(program.stderr).not.toContain('source-secret');
  });

  test('comes from the environment', async () => {
    const program = await connects([], { env: { IOTDA_SSH_TOKEN: 'source-secret' } });
    expect(program.stderr).not.toMatch(/source-secret|--token:/);
  });

  test('comes from an argument, with a warning', async () => {
    const program = await connects(['--token', 'source-secret'], {});
    expect(program.stderr).toContain('every user of this machine can see the token');
  });

  test('given as a file outranks one in the environment', async () => {
    await connects(['--token-file', await secretFile('source-secret')], { env: { IOTDA_SSH_TOKEN: 'another' } });
  });

  test('that is empty names the variable it came from', async () => {
    const result = await iotdaSsh(['bridge', '--tunnel-uri', 'ws://127.0.0.1:1/x'], { env: { IOTDA_SSH_TOKEN: '' } });
    expect(result.status).toBe(3);
    expect(result.stderr.toString()).toBe('iotda-ssh: the tunnel token is empty: IOTDA_SSH_TOKEN holds nothing.\n');
  });

  test('given twice is a contradiction', async () => {
    const result = await iotdaSsh(['bridge', '--tunnel-uri', 'ws://127.0.0.1:1/x', '--token', 'x', '--token-file', '-']);
    expect(result.status).toBe(2);
    expect(result.stderr.toString()).toContain('the token is given twice');
  });
});

describe('TLS', () => {
  let dir: string;
  let port: number;

  beforeAll(async () => {
    dir = await scope.tempDir('tls');
    const subject = ['-subj', '/CN=relay', '-addext', 'subjectAltName=IP:127.0.0.1'];
    const made = await run('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', ...subject, '-keyout', join(dir, 'key'), '-out', join(dir, 'cert')]);
    if (made.status !== 0) throw new Error(made.stderr.toString());
    ({ port } = await startRelay('--tls-cert', join(dir, 'cert'), '--tls-key', join(dir, 'key')));
  });

  async function bridge(...args: string[]): Promise<Program> {
    const uri = `wss://127.0.0.1:${port}/v5/iot/tunnels/t1/source-connect`;
    const all = [IOTDA_SSH, 'bridge', '--tunnel-uri', uri, '--listen', '127.0.0.1:0', '--log-level', 'debug', ...args];
    return start(scope, process.execPath, all, { env: { IOTDA_SSH_TOKEN: 'source-secret', XDG_STATE_HOME: await scope.tempDir() } });
  }

  test('is trusted by a CA of the operator’s', async () => {
    const program = await bridge('--ca', join(dir, 'cert'));
    await waitFor('the tunnel to open', () => program.stderr.includes('tunnel open'));
  });

  test('is not trusted otherwise', async () => {
    const program = await bridge();
    await waitFor('the complaint', () => /certificate/.test(program.stderr));
    expect(program.stderr).not.toContain('tunnel open');
  });

  test('is trusted blindly with --insecure, and it says so', async () => {
    const program = await bridge('--insecure');
    await waitFor('the tunnel to open', () => program.stderr.includes('tunnel open'));
    expect(program.stderr).toContain('certificates are not checked');
  });
});

describe('a stack of four processes', () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await startStack(scope);
  });

  test('runs a command on the device as its sshd does', async () => {
    const command = ['id -un; pwd; echo "$SHELL $HOME $USER $LOGNAME"; echo err >&2; exit 9'];
    const [ours, direct] = [await ssh(stack, command), await ssh(stack.direct, command)];
    expect(ours).toEqual(direct);
    expect(ours.status).toBe(9);
  });

  test('refuses a wrong password', async () => {
    const result = await ssh({ ...stack, password: 'wrong' }, ['true']);
    expect(result.status).not.toBe(0);
    expect(result.stdout.toString()).toBe('');
  });

  test('goes on when the device agent was restarted', async () => {
    await stack.device.stop();
    stack.restartDevice();
    const result = await waitFor('a login after the restart', async () => {
      const attempt = await ssh(stack, ['echo back']);
      return attempt.status === 0 && attempt;
    }, 60_000);
    expect(result.stdout.toString()).toBe('back\n');
  });
});
