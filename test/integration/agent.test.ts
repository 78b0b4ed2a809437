/** The device agent with real shells and a real sshd; the platform is a bare WebSocket server. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import type { AgentHandle, AgentOptions } from '../../src/agent/agent.js';
import { startAgent } from '../../src/agent/agent.js';
import { silentLog } from '../../src/base/log.js';
import { decodeFrame } from '../../src/protocol/decode.js';
import { encodeFrame, newRequestId } from '../../src/protocol/encode.js';
import type { Frame } from '../../src/protocol/frames.js';
import { startRelay } from '../../src/relay/server.js';
import { freePort } from '../support/ports.js';
import { run, start } from '../support/program.js';
import { Scope } from '../support/scope.js';
import { startSshd, type Sshd } from '../support/sshd.js';
import { shellPath, throwawayUser, type ThrowawayUser } from '../support/user.js';
import { waitFor } from '../support/wait.js';
import { Platform } from '../unit/agent/platform.js';

const SELF = userInfo().username;

let scope: Scope;
let platform: Platform;
let agent: AgentHandle;

beforeEach(async () => {
  scope = new Scope();
  platform = await Platform.start(scope);
});
afterEach(() => scope.end());

async function logIn(options: Omit<AgentOptions, 'tunnelUri' | 'token'>, user: string, password: string): Promise<void> {
  agent = await platform.agent(scope, options);
  platform.connect(user, password);
  await waitFor('the login', () => agent.stats().logins === 1);
}

/** Runs a line in the shell and returns what it printed between two marks. */
async function ask(line: string): Promise<string> {
  const mark = Math.random().toString(36).slice(2);
  // The marks are cut in two, so that the echo of the line cannot be taken for the answer.
  platform.command(`printf '%s' 'beg''in${mark}'; ${line}; printf '%s' 'en''d${mark}'\r`);
  return waitFor(`an answer to ${line}`, () => {
    const output = platform.output.toString();
    const start = output.lastIndexOf(`begin${mark}`);
    const end = output.indexOf(`end${mark}`);
    return start >= 0 && end > start ? output.slice(start + 5 + mark.length, end) : undefined;
  });
}

/** Starts a script in the background of the shell and returns its process id. */
async function startChild(script: string, prefix = ''): Promise<number> {
  const dir = await scope.tempDir('agent');
  await writeFile(join(dir, 'child'), `echo $$ > ${dir}/pid; ${script}\n`);
  platform.command(`${prefix}sh ${dir}/child &\r`);
  return waitFor('the child', async () => processId(await readFile(join(dir, 'pid'), 'utf8').catch(() => '')));
}

