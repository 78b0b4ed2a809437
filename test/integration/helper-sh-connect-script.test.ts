/** What the sh tier runs on the device for a connection, by each shell and through each tool. */
import { spawn } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { connectScript } from '../../src/helper/sh/connect.js';
import { CONNECTED } from '../../src/helper/sh/wire.js';
import { waitFor } from '../support/wait.js';

const MARK = String.fromCharCode(CONNECTED);
const SHELLS = { dash: ['/usr/bin/dash'], bash: ['/bin/bash', '--posix', '--norc'], mksh: ['/usr/bin/mksh'], ash: ['/usr/bin/busybox', 'ash'] } as const;
const TOOLS = { socat: { socat: '/usr/bin/socat' }, 'busybox nc': { busybox: '/usr/bin/busybox' }, 'nc -N': { nc: '/bin/nc.openbsd' } } as const;
type Shell = keyof typeof SHELLS;
type Tool = keyof typeof TOOLS;
const NAMES = Object.keys(TOOLS) as Tool[];
const EACH = (Object.keys(SHELLS) as Shell[]).flatMap((shell) => NAMES.map((tool) => [shell, tool] as const));
/** What the script needs beside the tool; the rest of BusyBox is not there. */
const APPLETS = ['cat', 'ls', 'sleep', 'mkfifo', 'mv', 'grep', 'printf'];

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0).reverse()) cleanup();
});

/** Programs of a device that a test makes up. */
type Made = Readonly<Record<string, string>>;
/** Tells the addresses of any name, as getent does. */
const getent = (...addresses: readonly string[]): Made => ({
  getent: `[ "$1" = ahosts ]||exit 1\n${addresses.map((each) => `echo '${each}       STREAM x.test'\necho '${each}       DGRAM  '\n`).join('')}`,
});
const SERVER_ASKED = 'Server:\\t\\t192.0.2.53\\nAddress:\\t192.0.2.53:53\\n\\n';

interface Started {
  out: string;
  err: string;
  status: number | undefined;
  write(text: string): void;
  end(): void;
}

function start(shell: Shell, tool: Tool, host: string, port: number, made: Made = {}, without: readonly string[] = []): Started {
  const root = mkdtempSync(join(tmpdir(), 'shconnect-'));
  cleanups.push(() => { rmSync(root, { recursive: true, force: true }); });
  const [bin, channel] = [join(root, 'bin'), join(root, '1')];
  for (const dir of [bin, channel]) mkdirSync(dir);
  for (const applet of APPLETS) if (!without.includes(applet)) symlinkSync('/usr/bin/busybox', join(bin, applet));
  for (const [name, target] of Object.entries(TOOLS[tool])) symlinkSync(target, join(bin, name));
  for (const [name, text] of Object.entries(made)) {
    writeFileSync(join(bin, name), `#!/bin/sh\n${text}`);
    chmodSync(join(bin, name), 0o755);
  }
  writeFileSync(join(channel, 'c'), connectScript({ tool, host, port }, false));
  const [program, ...words] = SHELLS[shell];
  const child = spawn(program, [...words, '-c', '. ./c'], { cwd: channel, env: { PATH: bin }, detached: true });
  cleanups.push(() => {
    if (child.exitCode === null && child.signalCode === null) process.kill(-(child.pid ?? 0), 'SIGKILL');
  });
  const started: Started = {
    out: '',
    err: '',
    status: undefined,
    write: (text) => { child.stdin.write(text); },
    end: () => { child.stdin.end(); },
  };
  child.stdin.on('error', () => undefined);
  child.stdout.on('data', (bytes: Buffer) => { started.out += bytes.toString('latin1'); });
  child.stderr.on('data', (bytes: Buffer) => { started.err += bytes.toString('latin1'); });
  child.on('close', (status) => { started.status = status ?? -1; });
  return started;
}

/** A server that answers the end of what it was told with the whole of it. */
async function echo(host = '127.0.0.1'): Promise<number> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    let text = '';
    socket.on('error', () => undefined);
    socket.on('data', (bytes) => { text += bytes.toString('latin1'); });
    socket.on('end', () => socket.end(`heard ${text}`));
  });
  return listening(server, host);
}

async function listening(server: Server, host: string): Promise<number> {
  cleanups.push(() => { server.close(); });
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  return (server.address() as AddressInfo).port;
}

/** A port that nobody listens on. */
async function closedPort(): Promise<number> {
  const server = createServer();
  const port = await listening(server, '127.0.0.1');
  await new Promise((resolve) => server.close(resolve));
  return port;
}

const marked = async (started: Started): Promise<unknown> => {
  await waitFor('the mark, or an end', () => started.err !== '' || started.status !== undefined);
  return expect(started.err).toBe(MARK);
};
const over = (started: Started): Promise<unknown> => waitFor('the end', () => started.status !== undefined);

