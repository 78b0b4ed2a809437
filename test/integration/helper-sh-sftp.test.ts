import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { chmodSync, existsSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Channel } from '../../src/mux/device.js';
import { createPtyDevice, type DeviceKind, type PtyDevice } from '../support/pty-device.js';
import { waitFor } from '../support/wait.js';
import { attributes, FXF, FXP, init, names, SftpPeer, string, u32, u64, type Answer, type Request } from '../support/sftp-wire.js';
import { ShSession } from '../support/sh-session.js';

const sha = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

/** Offers the device's SFTP on a Unix socket, so that the real client can be pointed at it. */
function serve(session: ShSession, path: string): Promise<Server> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    const early: Buffer[] = [];
    let open = false;
    const channel: Channel = session.backend.open(
      { kind: 'sftp' },
      {
        opened: () => {
          open = true;
          for (const bytes of early.splice(0)) channel.write(bytes);
        },
        refused: () => socket.destroy(),
        data: (_, bytes) => {
          socket.write(bytes, () => {
            channel.consumed(bytes.length);
          });
        },
        drain: () => socket.resume(),
        outcome: () => undefined,
        eof: () => socket.end(),
        closed: () => undefined,
      },
    );
    socket.on('data', (bytes) => {
      if (!open) early.push(bytes);
      else if (!channel.write(bytes)) socket.pause();
    });
    socket.on('end', () => {
      channel.end();
    });
    socket.on('error', () => {
      channel.close();
    });
  });
  return new Promise((resolve) => server.listen(path, () => {
    resolve(server);
  }));
}

const DEVICES: readonly [name: string, kind: DeviceKind, without: string[]][] = [
  ['BusyBox', 'busybox', []],
  // As Buildroot configures it.
  ['BusyBox without stat and script', 'busybox', ['stat', 'script']],
  ['dash', 'dash', []],
];