/** The number in the first line; undefined for anything else, so that 0 (everybody) is never signalled. */
function processId(text: string): number | undefined {
  const pid = Number.parseInt(text, 10);
  return pid > 1 ? pid : undefined;
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

describe('a local login shell', () => {
  const local = (shell = '/bin/bash'): AgentOptions['target'] => ({ local: { password: 'secret', shell } });

  test.each(['bash', 'dash', 'ash', 'zsh', 'tcsh', 'mksh'] as const)('%s is started as a login shell, under its name with a dash before it', async (name) => {
    const shell = await shellPath(scope, name);
    await logIn({ target: local(shell) }, SELF, 'secret');
    expect((await ask('echo $0')).trim()).toBe(`-${name}`);
  });

  test('has a terminal of 128 columns and 30 rows called xterm', async () => {
    await logIn({ target: local() }, SELF, 'secret');
    expect((await ask('stty size; echo $TERM')).trim().split('\r\n')).toEqual(['30 128', 'xterm']);
  });

  test('starts in the home, with the environment of a login and nothing of ours', async () => {
    process.env['IOTDA_SSH_TEST_LEAK'] = 'leaked';
    scope.add(() => delete process.env['IOTDA_SSH_TEST_LEAK']);
    const home = userInfo().homedir;
    await logIn({ target: local('/bin/dash') }, SELF, 'secret');
    expect((await ask('pwd; echo $HOME $USER $LOGNAME $SHELL')).trim().split('\r\n')).toEqual([home, `${home} ${SELF} ${SELF} /bin/dash`]);
    expect(await ask('env')).not.toContain('IOTDA_SSH_TEST_LEAK');
  });

  test('can use its terminal for job control', async () => {
    await logIn({ target: local() }, SELF, 'secret');
    // Its own number of seconds: other tests sleep too.
    const sleep = `sleep 1000.${process.pid}`;
    platform.command(`${sleep}\r`);
    await waitFor('sleep to run', async () => (await run('ps', ['-eo', 'args'])).stdout.toString().split('\n').includes(sleep));
    platform.command('\u0003');
    platform.command('echo status=$?\r');
    await platform.shows('status=130'); // the echo of the line shows another text
  });

  test.each([
    ['password', SELF, 'wrong'],
    ['user', 'nobody-here', 'secret'],
    ['password, empty', SELF, ''],
  ])('refuses a wrong %s with a disconnect 400', async (_what, user, password) => {
    agent = await platform.agent(scope, { target: local() });
    platform.connect(user, password);
    await platform.has('disconnect');
    expect(platform.of('disconnect')[0]).toMatchObject({ status: '400' });
    expect(agent.stats()).toMatchObject({ logins: 0, loginsRefused: 1 });
  });

  test('a missing shell ends the agent before anything else, by name', async () => {
    const missing = startAgent({ tunnelUri: platform.uri, token: 't', target: local('/bin/no-such-shell') });
    await expect(missing.opened).rejects.toMatchObject({
      code: 'LOCAL',
      message: 'the login shell /bin/no-such-shell cannot be run: name another shell for this device',
    });
  });

  test('its end is told', async () => {
    await logIn({ target: local() }, SELF, 'secret');
    platform.command('echo goodbye; exit\r');
    await platform.has('disconnect');
    expect(platform.of('disconnect')[0]).toMatchObject({ status: '408' });
    expect(platform.output.toString()).toContain('goodbye');
  });

  test('hundreds of kilobytes arrive whole in both directions', async () => {
    await logIn({ target: local() }, SELF, 'secret');
    const dir = await scope.tempDir('agent');
    await ask('stty raw -echo');
    const line = `${'0123456789abcdef'.repeat(63)}\n`;
    const count = 300;
    // Only then does head read: until its mark is seen nothing is sent to the shell itself.
    platform.command(`printf REA''DY; head -c ${count * line.length} > ${dir}/up; printf SA''VED\n`);
    await platform.shows('READY');
    for (let sent = 0; sent < count; sent++) platform.command(line);
    await platform.shows('SAVED');
    expect(await readFile(join(dir, 'up'), 'utf8')).toBe(line.repeat(count));
    const before = platform.output.length;
    platform.command(`cat ${dir}/up; printf DO''NE\n`);
    await platform.shows('DONE');
    expect(platform.output.subarray(before).toString()).toContain(line.repeat(count));
  });

  test('a flood that nobody reads is held back at the shell, not in memory', async () => {
    await logIn({ target: local() }, SELF, 'secret');
    platform.leg.socket.pause();
    platform.command("head -c 200000000 /dev/zero | tr '\\0' x; printf EN''D\r");
    await waitFor('the flood', () => agent.stats().bytesShown > 1_000_000);
    let before = -1;
    let same = 0;
    await waitFor('the flood to stop', () => {
      const { bytesShown } = agent.stats();
      same = bytesShown === before ? same + 1 : 0;
      before = bytesShown;
      return same === 10;
    });
    expect(before).toBeLessThan(100_000_000);
  });

  test('close leaves no process, even one that ignores the hangup', async () => {
    await logIn({ target: local() }, SELF, 'secret');
    const shell = Number(await ask('printf %s $$'));
    const stubborn = await startChild("trap '' HUP TERM; while :; do sleep 1000; done");
    expect(alive(shell)).toBe(true);
    expect(alive(stubborn)).toBe(true);
    await agent.close();
    expect(alive(shell)).toBe(false);
    await waitFor('the stubborn one to be reaped', () => !alive(stubborn));
  });

  test('a silent death hangs the shell up and spares what has left its terminal session', async () => {
    await logIn({ target: local(), profile: 'c-agent' }, SELF, 'secret');
    const shell = Number(await ask('printf %s $$'));
    const daemon = await startChild('exec sleep 1000', 'setsid ');
    scope.add(() => process.kill(daemon, 'SIGKILL'));
    agent.inject('silent-death');
    await waitFor('the shell to end', () => !alive(shell));
    expect(alive(daemon)).toBe(true);
    await platform.settled();
    expect(platform.of('disconnect')).toEqual([]);
  });
});

describe('the platform’s relay', () => {
  test('carries a login from the application’s end to a shell, over TLS under an own authority', async () => {
    const dir = await scope.tempDir('agent-tls');
    const made = await run('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2',
      '-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', `${dir}/key`, '-out', `${dir}/cert`]);
    expect(made.status).toBe(0);
    const tls = { cert: await readFile(`${dir}/cert`), key: await readFile(`${dir}/key`) };
    const tunnel = { tunnel_id: 't1', device_id: 'd1', source_token: 'source-token-1', device_token: 'device-token-1' };
    const relay = await startRelay({ host: '127.0.0.1', port: 0, tunnels: [tunnel], tls, log: silentLog() });
    scope.add(() => relay.close());
    const options: AgentOptions = {
      tunnelUri: relay.uri('t1', 'device'),
      token: 'device-token-1',
      target: { local: { password: 'secret', shell: '/bin/sh' } },
    };

    const distrusting = startAgent(options);
    await expect(distrusting.opened).rejects.toMatchObject({ code: 'TUNNEL', message: expect.stringContaining('is not trusted') });

    const wrong = startAgent({ ...options, ca: tls.cert, token: 'device-token-2' });
    await expect(wrong.opened.then(() => wrong.ended)).rejects.toMatchObject({ code: 'TUNNEL' });

    agent = startAgent({ ...options, ca: tls.cert });
    scope.add(() => agent.close());
    await agent.opened;
    const source = new WebSocket(relay.uri('t1', 'source'), { headers: { tunnel_access_token: 'source-token-1' }, ca: tls.cert });
    scope.add(() => source.terminate());
    const seen: Frame[] = [];
    source.on('message', (data: Buffer) => {
      const decoded = decodeFrame(data);
      if (decoded.kind === 'frame') seen.push(decoded.frame);
    });
    await waitFor('the device to be announced', () => seen.some((frame) => frame.operation === 'connect_tunnel'));
    const requestId = newRequestId();
    source.send(encodeFrame({ operation: 'connect', requestId, username: SELF, password: 'secret' }).toString());
    source.send(encodeFrame({ operation: 'command', requestId, data: "printf '%s' HEL''LO\r" }).toString());
    await waitFor('the answer', () =>
      Buffer.concat(seen.map((frame) => (frame.operation === 'command_response' ? frame.data : Buffer.alloc(0)))).includes('HELLO'),
    );
  });
});

