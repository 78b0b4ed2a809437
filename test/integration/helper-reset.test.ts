import { deflateSync } from 'node:zlib';
import { afterAll, describe, expect, it } from 'vitest';
import { bootLine, END_WATCH } from '../../src/helper/boot.js';
import { guardProgram, helperText } from '../../src/helper/python/program.js';
import { source } from '../../src/helper/sh/program.js';
import { run } from '../support/program.js';
import { Scope } from '../support/scope.js';
import { startSsh, ssh, type Target } from '../support/ssh.js';
import { startSshd } from '../support/sshd.js';
import { startStack } from '../support/stack.js';
import { throwawayUser } from '../support/user.js';
import { waitFor } from '../support/wait.js';

const scope = new Scope();
afterAll(() => scope.end());

/** What the client of an idle login says when this statement of the helper's text has run on the device. */
async function saidAfter(target: Target, statement: string): Promise<string> {
  const login = startSsh(target, ['echo leader $$.; exec sleep 60'], { options: ['-tt'], input: 'open' });
  const leader = await waitFor('the login', async () => /leader (\d+)\./.exec(login.stdout)?.[1]);
  const code = `P = {'secret': '00' * 32, 'grace': 60}\n${helperText()}\nimport time\nLEADER = ${leader}\n${statement}\n`;
  const done = await ssh(target, ['python3', '-'], { input: code });
  expect(done.stderr.toString()).toBe('');
  const { status } = await login.done;
  expect(status).toBe(255);
  return login.stderr;
}