describe.each(DEVICES)('SFTP served for a device without sftp-server: %s', (_name, kind, without) => {
  let device: PtyDevice;
  let session: ShSession;
  let server: Server;
  let local: string;

  beforeAll(async () => {
    device = createPtyDevice(kind, [], without);
    session = new ShSession(device, { ownSftp: true });
    await session.attach();
    server = await serve(session, join(device.root, 'sftp.sock'));
    local = mkdtempSync(join(tmpdir(), 'shhelper-local-'));
  });

  afterAll(async () => {
    server.close();
    await session.end();
    device.remove();
    rmSync(local, { recursive: true, force: true });
  });

  /** Runs the real sftp client on a batch of commands. */
  async function sftp(...commands: string[]): Promise<{ status: number; out: string; err: string }> {
    const client = spawn('sftp', ['-b', '-', '-D', `/usr/bin/socat -t 60 - UNIX-CONNECT:${join(device.root, 'sftp.sock')}`], { cwd: local });
    const [out, err]: [Buffer[], Buffer[]] = [[], []];
    client.stdout.on('data', (bytes: Buffer) => out.push(bytes));
    client.stderr.on('data', (bytes: Buffer) => err.push(bytes));
    client.stdin.end(`${commands.join('\n')}\n`);
    const status = await new Promise<number>((resolve) => client.on('close', (code) => {
      resolve(code ?? -1);
    }));
    return { status, out: Buffer.concat(out).toString('latin1'), err: Buffer.concat(err).toString('latin1') };
  }

  const there = (...names: string[]): string => join(device.home, ...names);
  const here = (...names: string[]): string => join(local, ...names);

  it('puts and gets files of every size with all their bytes', async () => {
    const sizes = [0, 1, 4095, 24 * 1024, 32 * 1024, 32 * 1024 + 1, 1_500_000];
    for (const size of sizes) writeFileSync(here(`f${size}`), randomBytes(size));
    const put = await sftp(...sizes.map((size) => `put f${size}`), ...sizes.map((size) => `get f${size} g${size}`));
    expect(put.err).toBe('');
    expect(put.status).toBe(0);
    for (const size of sizes) {
      expect(sha(readFileSync(there(`f${size}`)))).toBe(sha(readFileSync(here(`f${size}`))));
      expect(sha(readFileSync(here(`g${size}`)))).toBe(sha(readFileSync(here(`f${size}`))));
    }
  });

  it('keeps modes and times with -p, and whole trees with -r', async () => {
    mkdirSync(here('tree', 'sub'), { recursive: true });
    for (let index = 0; index < 12; index += 1) writeFileSync(here('tree', 'sub', `file ${index}`), `content ${index}`);
    writeFileSync(here('tree', 'run'), '#!/bin/sh\n');
    chmodSync(here('tree', 'run'), 0o750);
    utimesSync(here('tree', 'run'), 1_600_000_000, 1_500_000_000);
    expect((await sftp('put -pr tree')).status).toBe(0);
    const stat = statSync(there('tree', 'run'));
    expect([stat.mode & 0o777, stat.mtimeMs, stat.atimeMs]).toEqual([0o750, 1_500_000_000_000, 1_600_000_000_000]);
    expect(readdirSync(there('tree', 'sub')).length).toBe(12);
    expect((await sftp('get -pr tree back')).status).toBe(0);
    expect(readFileSync(here('back', 'sub', 'file 7'), 'utf8')).toBe('content 7');
    expect(statSync(here('back', 'run')).mtimeMs).toBe(1_500_000_000_000);
  });

  it('lists directories with attributes and odd names', async () => {
    const names = ['plain', '-dash', 'with space', "quo'te", 'new\nline', 'dollar$x', 'b\\ack', 'star*', '.hidden', 'ends\n', 'caf\u00e9'];
    mkdirSync(there('odd'));
    for (const name of names) writeFileSync(there('odd', name), name);
    symlinkSync('plain', there('odd', 'link'));
    const list = await sftp('ls -1a odd');
    expect(list.status).toBe(0);
    for (const name of ['plain', '-dash', 'with space', "quo'te", '.hidden', 'link', '..']) expect(list.out).toContain(`odd/${name}`);
    const long = await sftp('ls -la odd');
    expect(long.out).toMatch(/-rw-r--r-- +\? root +root +5 [A-Z][a-z]{2} +\d+ \d\d:\d\d odd\/plain/);
    expect(long.out).toMatch(/lrwxrwxrwx/);
    // The client does not follow links in a recursive get, and says so.
    rmSync(there('odd', 'link'));
    const get = await sftp('get -r odd oddback');
    expect(get.err).toBe('');
    for (const name of names) expect(readFileSync(here('oddback', name), 'utf8')).toBe(name);
  });

  it('renames, links, removes and makes directories', async () => {
    writeFileSync(there('one'), '1');
    const run = await sftp('mkdir made', 'rename one two', 'symlink two sym', 'ln two hard', 'chmod 600 two', 'rmdir made', 'mkdir -x');
    expect(run.out).not.toContain('Failure');
    expect(existsSync(there('one'))).toBe(false);
    expect(readlinkSync(there('sym'))).toBe('two');
    expect(statSync(there('hard')).ino).toBe(statSync(there('two')).ino);
    expect(lstatSync(there('two')).mode & 0o777).toBe(0o600);
    await sftp('rm sym', 'rm two');
    expect([existsSync(there('sym')), existsSync(there('two')), existsSync(there('made'))]).toEqual([false, false, false]);
  });

  it.each([
    ['get nowhere', /not found|No such file/],
    ['rm nowhere', /No such file/],
    ['put small nodir/x', /No such file/],
    ['rmdir full', /Failure|not empty/i],
    ['rm full', /Failure/],
    ['mkdir full', /Failure/],
  ])('answers %j with its reason', async (command, message) => {
    mkdirSync(there('full', 'sub'), { recursive: true });
    writeFileSync(here('small'), 'x');
    const run = await sftp(command);
    expect(run.status).not.toBe(0);
    expect(run.err + run.out).toMatch(message);
  });

  it('resumes both ways, at odd offsets', async () => {
    const data = randomBytes(300_001);
    writeFileSync(here('whole'), data);
    writeFileSync(there('part'), data.subarray(0, 100_003));
    writeFileSync(here('whole2'), data.subarray(0, 50_001));
    expect((await sftp('reput whole part', 'get part whole3')).status).toBe(0);
    expect(sha(readFileSync(there('part')))).toBe(sha(data));
    expect((await sftp('reget part whole2')).status).toBe(0);
    expect(sha(readFileSync(here('whole2')))).toBe(sha(data));
  });

  /** A client that sends what it likes. */
  async function peer(): Promise<SftpPeer> {
    const client = new SftpPeer(['/usr/bin/socat', '-t', '60', '-', `UNIX-CONNECT:${join(device.root, 'sftp.sock')}`], { cwd: local });
    client.write(init());
    await client.have(1);
    return client;
  }

  /** Status codes as numbers, data as text, sizes of attributes. */
  const said = ({ kind, body }: Answer): unknown =>
    kind === FXP.STATUS ? body.readUInt32BE() : kind === FXP.DATA ? body.subarray(4).toString('latin1') : kind === FXP.ATTRS ? { size: Number(body.readBigUInt64BE(4)) } : kind;

  async function open(client: SftpPeer, path: string, flags: number): Promise<Buffer> {
    const [answer] = await client.ask([FXP.OPEN, string(path), u32(flags), attributes({})]);
    expect(answer?.kind).toBe(FXP.HANDLE);
    return answer?.body ?? Buffer.alloc(0);
  }

  const reading = (file: Buffer, offset: number, length = 100): Request => [FXP.READ, file, u64(BigInt(offset)), u32(length)];
  const writing = (file: Buffer, offset: number, text: string): Request => [FXP.WRITE, file, u64(BigInt(offset)), string(text)];

  it('reads what was written before, in one handle and in two', async () => {
    const client = await peer();
    const both = await open(client, 'both', FXF.READ | FXF.WRITE | FXF.CREAT);
    const other = await open(client, 'both', FXF.READ);
    const answers = await client.ask(
      writing(both, 0, 'hello world'), reading(both, 0), reading(other, 0), writing(both, 6, 'there'), reading(both, 0), reading(other, 0), reading(both, 11),
      [FXP.FSETSTAT, both, attributes({ size: 5n })], reading(both, 0), reading(other, 3), [FXP.FSTAT, other],
    );
    expect(answers.map(said)).toEqual([0, 'hello world', 'hello world', 0, 'hello there', 'hello there', 1, 0, 'hello', 'lo', { size: 5 }]);
    await client.end();
  });

  it('sees a file grow, shrink and change while it is open', async () => {
    writeFileSync(there('grow'), 'abc');
    const client = await peer();
    const file = await open(client, 'grow', FXF.READ);
    const look = async (...requests: Request[]): Promise<unknown[]> => (await client.ask(...requests)).map(said);
    expect(await look(reading(file, 0), reading(file, 3))).toEqual(['abc', 1]);
    writeFileSync(there('grow'), 'def', { flag: 'a' });
    expect(await look(reading(file, 3))).toEqual(['def']);
    expect(await look(reading(file, 6))).toEqual([1]);
    writeFileSync(there('grow'), 'XYZ');
    expect(await look(reading(file, 0))).toEqual(['XYZ']);
    await client.end();
  });

  it('keeps the order of requests that nobody waits for', async () => {
    const client = await peer();
    const file = await open(client, 'order', FXF.READ | FXF.WRITE | FXF.CREAT);
    const answers = await client.ask(
      writing(file, 0, 'hello world'), [FXP.FSETSTAT, file, attributes({ size: 5n })], writing(file, 5, '!'), [FXP.FSTAT, file],
      [FXP.RENAME, string('order'), string('ordered')], [FXP.LSTAT, string('ordered')], writing(file, 6, '?'), [FXP.CLOSE, file], [FXP.LSTAT, string('order')], [FXP.STAT, string('ordered')],
    );
    expect(answers.map(said)).toEqual([0, 0, 0, { size: 6 }, 0, { size: 6 }, 0, 0, 2, { size: 7 }]);
    expect(readFileSync(there('ordered'), 'utf8')).toBe('hello!?');
    await client.end();
  });

  it('has written what it acknowledged when the client has gone without a word', async () => {
    const client = await peer();
    const file = await open(client, 'gone', FXF.WRITE | FXF.CREAT);
    const bytes = 'x'.repeat(10_000);
    const answers = await client.ask(...Array.from({ length: 12 }, (_, index) => writing(file, index * bytes.length, bytes)));
    expect(answers.map(said)).toEqual(answers.map(() => 0));
    client.child.kill('SIGKILL');
    await client.over();
    await waitFor('all of it to be in the file', () => statSync(there('gone')).size === 12 * bytes.length);
  });

  it('takes handles for what they are open for, and tells the same statuses as OpenSSH', async () => {
    rmSync(there('st'), { recursive: true, force: true });
    mkdirSync(there('st', 'dir', 'sub'), { recursive: true });
    writeFileSync(there('st', 'file'), 'text');
    symlinkSync('loop', there('st', 'loop'));
    symlinkSync('nowhere', there('st', 'dangling'));
    symlinkSync('dir', there('st', 'to-dir'));
    const client = await peer();
    const [read, write] = [await open(client, 'st/file', FXF.READ), await open(client, 'st/file', FXF.WRITE)];
    const two = (kind: number | string, a: string, b: string): Request => [kind, string(a), string(b)];
    const long = 'n'.repeat(256);
    const asked: [Request, unknown][] = [
      [writing(read, 0, 'x'), 2], [reading(write, 0), 2], [[FXP.FSETSTAT, read, attributes({ size: 1n })], 5], [[FXP.READDIR, read], 4],
      [[FXP.CLOSE, string('none')], 2], [reading(string('none'), 0), 4],
      [[FXP.OPENDIR, string('st/file')], 2], [[FXP.OPENDIR, string('st/none')], 2], [[FXP.STAT, string('st/file/x')], 2], [[FXP.STAT, string('st/loop')], 2],
      [[FXP.LSTAT, string('st/loop')], { size: 4 }], [[FXP.STAT, string(`st/${long}`)], 5], [[FXP.REALPATH, string(`st/${long}`)], 5], [[FXP.REALPATH, string('st/none/x')], 2],
      [[FXP.READLINK, string('st/file')], 5], [[FXP.READLINK, string('st/none')], 2], [[FXP.REMOVE, string('st/dir')], 4], [[FXP.RMDIR, string('st/file')], 2], [[FXP.RMDIR, string('st/dir')], 4],
      [[FXP.MKDIR, string('st/dir'), attributes({})], 4], [two('hardlink@openssh.com', 'st/dir', 'st/x'), 3], [two('hardlink@openssh.com', 'st/none', 'st/x'), 2],
      [two('posix-rename@openssh.com', 'st/dir', 'st/file'), 2], [two('posix-rename@openssh.com', 'st/file', 'st/dir'), 4], [two('posix-rename@openssh.com', 'st/dir', 'st/dir/sub/x'), 5],
      [two('posix-rename@openssh.com', 'st/none', 'st/x'), 2], [two(FXP.RENAME, 'st/none', 'st/file'), 2], [two(FXP.RENAME, 'st/file', 'st/dangling'), 4],
      [[FXP.SETSTAT, string('st/none'), attributes({ size: 1n })], 2], [[FXP.SETSTAT, string('st/dir'), attributes({ size: 1n })], 4], [[FXP.SETSTAT, string('st/none'), attributes({})], 0],
      [['lsetstat@openssh.com', string('st/dangling'), attributes({ mode: 0o600 })], 4], [['lsetstat@openssh.com', string('st/file'), attributes({ size: 1n })], 5],
      [two(FXP.RENAME, 'st/dangling', 'st/moved'), 0], [[FXP.LSTAT, string('st/moved')], { size: 7 }],
      // rename(2) replaces the link, and moves nothing into the folder behind it.
      [two('posix-rename@openssh.com', 'st/file', 'st/to-dir'), 0], [[FXP.LSTAT, string('st/to-dir')], { size: 4 }], [[FXP.STAT, string('st/dir/file')], 2],
      [['no-such-extension'], 8], [[99], 8], [[FXP.STAT, string('')], 2],
    ];
    const answers = await client.ask(...asked.map(([request]) => request));
    expect(answers.map((answer, index) => [index, said(answer)])).toEqual(asked.map(([, expected], index) => [index, expected]));
    await client.end();
  });

  it('copies within the device, and names users, groups and homes', async () => {
    writeFileSync(there('from'), 'some text\n'.repeat(20_000));
    const client = await peer();
    const [from, to] = [await open(client, 'from', FXF.READ), await open(client, 'to', FXF.READ | FXF.WRITE | FXF.CREAT)];
    const copy = (offset: number, size: number, at: number): Request => ['copy-data', from, u64(BigInt(offset)), u64(BigInt(size)), to, u64(BigInt(at))];
    const answers = await client.ask(copy(0, 0, 0), [FXP.FSTAT, to], copy(5, 4, 3), reading(to, 0, 12), copy(199_990, 0, 200_000), [FXP.FSTAT, to], copy(199_990, 200_000, 0), ['copy-data', from, u64(0n), u64(0n), from, u64(0n)]);
    expect(answers.map(said)).toEqual([0, { size: 200_000 }, 0, 'somtextxt\nso', 0, { size: 200_010 }, 1, 4]);
    const [ids] = await client.ask(['users-groups-by-id@openssh.com', string(Buffer.concat([u32(0), u32(4_000_000_000)])), string(u32(0))]);
    expect(ids?.body).toEqual(Buffer.concat([string(Buffer.concat([string('root'), string('')])), string(string('root'))]));
    const homes = await client.ask(['home-directory', string('root')], ['expand-path@openssh.com', string('~root')], ['expand-path@openssh.com', string('~no-such-user')]);
    expect(homes.map((answer) => (answer.kind === FXP.NAME ? names(answer.body)[0]?.name.toString() : said(answer)))).toEqual(['/root', '/root', 2]);
    await client.end();
  });

  it('tells the free space', async () => {
    const run = await sftp('df');
    expect(run.status).toBe(0);
    expect(run.out).toMatch(/\d+%/);
  });
});
