import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { chmodSync, existsSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Channel } from '../../src/mux/device.js';
import { createPtyDevice, type DeviceKind, type PtyDevice } from '../support/pty-device.js';
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
    expect(long.out).toMatch(/-rw-r--r-- +1 (?:root|0) +(?:root|0) +5 [A-Z][a-z]{2} +\d+ \d\d:\d\d plain/);
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

  it('tells the free space', async () => {
    const run = await sftp('df');
    expect(run.status).toBe(0);
    expect(run.out).toMatch(/\d+%/);
  });
});