/** All was said. (Where the client ends at once, the connection may have ended before it was seen to stand.) */
async function stood(started: Started, out: string): Promise<void> {
  await over(started);
  expect([started.out, started.err.replace(MARK, ''), started.status]).toEqual([out, '', 0]);
}

describe.each(EACH)('a connection by %s through %s', (shell, tool) => {
  it('is told once it stands, before either side has said a word, and passes all of both', async () => {
    const run = start(shell, tool, '127.0.0.1', await echo());
    await marked(run);
    run.write('one ');
    run.write('two');
    run.end();
    await over(run);
    expect([run.out, run.err, run.status]).toEqual(['heard one two', MARK, 0]);
  });

  it('is refused in sshd’s words, and never told as connected', async () => {
    const run = start(shell, tool, '127.0.0.1', await closedPort());
    run.write('early');
    run.end();
    await over(run);
    expect([run.out, run.status === 0]).toEqual(['', false]);
    expect(run.err).toMatch(/: Connection refused\n$/);
    expect(run.err).not.toContain(MARK);
  });

  it('goes to the first address of a name that takes it, with all that the client says, once', async () => {
    const run = start(shell, tool, 'x.test', await echo(), getent('127.0.0.2', '127.0.0.3', '127.0.0.1', '127.0.0.4'));
    // Sooner than any client may: it has to be there for the address that answers.
    run.write('early');
    run.end();
    await stood(run, 'heard early');
  });
});

describe('a name with several addresses', () => {
  it.each(NAMES)('is refused after the last one (%s)', async (tool) => {
    const run = start('ash', tool, 'x.test', await closedPort(), getent('127.0.0.2', '127.0.0.1'));
    await over(run);
    expect(run.status).not.toBe(0);
    expect(run.err).toMatch(/127\.0\.0\.1.*: Connection refused\n$/);
  });

  it.each(NAMES)('may have some of IPv6 (%s)', async (tool) => {
    const run = start('ash', tool, 'x.test', await echo('::1'), getent('127.0.0.1', '::1'));
    run.end();
    await stood(run, 'heard ');
  });

  it.each([
    ['a numbered list', `${SERVER_ASKED}Name:      x.test\\nAddress 1: 127.0.0.2 x.test\\nAddress 2: 127.0.0.1 x.test\\n`],
    ['an answer for each family', `${SERVER_ASKED}Name:\\tx.test\\nAddress: 127.0.0.2\\n\\nName:\\tx.test\\nAddress: 127.0.0.1\\n`],
  ])('is found by nslookup where there is no getent (%s)', async (_, answer) => {
    const run = start('ash', 'busybox nc', 'x.test', await echo(), { nslookup: `printf '${answer}'` });
    run.end();
    await stood(run, 'heard ');
  });

  it('is not looked for elsewhere when getent knows that there is none', async () => {
    const run = start('ash', 'socat', 'x.test', 1, { getent: 'exit 2', nslookup: `printf '${SERVER_ASKED}Name: x.test\\nAddress: 127.0.0.1\\n'` });
    await over(run);
    expect(run.err).toMatch(/: (?:Name or service not known|Temporary failure in name resolution)\n$/);
  });

  it.each(NAMES)('is told to the tool as it is where nothing else knows it (%s)', async (tool) => {
    const run = start('ash', tool, 'localhost', await echo(), {}, ['grep']);
    run.end();
    await stood(run, 'heard ');
  });
});

it.each(NAMES)('an end and a reset by the server are of a connection that stood (%s)', async (tool) => {
  for (const end of [(socket: Socket) => socket.end('last words'), (socket: Socket) => socket.resetAndDestroy()]) {
    const sockets: Socket[] = [];
    const port = await listening(createServer((socket) => {
      socket.on('error', () => undefined);
      sockets.push(socket);
    }), '127.0.0.1');
    const run = start('dash', tool, 'x.test', port, getent('127.0.0.1', '127.0.0.1', '127.0.0.2'));
    await marked(run);
    for (const socket of sockets) end(socket);
    run.end();
    await over(run);
    expect([sockets.length, run.err.startsWith(MARK)]).toEqual([1, true]);
  }
});

it.each(EACH)('a connection is guessed, and a refusal still is one, where nothing can be seen (%s, %s)', async (shell, tool) => {
  const run = start(shell, tool, '127.0.0.1', await echo(), {}, ['ls']);
  await marked(run);
  run.end();
  const refused = start(shell, tool, '127.0.0.1', await closedPort(), {}, ['ls']);
  await stood(run, 'heard ');
  await over(refused);
  expect(refused.err).toMatch(/: Connection refused\n$/);
});