describe('the end of a login whose agent hangs', () => {
  it('resets the connection, though the SSH server had read all that there was', async () => {
    const account = await throwawayUser(scope);
    const sshd = await startSshd(scope, { users: [account.name] });
    const target: Target = { ...sshd, user: account.name, password: account.password };
    expect(await saidAfter(target, 'reset(server_of(LEADER), LEADER)')).toMatch(/reset by peer|Broken pipe/);
    // The mere end is none, which is why that is not enough.
    expect(await saidAfter(target, 'os.kill(server_of(LEADER), signal.SIGKILL)')).toContain('closed by remote host');
  });

  it('ends a login that never came to a shell, and no other', async () => {
    const account = await throwawayUser(scope);
    const sshd = await startSshd(scope, { users: [account.name] });
    const target: Target = { ...sshd, user: account.name, password: account.password };
    const old = startSsh(target, ['echo up; exec sleep 60'], { input: 'open' });
    await waitFor('the login', () => old.stdout === 'up\n');
    // Authenticated, and nothing after that.
    const bare = startSsh(target, [], { options: ['-N'] });
    // It waits a second so that whatever it finds is older than half of one.
    const listed = async (seconds: number): Promise<string> => {
      const code = `P = {'secret': '00' * 32, 'grace': 60}\n${helperText()}\nLOGIN_TIME = 0\nimport time\ntime.sleep(1)\nprint([process(p)[0] for p in unborn(${seconds})])\n`;
      return (await ssh(target, ['python3', '-'], { input: code })).stdout.toString();
    };
    await waitFor('the second login', async () => (await listed(60)) === "[b'sshd']\n");
    expect(await listed(0.5)).toBe('[]\n');
    await bare.stop();
    expect(await listed(60)).toBe('[]\n');
    // Nor one that serves files without a process of its own.
    const files = startSsh(target, ['sftp'], { options: ['-s'], input: 'open' });
    await waitFor('the SFTP server', async () => (await run('pgrep', ['-f', `^sshd: ${account.name}@internal-sftp`])).status === 0);
    expect(await listed(60)).toBe('[]\n');
    await files.stop();
    expect(old.running).toBe(true);
    await old.stop();
    // Not the server itself, which has no child now and is root's, as we are.
    const code = `P = {'secret': '00' * 32, 'grace': 60}\n${helperText()}\nLOGIN_TIME = 0\nprint(list(unborn(1e9)))\n`;
    const found = JSON.parse((await run('python3', ['-'], { input: code })).stdout.toString()) as number[];
    expect(found).not.toContain(sshd.program.pid);
  });

  it('ends a login that came no further than its boot sh, and none that has a front', async () => {
    const account = await throwawayUser(scope);
    const sshd = await startSshd(scope, { users: [account.name] });
    const target: Target = { ...sshd, user: account.name, password: account.password };
    // A front holds a socket, stage 1 does not.
    const login = async (command: string): Promise<ReturnType<typeof startSsh>> => {
      const program = startSsh(target, [`sh -c 'stty raw -echo 2>/dev/null;w=b1;echo 1;${command};:'`], { options: ['-tt'], input: 'open' });
      await waitFor('the login', () => program.stdout.includes('1'));
      return program;
    };
    const code = `P = {'secret': '00' * 32, 'grace': 60}\n${helperText()}\nLOGIN_TIME = 0\nimport time\ntime.sleep(1)\nprint(len(set(booting(60))), len(set(booting(.5))))\n`;
    const found = async (): Promise<string> => (await ssh(target, ['python3', '-'], { input: code })).stdout.toString();
    const programs = [await login('python3 -c "import time,socket;s=socket.socket();time.sleep(60);#a2b_base64"')];
    // The sh tier's front, behind the subshell that loaded it, and what a look-out for output leaves beside stage 1.
    programs.push(await login('(setsid sh -c "sleep 60;:")'));
    expect(await found()).toBe('0 0\n');
    programs.push(await login('python3 -c "import time;time.sleep(60);#a2b_base64"'));
    expect(await found()).toBe('1 0\n');
    programs.push(await login('(sleep 60)& sleep 60'));
    expect(await found()).toBe('2 0\n');
    for (const program of programs) await program.stop();
  });

  it.each(['dash', 'bash', 'mksh', 'busybox ash'])('ends on the sh tier what python would end (%s)', async (shell) => {
    const account = await throwawayUser(scope);
    const sshd = await startSshd(scope, { users: [account.name] });
    const target: Target = { ...sshd, user: account.name, password: account.password };
    const look = /^Ihung\(\) \{\n.*?^\}\n/ms.exec(source('janitor'))?.[0];
    const seconds = async (): Promise<number> => Math.floor(Number((await run('cat', ['/proc/uptime'])).stdout.toString().split('.')[0]));
    /** What it would end of the logins that began at `since` or later, by how. */
    const input = (since: number): string =>
      `kill() { echo "kill $2 $(tr -d '\\0' </proc/$2/cmdline)."; }\nIreset() { echo "reset $# $(tr -d '\\0' </proc/$1/cmdline)."; }\nIj=${since}\n${look ?? ''}\nIhung`;
    const ended = async (since: number): Promise<string> => {
      const { stdout } = await ssh(target, [`exec ${shell} -s 2>/dev/null`], { input: input(since) });
      // In the order of the numbers of the processes, which may begin anew.
      return stdout.toString().replaceAll(account.name, 'USER').replace(/pts.\d+ */, 'PTS').replace(/^kill \d+ (.*?) *\.$/m, 'kill $1.').split('\n').sort().join(' ').trim();
    };
    const login = async (command: string): Promise<ReturnType<typeof startSsh>> => {
      const program = startSsh(target, [`sh -c 'stty raw -echo 2>/dev/null;w=b1;echo 1;${command};:'; :`], { options: ['-tt'], input: 'open' });
      await waitFor('the login', () => program.stdout.includes('1'));
      return program;
    };
    const programs = [startSsh(target, [], { options: ['-N'] })];
    const named = async (words: string): Promise<boolean> => (await run('pgrep', ['-u', account.name, '-f', words])).status === 0;
    await waitFor('the first login', async () => await named(`^sshd: ${account.name} *$`));
    // One is at least a second older than the rest; all have to be older than five.
    const start = await seconds();
    await waitFor('the next second', async () => (await seconds()) > start);
    programs.push(startSsh(target, ['sftp'], { options: ['-s'], input: 'open' }));
    await waitFor('the SFTP server', async () => await named(`^sshd: ${account.name}@internal-sftp`));
    programs.push(await login('(setsid sh -c "sleep 60;:")'));
    programs.push(await login('read x'));
    const last = await seconds();
    await waitFor('the age', async () => (await seconds()) > last + 6, 20_000);
    expect(await ended(start + 1)).toBe('reset 6 sshd: USER@PTS.');
    expect(await ended(0)).toBe('kill sshd: USER. reset 6 sshd: USER@PTS.');
    expect(await ended(last + 1)).toBe('');
    for (const program of programs) await program.stop();
    // Not the server itself, which has no child now and is root's, as we are.
    await waitFor('the end of the logins', async () => (await run('pgrep', ['-P', String(sshd.program.pid)])).status === 1);
    const [word = '', ...args] = shell.split(' ');
    expect((await run(word, [...args, '-s'], { input: input(0) })).stdout.toString()).not.toContain(`kill ${sshd.program.pid} `);
  });

  it('touches no process but an SSH server of the same user', async () => {
    const account = await throwawayUser(scope);
    const sshd = await startSshd(scope, { users: [account.name] });
    const target: Target = { ...sshd, user: account.name, password: account.password };
    const code = `P = {'secret': '00' * 32, 'grace': 60}\n${helperText()}\nprint(server_of(1), server_of(os.getppid()), server_of(99999999))\n`;
    expect((await run('python3', ['-'], { input: code })).stdout.toString()).toBe('0 0 0\n');
    expect((await ssh(target, ['python3', '-'], { input: code })).stdout.toString()).toBe('0 0 0\n');
  });
});

