/**
 * SFTP from the sh tier for a user who may not do everything, on a device whose sshd has an SFTP server
 * and the bridge's helper none: the same commands of the real clients against both.
 */
import { randomBytes } from 'node:crypto';
import { chmod, mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { run, type Run } from '../support/program.js';
import { Scope } from '../support/scope.js';
import { attributes, FXF, FXP, init, SftpPeer, string, u32, u64 } from '../support/sftp-wire.js';
import { sshOptions, type Target } from '../support/ssh.js';
import { startStack, type Stack } from '../support/stack.js';

const scope = new Scope();
let stack: Stack;
let local: string;
/** The user's folder for one side. */
const there = (side: Target, ...names: string[]): string => join(stack.account.home, side === stack ? 'bridge' : 'direct', ...names);

beforeAll(async () => {
  local = await scope.tempDir('local');
  stack = await startStack(scope, { tier: 'sh', sshd: { mounts: ['mount --bind /dev/null /usr/lib/openssh/sftp-server'] } });
  for (const side of [stack, stack.direct]) await ssh(side, `mkdir ${there(side)}`);
});
afterAll(() => scope.end());

function ssh(side: Target, command: string): Promise<Run> {
  return client(side, 'ssh', '-p', String(side.port), `${side.user}@${side.host}`, command);
}

function client(side: Target, program: string, ...args: string[]): Promise<Run> {
  return run('sshpass', ['-e', program, ...sshOptions(side), ...args], { cwd: local, timeoutMs: 100_000, env: { SSHPASS: side.password, SSH_AUTH_SOCK: undefined } });
}

/** Runs scp on both sides; `…` stands for the side's folder on the device. */
async function scpBoth(...args: string[]): Promise<{ status: number | null; err: string }[]> {
  const sides = await Promise.all([stack, stack.direct].map(async (side) => {
    const result = await client(side, 'scp', '-P', String(side.port), ...args.map((arg) => arg.replace('…', `${side.user}@${side.host}:${there(side)}`)));
    return { status: result.status, err: result.stderr.toString().replaceAll(there(side), '') };
  }));
  expect(sides[0]).toEqual(sides[1]);
  return sides;
}

async function peer(side: Target): Promise<SftpPeer> {
  const args = ['-e', 'ssh', ...sshOptions(side), '-p', String(side.port), `${side.user}@${side.host}`, '-s', 'sftp'];
  const found = new SftpPeer(['sshpass', ...args], { cwd: local, env: { ...process.env, SSHPASS: side.password } as Record<string, string> });
  found.write(init());
  await found.have(1);
  return found;
}

test.each([1, 20_000, 300_000])('files of %i bytes that not even their owner may write arrive whole', async (bytes) => {
  for (const mode of [0o444, 0o400, 0o555]) {
    const name = `${bytes}-${mode.toString(8)}`;
    await writeFile(join(local, name), randomBytes(bytes));
    await chmod(join(local, name), mode);
    for (const flags of [[], ['-p']]) {
      const target = `${name}${flags.join('')}`;
      expect((await scpBoth(...flags, name, `…/${target}`))[0]).toEqual({ status: 0, err: '' });
      for (const side of [stack, stack.direct]) {
        expect((await readFile(there(side, target))).equals(await readFile(join(local, name)))).toBe(true);
        expect((await stat(there(side, target))).mode & 0o7777).toBe(mode);
      }
    }
  }
});

test('an existing file that may not be written is refused, and left as it is', async () => {
  await writeFile(join(local, 'new'), 'new');
  for (const side of [stack, stack.direct]) await ssh(side, `cd ${there(side)} && echo old >kept && chmod 444 kept`);
  const [seen] = await scpBoth('new', '…/kept');
  expect(seen?.err).toContain('Permission denied');
  expect(await readFile(there(stack, 'kept'), 'utf8')).toBe('old\n');
});

test('names with line ends are their own, whatever they hold', async () => {
  for (const size of [10, 60_000, 400_000]) {
    const [name, joined] = [`a\n${size}`, `a${size}`];
    await writeFile(join(local, name), randomBytes(size));
    for (const side of [stack, stack.direct]) await ssh(side, `echo keep >${there(side, joined)}`);
    expect((await scpBoth(`./${name}`, `…/`))[0]).toEqual({ status: 0, err: '' });
    expect(await readFile(there(stack, joined), 'utf8')).toBe('keep\n');
    const back = await client(stack, 'scp', '-P', String(stack.port), `${stack.user}@${stack.host}:${there(stack, name)}`, 'back');
    expect([back.status, back.stderr.toString()]).toEqual([0, '']);
    expect((await readFile(join(local, 'back'))).equals(await readFile(join(local, name)))).toBe(true);
  }
  await mkdir(join(local, 'd\ne'));
  await writeFile(join(local, 'd\ne', 'f'), randomBytes(100_000));
  expect((await scpBoth('-r', './d\ne', '…/'))[0]).toEqual({ status: 0, err: '' });
  expect((await readFile(there(stack, 'd\ne', 'f'))).equals(await readFile(join(local, 'd\ne', 'f')))).toBe(true);
});

test('what a file holds is never run, not even when it cannot be written', async () => {
  const folder = there(stack, 'moving');
  await ssh(stack, `mkdir ${folder}`);
  const sftp = await peer(stack);
  const [answer] = await sftp.ask([FXP.OPEN, string(join(folder, 'f')), u32(FXF.WRITE | FXF.CREAT), attributes({})]);
  const file = answer?.body ?? Buffer.alloc(0);
  await rename(folder, `${folder}-away`);
  const text = `echo run >${there(stack, 'run')}\n`.repeat(5);
  const answers = await sftp.ask([FXP.WRITE, file, u64(0n), string(text)], [FXP.CLOSE, file], [FXP.LSTAT, string(there(stack))], [FXP.LSTAT, string(folder)]);
  expect(answers.map(({ kind, body }) => (kind === FXP.STATUS ? body.readUInt32BE() : kind))).toEqual([0, 2, FXP.ATTRS, 2]);
  expect(await readdir(there(stack))).not.toContain('run');
  await sftp.end();
});

test('a file goes on to be written when its mode forbids it, and gets that mode at the end', async () => {
  for (const side of [stack, stack.direct]) {
    const sftp = await peer(side);
    const path = there(side, 'chmod');
    const [answer] = await sftp.ask([FXP.OPEN, string(path), u32(FXF.WRITE | FXF.CREAT), attributes({ mode: 0o644 })]);
    const file = answer?.body ?? Buffer.alloc(0);
    const answers = await sftp.ask(
      [FXP.WRITE, file, u64(0n), string('abc')], [FXP.FSETSTAT, file, attributes({ mode: 0o444 })], [FXP.WRITE, file, u64(3n), string('def')], [FXP.CLOSE, file],
    );
    expect(answers.map(({ body }) => body.readUInt32BE())).toEqual([0, 0, 0, 0]);
    expect([await readFile(path, 'utf8'), (await stat(path)).mode & 0o7777]).toEqual(['abcdef', 0o444]);
    await sftp.end();
  }
});

test('what does not fit is told, wherever in a block it begins', async () => {
  const sftp = await peer(stack);
  const FAILURE = 4;
  for (const [offset, bytes] of [[0, 10], [4093, 10], [0, 60_000], [4093, 60_000]] as const) {
    const [answer] = await sftp.ask([FXP.OPEN, string('/dev/full'), u32(FXF.WRITE), attributes({})]);
    const file = answer?.body ?? Buffer.alloc(0);
    const half = Buffer.alloc(bytes / 2);
    const answers = await sftp.ask([FXP.WRITE, file, u64(BigInt(offset)), string(half)], [FXP.WRITE, file, u64(BigInt(offset + half.length)), string(half)], [FXP.CLOSE, file]);
    expect(answers.some(({ body }) => body.readUInt32BE() === FAILURE), `${bytes} bytes at ${offset}`).toBe(true);
  }
  await sftp.end();
});

test('what is written right behind the removal of its file does not make it anew', async () => {
  const sftp = await peer(stack);
  const path = there(stack, 'removed');
  const [answer] = await sftp.ask([FXP.OPEN, string(path), u32(FXF.WRITE | FXF.CREAT), attributes({})]);
  const file = answer?.body ?? Buffer.alloc(0);
  const answers = await sftp.ask([FXP.REMOVE, string(path)], [FXP.WRITE, file, u64(0n), string('late')], [FXP.CLOSE, file], [FXP.LSTAT, string(path)]);
  expect(answers.map(({ body }) => body.readUInt32BE())).toEqual([0, 4, 0, 2]);
  await sftp.end();
});

test('a file that takes the name of an open one is not written to', async () => {
  const sftp = await peer(stack);
  const [open, other] = [there(stack, 'open'), there(stack, 'other')];
  await writeFile(other, 'new');
  const [answer] = await sftp.ask([FXP.OPEN, string(open), u32(FXF.WRITE | FXF.CREAT), attributes({})]);
  const file = answer?.body ?? Buffer.alloc(0);
  const answers = await sftp.ask(
    [FXP.WRITE, file, u64(0n), string('first')], ['posix-rename@openssh.com', string(other), string(open)], [FXP.WRITE, file, u64(5n), string('second')], [FXP.CLOSE, file],
  );
  const FAILURE = 4;
  expect(answers.map(({ body }) => body.readUInt32BE())).toEqual([0, 0, FAILURE, 0]);
  expect(await readFile(open, 'utf8')).toBe('new');
  await rm(open);
  await sftp.end();
});

test('names that end with a slash mean folders, and mkdir takes no more than the system takes', async () => {
  const answers = await Promise.all([stack, stack.direct].map(async (side) => {
    const at = (name: string): Buffer => string(there(side, name));
    await ssh(side, `cd ${there(side)} && mkdir dir && echo x >file && ln -s dir link`);
    const sftp = await peer(side);
    const said = await sftp.ask(
      [FXP.RENAME, at('file'), at('dir/')], ['posix-rename@openssh.com', at('file'), at('dir/')], [FXP.REMOVE, at('link/')], [FXP.REMOVE, at('dir/')], [FXP.REMOVE, at('file/')], [FXP.REMOVE, at('none/')],
      [FXP.MKDIR, at('made'), attributes({ mode: 0o2777 })],
    );
    await sftp.end();
    return [...said.map(({ body }) => body.readUInt32BE()), (await stat(there(side, 'made'))).mode & 0o7777];
  }));
  expect(answers[0]).toEqual(answers[1]);
});

test('a client that gives up at once is told nothing of it', async () => {
  const [seen] = await scpBoth('no-such-file', '…/');
  expect(seen?.err.trim()).toBe('scp: stat local "no-such-file": No such file or directory');
});