describe('the device’s own sshd', () => {
  let sshd: Sshd;
  let account: ThrowawayUser;
  const target = (): AgentOptions['target'] => ({ sshd: { host: sshd.host, port: sshd.port } });

  beforeEach(async () => {
    account = await throwawayUser(scope);
    sshd = await startSshd(scope, { users: [account.name] });
  });

  test('is logged in to by password, on a terminal of the profile', async () => {
    await logIn({ target: target() }, account.name, account.password);
    expect((await ask('id -un; stty size; echo $TERM')).trim().split('\r\n')).toEqual([account.name, '30 128', 'xterm']);
  });

  test('refuses a wrong password: 400, and the next connect works', async () => {
    agent = await platform.agent(scope, { target: target() });
    platform.connect(account.name, 'wrong');
    await platform.has('disconnect');
    expect(platform.of('disconnect')[0]).toMatchObject({ status: '400', message: 'WssClientListenerOnMsg: Create SSH channel failed' });
    platform.connect(account.name, account.password);
    await waitFor('the login', () => agent.stats().logins === 1);
  });

  test('with another host key than at the first login gets the same 400', async () => {
    await logIn({ target: target() }, account.name, account.password);
    const { port } = sshd;
    await sshd.program.stop();
    const dir = await scope.tempDir('agent-key');
    await mkdir('/run/sshd', { recursive: true });
    await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(dir, 'key')]);
    await writeFile(join(dir, 'cfg'), `Port ${port}\nListenAddress 127.0.0.1\nHostKey ${dir}/key\nPidFile none\nUsePAM no\nStrictModes no\n`);
    const other = start(scope, '/usr/sbin/sshd', ['-D', '-e', '-f', join(dir, 'cfg')]);
    await waitFor('the other sshd', () => other.stderr.includes('Server listening'));
    platform.connect(account.name, account.password);
    await waitFor('the refusal', () => platform.of('disconnect').some((frame) => frame.status === '400'));
    expect(agent.stats().loginsRefused).toBe(1);
  });

  test('absent when the agent starts, ends it with the address', async () => {
    const port = await freePort();
    const missing = startAgent({ tunnelUri: platform.uri, token: 't', target: { sshd: { host: '127.0.0.1', port } } });
    await expect(missing.opened).rejects.toMatchObject({ code: 'LOCAL', message: expect.stringContaining(`127.0.0.1:${port}`) });
  });

  test.each([
    ['c-agent', 0],
    ['sound', 1],
  ] as const)('whose session process is killed: %s sends %i frames, and a new connect works', async (profile, frames) => {
    await logIn({ target: target(), profile }, account.name, account.password);
    await ask('true');
    const server = await waitFor('the session’s process', async () =>
      processId((await run('pgrep', ['-f', `^sshd.*: ${account.name}@pts`])).stdout.toString()),
    );
    process.kill(server, 'SIGKILL');
    await waitFor('the loss', () => agent.stats().shellsEnded === 1);
    await platform.settled();
    expect(platform.of('disconnect').length).toBe(frames);
    platform.connect(account.name, account.password);
    await waitFor('the second login', () => agent.stats().logins === 2);
    expect((await ask('echo again')).trim()).toBe('again');
  });

  test('a shell that exits is told by 408, with its last words before', async () => {
    await logIn({ target: target(), profile: 'c-agent', faults: { exitNoticeRate: 1 } }, account.name, account.password);
    platform.command('echo last words; exit 3\r');
    await platform.has('disconnect');
    expect(platform.of('disconnect')[0]).toMatchObject({ requestId: 'SSH_timeout_disconnect', status: '408' });
    expect(platform.output.toString()).toContain('last words\r\n');
  });

  test('close ends its session', async () => {
    await logIn({ target: target() }, account.name, account.password);
    const shell = Number(await ask('printf %s $$'));
    await agent.close();
    await waitFor('the shell to end', () => !alive(shell));
  });

  test('a shell that is slow to read gets all, though typing blocked the C agent meanwhile', async () => {
    const faults = { silentDeathRate: 0, stallRate: 0, stallForGoodRate: 0, floodFrames: 0, oneMessagePerRead: false, recordBytes: 0 };
    await logIn({ target: target(), profile: 'c-agent', faults }, account.name, account.password);
    await ask('stty raw -echo');
    const text = 'x'.repeat(8191) + '\n';
    const count = 600; // beyond what the SSH window and the terminal hold
    platform.command(`printf REA''DY; sleep 1; head -c ${count * text.length} | wc -c; printf SA''VED\n`);
    await platform.shows('READY');
    for (let sent = 0; sent < count; sent++) platform.command(text);
    await platform.shows('SAVED');
    expect(platform.output.toString()).toContain(`READY${count * text.length}\n`);
  });

  test('20 MB arrive whole while the receiver keeps up, through the sound agent', async () => {
    await logIn({ target: target() }, account.name, account.password);
    await ask('stty raw -echo');
    platform.command("printf BEG''IN; head -c 20000000 /dev/zero | tr '\\0' x; printf EN''D\n");
    await waitFor('the end', () => platform.leg.raw.at(-1)!.includes('END'));
    const output = platform.output;
    const begin = output.lastIndexOf('BEGIN') + 5;
    expect(output.indexOf('END', begin) - begin).toBe(20_000_000);
  });
});