describe('the watch of the boot sh', () => {
  const WORD = 'b0123456789abcdef';

  /** A login in which the boot line has been typed, with a watch that waits a second. */
  const boot = async (shell: string) => {
    const account = await throwawayUser(scope);
    const sshd = await startSshd(scope, { users: [account.name] });
    const login = startSsh({ ...sshd, user: account.name, password: account.password }, [], { options: ['-tt'], input: 'open' });
    scope.add(() => login.stop());
    const line = bootLine(WORD, { watch: true });
    // What BusyBox's line editor takes.
    expect(line.length).toBeLessThan(1_000);
    login.child.stdin?.write(`${line.replace('/bin/sh', shell).replace('sleep 20', 'sleep 1')}\r`);
    await waitFor('the boot sh', () => login.stdout.includes(`@${WORD},`));
    const left = async (): Promise<string> => (await run('pgrep', ['-u', account.name, 'sleep'])).stdout.toString();
    return { login, left };
  };

  it.each(['dash', 'bash', 'mksh', 'busybox ash'])('resets the connection of a login in which nothing starts (%s)', async (shell) => {
    const { login } = await boot(shell);
    const { status, stderr } = await login.done;
    expect({ status, said: /reset by peer|Broken pipe/.test(stderr.toString()) }).toEqual({ status: 255, said: true });
  });

  it.each(['dash', 'busybox ash'])('ends with what starts a helper, and leaves nothing (%s)', async (shell) => {
    const { login, left } = await boot(shell);
    expect(await left()).not.toBe('');
    login.child.stdin?.write(`\n ${WORD} ${END_WATCH}echo started\n`);
    await waitFor('the command line', () => login.stdout.includes('started'));
    await waitFor('the end of the watch', async () => (await left()) === '');
    login.child.stdin?.write(`\n ${WORD} sleep 2;${END_WATCH}echo lives\n`);
    await waitFor('another one', () => login.stdout.includes('lives'));
  });
});

describe('the watch of the first start', () => {
  it.each(['python', 'sh'] as const)('is over when the helper of the %s tier runs', async (tier) => {
    const stack = await startStack(scope, { profile: 'c-agent', tier });
    expect((await ssh(stack, ['echo up'])).stdout.toString()).toBe('up\n');
    const watched = async (words: string): Promise<boolean> => (await run('pgrep', ['-u', stack.account.name, '-f', words])).status === 0;
    // The boot sh had one, and is there as long as its login.
    expect(await watched('Iwatch=')).toBe(true);
    // Long before its time.
    await waitFor('the end of the watch', async () => !(await watched('^sleep 20$')), 8_000);
  });
});

describe('the guard of the first start', () => {
  const begin = async (): Promise<ReturnType<typeof startSsh>> => {
    const account = await throwawayUser(scope);
    const sshd = await startSshd(scope, { users: [account.name] });
    const target: Target = { ...sshd, user: account.name, password: account.password };
    const unpack = `import zlib,binascii;exec(zlib.decompress(binascii.a2b_base64("${guardProgram('mark')}")))`;
    const login = startSsh(target, [`stty raw -echo; echo up; python3 -c '${unpack}'`], { options: ['-tt'], input: 'open' });
    await waitFor('the guard', () => login.stdout.includes('up\n'));
    return login;
  };

  it('takes the program as stage 1 does: a damaged line is told, others are passed over', async () => {
    const login = await begin();
    const packed = deflateSync("print('the program', __name__)").toString('base64');
    login.child.stdin?.write(`\n${' '.repeat(64)}\n${'?'.repeat(120)}\n`);
    await waitFor('the answer', () => login.stdout.includes('@NAK-mark@'));
    login.child.stdin?.write(`${packed}\n`);
    expect((await login.done).status).toBe(0);
    expect(login.stdout).toBe('up\n@NAK-mark@the program __main__\n');
  });

  it('ends a login in which the program stays away, so that the agent is freed', async () => {
    const login = await begin();
    login.child.stdin?.write('half of a pro');
    const { status } = await login.done;
    expect(status).toBe(255);
    expect(login.stderr).toMatch(/reset by peer|Broken pipe/);
  });
});
