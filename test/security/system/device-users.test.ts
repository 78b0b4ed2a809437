/** Other users of the device, and other programs of the same user: what they reach of a session that runs there. */
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { chmod, rm, stat, writeFile } from 'node:fs/promises';
import { createHash, randomBytes } from 'node:crypto';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { programLines } from '../../../src/helper/sh/program.js';
import { run } from '../../support/program.js';
import { Scope } from '../../support/scope.js';
import { ssh, startSsh } from '../../support/ssh.js';
import { startStack, type Stack } from '../../support/stack.js';
import { waitFor } from '../../support/wait.js';

const scope = new Scope();
afterAll(() => scope.end());

/** As nobody, who is one of the device's other users. */
const NOBODY = 65_534;

/** Runs Python on the device as `uid` with the standard library's sockets; resolves with what it printed. */
async function python(uid: number, code: string, ...args: string[]): Promise<string> {
  const script = join(await scope.tempDir('attack'), 'attack.py');
  await writeFile(script, `import os, socket, sys, time\nos.setgroups([])\nos.setgid(${String(uid)})\nos.setuid(${String(uid)})\n${code}`);
  const { stdout, stderr, status } = await run('/usr/bin/python3', [script, ...args]);
  expect(status, stderr.toString()).toBe(0);
  return stdout.toString();
}

/** Abstract Unix sockets that a helper listens on, as everybody on the device sees them. */
function rendezvous(): string[] {
  return [...readFileSync('/proc/net/unix', 'latin1').matchAll(/@(iotda-ssh-[0-9a-f]{32})/g)].map(([, name = '']) => name);
}

