import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { attachProgram, startProgram } from '../../src/helper/python/program.js';
import { PYTHON, runPython } from '../support/py/run.js';

/** Plays one scenario of test/support/py/scenarios.py; the helper must end cleanly behind each. */
async function play(name: string, graceSeconds = 60): Promise<Record<string, unknown>> {
  const parameters = { secret: randomBytes(32), graceSeconds };
  const programs = { secret: parameters.secret.toString('hex'), start: startProgram(parameters), attach: attachProgram(parameters) };
  const { found, clean } = (await runPython('scenarios.py', JSON.stringify(programs), [name])) as { found: Record<string, unknown>; clean: boolean };
  expect(clean).toBe(true);
  return found;
}

const status = (n: number): object => ({ status: n });
const killed = (name: string): object => ({ signal: name, core: false, message: '' });

describe.skipIf(PYTHON === undefined)('the python helper on a real terminal', () => {
  it('reports every way a command can end, and in order', async () => {
    const events = ['OPENED', 'EXIT', 'EOF', 'CLOSE'];
    expect(await play('statuses')).toEqual({
      'exit 0': { exit: status(0), events },
      'exit 1': { exit: status(1), events },
      'exit 37': { exit: status(37), events },
      'exit 255': { exit: status(255), events },
      'kill -TERM $$': { exit: killed('TERM'), events },
      'kill -KILL $$': { exit: killed('KILL'), events },
      'kill -35 $$': { exit: killed('SIG@openssh.com'), events },
      'no-such-command-at-all': { exit: status(127), events },
    });
  });

  it('carries any bytes on stdin, stdout, stderr and in commands, compressed where that helps', async () => {
    expect(await play('streams')).toMatchObject({
      echoed: true,
      err: 'err\n',
      odd: true,
      out: '35bce4eae54ec8e6cc2868baa8d157914d6ae2858811b4cc0c078c94460fa26f',
      errs: '37131d2e2ba4f0a17c7f333213d2eb16cc06be10115c21fc13316095ba15b065',
      compressed: true,
      events: ['EXIT', 'EOF', 'CLOSE'],
      closedStdin: ['still\n', status(0)],
      background: 'early\nlate\n',
    });
  });

  it('takes no news of a closed channel for news of the connection that has its descriptors now', async () => {
    expect(await play('reused')).toEqual({ early: 0 });
  });

  it('delivers what a peer said before it broke the connection', async () => {
    expect(await play('broken')).toEqual({ tcp: 40_000, unix: 40_000 });
  });

  it('loses nothing of 20 MB in both directions where 2 % of all chunks are lost', async () => {
    expect(await play('bulk')).toEqual({ equal: true, exit: status(0), bad: true });
  });

  it('gives commands the login environment, the home folder and default signals', async () => {
    const { env, rest, shell, home } = (await play('environment')) as { env: Record<string, string>; rest: string[]; shell: string; home: string };
    expect(env).toMatchObject({ LC_TEST: 'grün', LANG: 'C', SHELL: shell, HOME: home, PWD: home });
    for (const name of ['TERM', 'SSH_TTY', 'OLDPWD', 'COLUMNS', 'LINES']) expect(env).not.toHaveProperty(name);
    expect(rest[0]).toBe(home);
    expect(rest.slice(3, 5)).toEqual(['SigBlk:\t0000000000000000', 'SigIgn:\t0000000000000000']);
    // stdin, stdout, stderr, the folder that ls reads, and the line "total".
    expect(rest[5]).toBe('5');
    expect(rest[6]?.trim()).toBe(rest[7]);
  });

  it('opens terminals as sshd does: size, TERM, modes, resize, Ctrl-C, no effect of EOF, login shell, tail', async () => {
    const found = (await play('terminal')) as { first: string[]; shell: string };
    expect(found.first.slice(1, 4)).toEqual(['33 91', 'vt220', 'same']);
    expect(found.first[0]).toMatch(/^\/dev\//);
    const modes = found.first.slice(4).join(' ');
    expect(modes).toMatch(/^speed 9600 baud; rows 33; columns 91; /);
    for (const mode of ['intr = ^G;', 'erase = ^H;', ' -echo ', ' iutf8', ' ignpar ', ' cs8 ']) {
      expect(modes).toContain(mode);
    }
    expect(found).toMatchObject({ afterEof: true, interrupted: killed('INT'), shellExit: status(3), tail: [200_003, 'END'], tailExit: status(0) });
    expect(found.shell).toMatch(/<-\w+>/);
  });

  it('signals process groups, hangs them up when the client is gone, and ends writers nobody reads', async () => {
    expect(await play('signals')).toEqual({
      TERM: [killed('TERM'), false],
      HUP: [killed('HUP'), false],
      USR1: [killed('USR1'), false],
      KILL: [killed('KILL'), false],
      closed: true,
      closedPty: true,
      leftAlive: true,
      left: true,
      early: 'none',
      stopped: killed('PIPE'),
    });
  });

  it('goes on exactly where it was when the login is lost in mid-transfer, four times', async () => {
    expect(await play('reattach')).toEqual({ out: true, err: true, exit: status(0), daemon: 1 });
  });

  it('lets commands run on while nobody is attached', async () => {
    expect(await play('detached')).toEqual({ out: 5_000_000, err: 'done\n', exit: status(9) });
  });

  it('ends itself, its children and its files when nobody comes back', async () => {
    expect(await play('grace', 2)).toEqual({ there: true, still: [true, true], gone: true, socket: false, files: [], answer: expect.stringMatching(/^@GONE-[0-9a-f]{16}@$/) as string });
  });

  it('connects sockets of the device, with half-close, resets and refusals', async () => {
    const echoed = [true, ['OPENED', 'EOF', 'CLOSE'], ''];
    expect(await play('sockets')).toEqual({
      '127.0.0.1': echoed,
      localhost: echoed,
      closed: { code: 'connect-failed', message: 'Connection refused' },
      unknown: { code: 'connect-failed', message: expect.any(String) as string },
      unix: 'UNIX',
      noUnix: { code: 'connect-failed', message: 'No such file or directory' },
      longUnix: { code: 'connect-failed', message: 'File name too long' },
      reset: 'Connection reset by peer',
    });
  });

  it('listens on the device, and leaves no socket file', async () => {
    const tcp = { got: 'world', high: 1, peer: '127.0.0.1' };
    const local = { got: 'world', high: 1, peer: '', left: false };
    expect(await play('listeners')).toEqual({
      all: tcp,
      localhost: tcp,
      literal: tcp,
      busy: { code: 'connect-failed', message: 'Address already in use' },
      unix: local,
      agent: local,
      auth: true,
      modes: ['600', '700'],
    });
  });

  it('runs the SFTP server of the device, or one that it is sent', async () => {
    const found = await play('sftp');
    expect(found).toMatchObject({
      absent: [{ code: 'unsupported', message: 'need program sftp' }, null],
      builtin: [[2, 3], status(0)],
      unknown: { code: 'unsupported' },
    });
  });

  it('stops a channel that nobody reads at its credit, and holds nothing else up', async () => {
    const found = (await play('credit')) as { rssMb: number; taken: number };
    expect(found).toMatchObject({ idle: 1_049_576, other: [4_000_000, 'ok\n'] });
    // The credit at the opening, and what went into the pipe of the process.
    expect(found.taken).toBeGreaterThanOrEqual(256 * 1024);
    expect(found.taken).toBeLessThanOrEqual(256 * 1024 + 64 * 1024);
    expect(found.rssMb).toBeLessThan(64);
  });

  it('runs sixty commands at once and keeps no descriptor of them', async () => {
    const found = (await play('many')) as { fds: number };
    expect(found).toMatchObject({ good: 60 });
    expect(found.fds).toBeLessThan(12);
  });

  it('takes no front without the secret, nor from another user, and is not kept busy by them', async () => {
    expect(await play('intruders')).toMatchObject({ wrong: 'closed', works: status(4) });
  });

  it('becomes a front of the running daemon when the start program comes twice', async () => {
    expect(await play('twice')).toEqual({ same: true });
  });

  it('meets its front in a private folder where abstract sockets do not work, and removes it', async () => {
    expect(await play('paths')).toMatchObject({ mode: '700', exit: status(5) });
  });

  it('listens where the system has no IPv6', async () => {
    const none = { code: 'connect-failed', message: 'Address family not supported by protocol' };
    expect(await play('ipv4')).toEqual({ localhost: true, '': true, '::1': none });
  });

  it('refuses channels rather than be unable to take a new front', async () => {
    expect(await play('files')).toMatchObject({
      limit: 150,
      refused: true,
      running: true,
      statuses: [1],
      reason: { code: 'resource', message: 'Too many open files' },
      after: status(6),
    });
  });

  it('survives messages that break the contract, and leaves other channels alone', async () => {
    expect(await play('malformed')).toEqual({
      json: 'unsupported',
      list: 'unsupported',
      utf8: 'unsupported',
      empty: 'unsupported',
      cmd: 'unsupported',
      pty: 'unsupported',
      env: 'unsupported',
      size: '33 65535',
      zdata: true,
      bomb: true,
      credit: true,
      flood: true,
      survives: 'inflated',
    });
  });

  it('says goodbye even in the middle of a flood', async () => {
    expect(await play('farewell')).toEqual({ bye: 'so long', child: true, daemon: true });
  });

  it('reads its packets out of any foreign text', async () => {
    expect(await play('noise')).toEqual({ equal: true });
  });
});