function processesOf(uid: number): { pid: string; command: string }[] {
  return readdirSync('/proc').filter((name) => /^\d+$/.test(name)).flatMap((pid) => {
    try {
      const found = Number(/^Uid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1]);
      return found === uid ? [{ pid, command: readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', ' ') }] : [];
    } catch {
      return [];
    }
  });
}

/** Connects as often as asked, sends what is asked, and tells what came back before the end. */
const KNOCK = `
name, count, text, wait = '\\0' + sys.argv[1], int(sys.argv[2]), bytes.fromhex(sys.argv[3]), float(sys.argv[4])
socks, got, refused = [], b'', 0
for _ in range(count):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(wait)
    try:
        s.connect(name)
        socks.append(s)
    except OSError: refused += 1
    try: s.sendall(text)
    except OSError: pass
ended = 0
for s in socks:
    try:
        data = s.recv(1000)
        got += data
        ended += not data
    except socket.timeout: pass
    except OSError: ended += 1
print(len(socks), ended, len(got))
`;

describe('the python helper’s rendezvous', () => {
  let stack: Stack;
  let name: string;
  beforeAll(async () => {
    const before = rendezvous();
    stack = await startStack(scope, { tier: 'python' });
    expect((await ssh(stack, ['true'])).status).toBe(0);
    name = rendezvous().find((each) => !before.includes(each)) ?? '';
    expect(name).not.toBe('');
  });

  it('is closed to other users, whatever they send', async () => {
    for (const text of ['', randomBytes(32).toString('hex')]) {
      const [connected, ended, bytes] = (await python(NOBODY, KNOCK, name, '30', text, '5')).split(' ').map(Number);
      expect([ended, bytes]).toEqual([connected, 0]);
    }
    expect((await ssh(stack, ['echo on'])).stdout.toString()).toBe('on\n');
  });

  it('is closed to the same user without the proof: wrong, short, long or of the wrong kind', async () => {
    const word = (text: string): string => createHash('sha256').update(text).digest('hex');
    const texts = [word('front'), '00'.repeat(32), '00'.repeat(31), `${word('x')}${'3a41413b'.repeat(20)}`, Buffer.from(':AAAA;').toString('hex')];
    const answers = await Promise.all(texts.map((text) => python(stack.account.uid, KNOCK, name, '1', text, '20')));
    // Connected, ended by the helper, not a byte from it.
    expect(answers).toEqual(texts.map(() => '1 1 0\n'));
    expect((await ssh(stack, ['echo on'])).stdout.toString()).toBe('on\n');
  });

  it('gives up on those who say nothing, and keeps serving while they are there', async () => {
    const silent = python(stack.account.uid, KNOCK, name, '40', '', '20');
    expect((await ssh(stack, ['echo on'])).stdout.toString()).toBe('on\n');
    const [connected = 0, ended, bytes] = (await silent).split(' ').map(Number);
    expect(connected).toBeGreaterThan(0);
    expect([ended, bytes]).toEqual([connected, 0]);
    expect((await ssh(stack, ['echo on'])).stdout.toString()).toBe('on\n');
  });

  it('leaves no file, and no descriptor of it to the programs of a session', async () => {
    const { stdout } = await ssh(stack, ['ls -l /proc/self/fd; ls -a /tmp /var/tmp ~ 2>/dev/null | grep iotda-ssh-[0-9a-f] || true']);
    expect(stdout.toString()).not.toMatch(/iotda-ssh-[0-9a-f]{32}/);
    // Standard streams and the folder that ls reads, nothing of the helper.
    const sockets = stdout.toString().split('\n').filter((line) => line.includes('socket:'));
    expect(sockets).toEqual([]);
  });

  it('and everything else goes on when others write to the terminal in mid-transfer', async () => {
    const tty = processesOf(stack.account.uid).flatMap(({ pid, command }) => {
      try {
        return command.startsWith('/bin/sh -c unset TMOUT;stty raw') ? [readlinkSync(`/proc/${pid}/fd/0`)] : [];
      } catch {
        return [];
      }
    })[0];
    expect(tty).toMatch(/^\/dev\/pts\/\d+$/);
    let over = false;
    let written = 0;
    // What write, wall and a program left behind on the terminal could print; every character they may use.
    const lines = ['\r\nMessage from mallory@device on pts/9 at 12:00 ...\r\n', ':AAAAAAAA;', ';:', ';;;;', ':'.repeat(50), '@GONE@ @NOPY@ @NAK@', `:${randomBytes(60).toString('base64')};`, 'x'.repeat(3_000)];
    const noise = (async () => {
      for (let at = 0; !over; at += 1) {
        await writeFile(tty ?? '', lines[at % lines.length] ?? '', { flag: 'r+' });
        written += 1;
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    })();
    const size = 3_000_000;
    const bytes = randomBytes(size);
    const { stdout, status } = await ssh(stack, ['cat'], { input: bytes, timeoutMs: 90_000 });
    over = true;
    await noise;
    expect(status).toBe(0);
    expect(written).toBeGreaterThan(10);
    expect(createHash('sha256').update(stdout).digest('hex')).toBe(createHash('sha256').update(bytes).digest('hex'));
  });
});

describe('a forwarded agent', () => {
  it.each(['python', 'sh'] as const)('is reached by the user alone: a folder of 0700, a socket of 0600 (%s tier)', async (tier) => {
    const stack = await startStack(scope, { tier });
    const folder = await scope.tempDir('agent');
    const agent = join(folder, 'agent');
    const { stdout } = await run('ssh-agent', ['-a', agent, '-s']);
    scope.add(() => run('kill', [/SSH_AGENT_PID=(\d+)/.exec(stdout.toString())?.[1] ?? '']));
    await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(folder, 'id')]);
    await run('ssh-add', [join(folder, 'id')], { env: { SSH_AUTH_SOCK: agent } });
    const session = startSsh(stack, ['echo $SSH_AUTH_SOCK; ssh-add -l; read x'], { input: 'open', options: ['-A', '-o', `IdentityAgent=${agent}`] });
    await waitFor('the agent’s keys', () => session.stdout.includes('ED25519'));
    const path = session.stdout.split('\n')[0] ?? '';
    expect(path).toMatch(/^\/tmp\/ssh-[0-9a-f]{16}\/agent\.\d+$/);
    const [socket, parent] = [await stat(path), await stat(dirname(path))];
    expect([socket.mode & 0o777, socket.uid, parent.mode & 0o777, parent.uid]).toEqual([0o600, stack.account.uid, 0o700, stack.account.uid]);
    const attack = 's = socket.socket(socket.AF_UNIX)\ntry:\n    s.connect(sys.argv[1])\n    print("in")\nexcept PermissionError: print("out")';
    expect(await python(NOBODY, attack, path)).toBe('out\n');
    session.child.stdin?.end('\n');
    await session.done;
    // It is gone with the connection.
    await waitFor('the socket to go', async () => (await stat(path).catch(() => undefined)) === undefined);
  });
});

describe('the sh helper', () => {
  it('keeps its files where only the user can go, and takes no orders from anybody’s text', async () => {
    const stack = await startStack(scope, { tier: 'sh' });
    const session = startSsh(stack, ['echo ready; read x; echo "got $x"'], { input: 'open' });
    await waitFor('the session', () => session.stdout.includes('ready'));
    const folder = processesOf(stack.account.uid).flatMap(({ command }) => / (\/\S*\/\.iotda-[0-9a-f]{18})\//.exec(command)?.[1] ?? [])[0] ?? '';
    expect(folder).not.toBe('');
    const found = await stat(folder);
    expect([found.mode & 0o777, found.uid]).toEqual([0o700, stack.account.uid]);
    const attack = 'try:\n    os.listdir(sys.argv[1])\n    print("in")\nexcept PermissionError: print("out")';
    expect(await python(NOBODY, attack, folder)).toBe('out\n');
    const tty = processesOf(stack.account.uid).flatMap(({ pid, command }) => (command.startsWith('/bin/sh -c unset TMOUT;stty raw') ? [readlinkSync(`/proc/${pid}/fd/0`)] : []))[0] ?? '';
    for (const text of [':s000000000000 x 1 0\n0 0 0 0 1;', ':s000000000000 b 0 0;', ';', '\r\nwall: :;\r\n']) await writeFile(tty, text, { flag: 'r+' });
    session.child.stdin?.end('mine\n');
    const { status, stdout } = await session.done;
    expect([status, stdout.toString()]).toEqual([0, 'ready\ngot mine\n']);
  });

  it('runs nothing that another user has put where its files were, or where it looks for them', async () => {
    const stack = await startStack(scope, { tier: 'sh' });
    const mark = join(await scope.tempDir('mark'), 'run');
    await chmod(dirname(mark), 0o777);
    const plant = `
place, mark = sys.argv[1:]
os.mkdir(place)
os.chmod(place, 0o755)
for name in 'hfk':
    with open(place + '/' + name, 'w') as f: f.write('echo run >%s\\n' % mark)
print(os.getuid())
`;

    // What a reboot leaves of it: no process and no file, but a name that everybody has seen.
    const session = startSsh(stack, ['echo ready; sleep 1000']);
    await waitFor('the session', () => session.stdout.includes('ready'));
    const folder = processesOf(stack.account.uid).flatMap(({ command }) => / (\/\S*\/\.iotda-[0-9a-f]{18})\//.exec(command)?.[1] ?? [])[0] ?? '';
    expect(folder).not.toBe('');
    const ended = processesOf(stack.account.uid).filter(({ command }) => command.includes('.iotda-'));
    for (const { pid } of ended) process.kill(Number(pid), 'SIGKILL');
    await rm(folder, { recursive: true });
    scope.add(() => rm(folder, { recursive: true, force: true }));
    expect(await python(NOBODY, plant, folder, mark)).toBe(`${String(NOBODY)}\n`);
    const logins = processesOf(stack.account.uid).filter(({ command }) => command.startsWith('/bin/sh -c unset TMOUT;stty raw') || command.startsWith('-bash'));
    expect(logins.length).toBeGreaterThan(0);
    for (const { pid } of logins) process.kill(Number(pid), 'SIGKILL');
    const { status, stderr } = await session.done;
    expect([status, stderr.toString()]).toEqual([255, expect.stringContaining('The helper is gone from the device')]);
    expect(existsSync(mark)).toBe(false);

    // A first start that is made once more.
    const name = '.iotda-0123456789abcdef01';
    const script = join(dirname(mark), 'start');
    await writeFile(script, `${programLines({ tag: 's0123456789ab', name, graceSeconds: 10, stateDir: '' }).join('\n')}\n`);
    const [first = '', ...elsewhere] = ['/dev/shm', '/tmp', '/var/tmp'].map((place) => `${place}/${name}`);
    for (const place of [first, ...elsewhere]) scope.add(() => rm(place, { recursive: true, force: true }));
    await python(NOBODY, plant, first, mark);
    await python(stack.account.uid, 'os.environ.pop("XDG_RUNTIME_DIR", None)\nos.execvp("sh", ["sh", sys.argv[1]])', script);
    const made = await waitFor('the folder of the user’s own', () => Promise.any(elsewhere.map((place) => stat(place))).catch(() => undefined));
    expect([made.mode & 0o777, made.uid]).toEqual([0o700, stack.account.uid]);
    expect(existsSync(mark)).toBe(false);
  });
});

describe('a file that others may read', () => {
  it('is what scp and redirections make of it, not what the helper does: its umask is the user’s', async () => {
    const stack = await startStack(scope, { tier: 'python', files: { '.profile': 'umask 027\n' } });
    // A command has sshd's umask, a login shell what the user's start-up files make of it.
    const command = await ssh(stack, ['umask; : > made; stat -c %a made']);
    expect(command.stdout.toString()).toBe('0022\n644\n');
    const login = await ssh(stack, ["bash -lc 'umask; : > made2; stat -c %a made2'"]);
    expect(login.stdout.toString()).toBe('0027\n640\n');
    await chmod(stack.account.home, 0o700);
  });
});
