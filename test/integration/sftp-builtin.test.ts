/**
 * The built-in SFTP server of the python helper beside OpenSSH's sftp-server: the same requests, in a
 * folder of the same name and content, must get the same bytes.
 */
import { userInfo } from 'node:os';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { PYTHON } from '../support/py/run.js';
import { Scope } from '../support/scope.js';
import { attributes, FXF, FXP, handle, init, packet, SftpPeer, string, u32, u64, type Request } from '../support/sftp-wire.js';
import { asUser, builtin, folder, NEW, OLD, OPENSSH, prepare, same, seen, setUp, trace, UID } from './sftp-beside-openssh.js';

const scope = new Scope();
afterAll(() => scope.end());
beforeAll(() => setUp(scope));

const NONE = attributes({});
const path = string;
const KINDS = [FXP.LSTAT, FXP.STAT, FXP.OPENDIR, FXP.READLINK, FXP.REALPATH, FXP.REMOVE, FXP.RMDIR];
const NAMES = ['', '.', '..', '/', '//', 'file', 'file/', './/file', 'dir', 'dir/', 'full', 'dir/inner', 'dir/../file', 'link', 'dirlink', 'dirlink/inner', 'dirlink/..', 'dangling', 'dangling/', 'loop', 'loop/x', 'root/tmp', 'far', 'missing', 'missing/', 'missing/x', 'file/x', 'file/..', 'secret', 'empty', '-odd \'"name\n', Buffer.from([0x62, 0x79, 0x74, 0x65, 0x73, 0xff, 0xfe]), 'n'.repeat(256), '/'.repeat(5000), 'a/'.repeat(2100), '/root/x', '/usr/bin/env', '/proc/self/fd/0/x'];

describe.skipIf(PYTHON === undefined)('the built-in SFTP server answers as OpenSSH\'s', () => {
  test('to the version, with the same extensions', async () => {
    for (const version of [0, 2, 3, 6]) {
      const got = [];
      for (const server of [OPENSSH, builtin]) {
        const peer = new SftpPeer(server, { cwd: '/' });
        peer.write(init(version));
        await peer.have(1);
        // The text of a status depends on the version, too.
        got.push([...peer.answers, ...(await peer.ask([FXP.STAT, path('/missing')]))]);
        await peer.end();
      }
      expect(got[1]).toEqual(got[0]);
    }
  });

  test.each(KINDS.map((kind) => [kind]))('to request %i of every sort of name', async (kind) => {
    await same(...NAMES.map((name): Request => [kind, path(name)]));
  });

  test('to extensions of every sort of name', async () => {
    await same(...NAMES.map((name): Request => ['expand-path@openssh.com', path(name)]));
    for (const name of ['~', '~/', '~/x', '~root', '~root/', '~root/x', '~nobody', '~no-such-user/x', '~/missing/x']) await same(['expand-path@openssh.com', path(name)]);
    // OpenSSH 9.2 gives the caller's own home, whoever is asked for.
    for (const name of ['', 'no-such-user', UID === undefined ? userInfo().username : 'nobody']) await same(['home-directory', path(name)]);
    await same(['users-groups-by-id@openssh.com', string(Buffer.concat([u32(0), u32(65534), u32(123456), u32(0xffffffff)])), string(u32(0))]);
    await same(['users-groups-by-id@openssh.com', string(''), string(Buffer.concat([u32(0xffffffff), u32(4)]))]);
    await same(['no-such-extension', path('x')], ['', path('x')]);
  });

  test('to statvfs, but for the space that others use meanwhile and the id that old Pythons do not know', async () => {
    const ask = async (server: readonly string[]): Promise<(string | Buffer)[]> => {
      const peer = new SftpPeer(server, { cwd: folder });
      peer.write(init());
      await peer.have(1);
      const got = await peer.ask(['statvfs@openssh.com', path('/proc')], ['statvfs@openssh.com', path('.')], ['statvfs@openssh.com', path('missing')], [FXP.OPEN, path('file'), u32(FXF.READ), NONE], ['fstatvfs@openssh.com', handle(0)], ['fstatvfs@openssh.com', handle(1)]);
      expect(await peer.end()).toBe(0);
      return got.map(({ kind, body }) => (kind === FXP.EXTENDED_REPLY ? Buffer.concat([body.subarray(0, 24), body.subarray(72)]) : seen({ kind, id: 0, body })));
    };
    prepare();
    expect(await ask(builtin)).toEqual(await ask(OPENSSH));
  });

  test('to every combination of flags of OPEN', async () => {
    for (const name of ['file', 'new', 'dir', 'link', 'dangling', 'secret', 'missing/x', 'loop']) {
      const requests: Request[] = [];
      for (let flags = 0; flags < 64; flags += 1) {
        requests.push([FXP.OPEN, path(name), u32(flags), NONE], [FXP.WRITE, handle(0), u64(3n), string('written')], [FXP.READ, handle(0), u64(0n), u32(5)], [FXP.CLOSE, handle(0)]);
        if (name === 'new') requests.push([FXP.REMOVE, path('new')]);
      }
      await same(...requests);
    }
  });

  test('with the modes that the client and the umask give', async () => {
    for (const mode of [undefined, 0o600, 0o777, 0o4755, 0o666, 0o100640, 0o7777]) {
      const a = attributes(mode === undefined ? {} : { mode });
      await same([FXP.OPEN, path('new'), u32(FXF.WRITE | FXF.CREAT), a], [FXP.FSTAT, handle(0)], [FXP.MKDIR, path('newdir'), a], [FXP.STAT, path('newdir')]);
    }
    await same([FXP.MKDIR, path('dir'), NONE], [FXP.MKDIR, path('missing/x'), NONE], [FXP.MKDIR, path('/etc/x'), NONE], [FXP.MKDIR, path('dangling'), NONE], [FXP.MKDIR, path('x/'), NONE]);
  });

  test('to READ at all offsets and lengths', async () => {
    const open: Request = [FXP.OPEN, path('file'), u32(FXF.READ), NONE];
    const reads = [0n, 1n, 999n, 1000n, 1001n, 5n * 2n ** 30n, 2n ** 63n - 1n, 2n ** 63n, 2n ** 64n - 1n].flatMap((offset) => [0, 1, 100, 32_768, 261_120, 261_121, 0xffffffff].map((size): Request => [FXP.READ, handle(0), u64(offset), u32(size)]));
    await same(open, ...reads, [FXP.WRITE, handle(0), u64(0n), string('x')]);
    await same([FXP.OPEN, path('/dev/zero'), u32(FXF.READ), NONE], [FXP.READ, handle(0), u64(7n), u32(0x7fffffff)], [FXP.READ, handle(1), u64(7n), u32(1)], [FXP.READ, handle(0xffffffff), u64(7n), u32(1)], [FXP.READ, string('handle'), u64(7n), u32(1)], [FXP.READ, string('h'.repeat(300)), u64(7n), u32(1)]);
  });

  test('to WRITE far beyond the end, to a full device, and past what a file may hold', async () => {
    await same(
      [FXP.OPEN, path('sparse'), u32(FXF.READ | FXF.WRITE | FXF.CREAT), NONE],
      ...[0n, 5n * 2n ** 30n, 2n ** 32n - 2n, 2n ** 62n, 2n ** 63n - 1n, 2n ** 63n, 2n ** 64n - 1n].map((offset): Request => [FXP.WRITE, handle(0), u64(offset), string('data')]),
      [FXP.WRITE, handle(0), u64(9n), string('')],
      [FXP.READ, handle(0), u64(2n ** 32n - 4n), u32(8)],
      [FXP.FSTAT, handle(0)],
      [FXP.FSETSTAT, handle(0), attributes({ size: 6n })],
      [FXP.FSTAT, handle(0)],
      [FXP.OPEN, path('/dev/full'), u32(FXF.WRITE), NONE],
      [FXP.WRITE, handle(1), u64(0n), string('x')],
      [FXP.OPEN, path('file'), u32(FXF.WRITE | FXF.APPEND), NONE],
      [FXP.WRITE, handle(2), u64(2n ** 63n), string('appended')],
      [FXP.FSTAT, handle(2)],
      [FXP.WRITE, handle(7), u64(0n), string('x')],
      ['fsync@openssh.com', handle(0)],
      ['fsync@openssh.com', handle(7)],
      [FXP.OPENDIR, path('dir')],
      ['fsync@openssh.com', handle(3)],
      [FXP.WRITE, handle(3), u64(0n), string('x')],
      [FXP.READ, handle(3), u64(0n), u32(1)],
      [FXP.FSTAT, handle(3)],
      [FXP.FSETSTAT, handle(3), attributes({ mode: 0o700 })],
    );
  });

  test('to attributes of files, folders, links and handles, one and all at once', async () => {
    const sets = [{}, { size: 3n }, { size: 2n ** 63n }, { size: 2n ** 33n }, { mode: 0o640 }, { mode: 0o107123 }, { times: [1, 2] }, { times: [0xffffffff, NEW] }, { owner: [0, 0] }, { owner: [0xffffffff, 0xffffffff] }, { owner: [UID ?? 1, 0xffffffff] }, { size: 5n, mode: 0o600, times: [7, 8], owner: [0, 0] }] as const;
    for (const set of sets) {
      const a = attributes(set);
      const targets = ['file', 'dir', 'link', 'dangling', 'secret', 'missing', 'loop', '/usr/bin/env'];
      await same(
        ...targets.flatMap((name): Request[] => [[FXP.SETSTAT, path(name), a], [FXP.LSTAT, path(name)], ['lsetstat@openssh.com', path(name), a], [FXP.LSTAT, path(name)]]),
        [FXP.OPEN, path('empty'), u32(FXF.WRITE), NONE], [FXP.FSETSTAT, handle(0), a], [FXP.FSTAT, handle(0)],
        [FXP.OPEN, path('dir/inner'), u32(FXF.READ), NONE], [FXP.FSETSTAT, handle(1), a], [FXP.FSTAT, handle(1)],
        [FXP.FSETSTAT, handle(9), a],
      );
    }
  });

  test('to attributes with vendors\' extensions', async () => {
    const extended = Buffer.concat([u32(0x80000004), u32(0o600), u32(2), string('a@b'), string('data\0'), string(''), string('')]);
    await same([FXP.SETSTAT, path('file'), extended], [FXP.STAT, path('file')]);
  });

  test('to READDIR of large folders, of "/" and of what is no folder', async () => {
    const many = Array.from({ length: 250 }, (_, n): Request => [FXP.MKDIR, path(`dir/${'long'.repeat(50)}${n}`), attributes({ mode: n })]);
    const read = (n: number): Request => [FXP.READDIR, handle(n)];
    const answers = async (server: readonly string[]): Promise<unknown> => {
      const got = (await trace(server, [...many, [FXP.OPENDIR, path('dir/')], read(0), read(0), read(0), read(0), read(0), read(1), [FXP.CLOSE, handle(0)], read(0)])).answers.slice(many.length);
      // 100 each, in whatever order.
      const lines = got.map((answer) => answer.split('\n'));
      return [lines.map((each) => (each.length > 1 ? each.length : each)), lines.slice(1, 4).flatMap((each) => each.slice(1)).sort()];
    };
    expect(await answers(builtin)).toEqual(await answers(OPENSSH));
    await same([FXP.OPENDIR, path('.')], read(0), read(0), [FXP.OPEN, path('file'), u32(1), NONE], read(1), [FXP.OPENDIR, path('secret')]);
    await same([FXP.OPENDIR, path('/')], [FXP.CLOSE, handle(0)], [FXP.OPENDIR, path('/dev/')], read(0));
  });

  test('to RENAME, which replaces nothing, and posix-rename, which does', async () => {
    for (const from of ['file', 'dir', 'full', 'link', 'dangling', 'secret', 'missing', 'loop', '', 'file/', '/usr/bin/env']) {
      for (const to of ['new', 'empty', 'full', 'dir', 'link', 'dangling', 'loop', 'missing/x', 'dir/inner', '', '/etc/x', '/dev/shm/iotda-sftp-test']) {
        if (to.startsWith('/dev/shm') && from !== 'file') continue;
        await same([FXP.RENAME, path(from), path(to)], ['posix-rename@openssh.com', path(from), path(to)], ...(to.startsWith('/dev/shm') ? [[FXP.REMOVE, path(to)] as const] : []));
      }
    }
  }, 120_000);

  test('to SYMLINK, READLINK and hardlink', async () => {
    for (const [a, b] of [['file', 'new'], ['', 'new'], ['new', ''], ['x'.repeat(5000), 'new'], ['any thing\n', 'dir/new'], ['file', 'empty'], ['dir', 'new'], ['link', 'new'], ['dangling', 'new'], ['missing', 'new'], ['secret', 'new'], ['file', 'missing/x'], ['file', '/etc/x']] as const) {
      await same([FXP.SYMLINK, path(a), path(b)], [FXP.READLINK, path(b)], [FXP.REMOVE, path(b)], ['hardlink@openssh.com', path(a), path(b)], [FXP.LSTAT, path(b)]);
    }
  });

  test('to copy-data', async () => {
    const open: Request[] = [
      [FXP.OPEN, path('file'), u32(FXF.READ), NONE],
      [FXP.OPEN, path('copy'), u32(FXF.READ | FXF.WRITE | FXF.CREAT), NONE],
      [FXP.OPEN, path('file'), u32(FXF.WRITE), NONE],
      [FXP.OPEN, path('empty'), u32(FXF.WRITE | FXF.APPEND), NONE],
      [FXP.OPENDIR, path('dir')],
      [FXP.OPEN, path('/dev/full'), u32(FXF.WRITE), NONE],
    ];
    const copy = (from: number, offset: bigint, size: bigint, to: number, at: bigint): Request => ['copy-data', handle(from), u64(offset), u64(size), handle(to), u64(at)];
    await same(...open, copy(0, 0n, 0n, 1, 0n), copy(0, 10n, 20n, 1, 5000n), copy(0, 990n, 100n, 1, 0n), copy(0, 2000n, 0n, 1, 0n), copy(0, 2000n, 10n, 1, 0n), copy(0, 0n, 0n, 2, 0n), copy(0, 0n, 0n, 0, 0n), copy(0, 0n, 0n, 3, 7n), copy(0, 0n, 30n, 3, 2n ** 63n), copy(4, 0n, 0n, 1, 0n), copy(0, 0n, 0n, 4, 0n), copy(9, 0n, 0n, 1, 0n), copy(0, 2n ** 63n, 1n, 1, 0n), copy(0, 0n, 1n, 1, 2n ** 63n), copy(1, 0n, 0n, 0, 0n), copy(0, 0n, 100_000n, 1, 0n), copy(0, 0n, 2n ** 63n, 1, 0n), copy(0, 2000n, 100_000n, 1, 0n), copy(0, 0n, 0n, 5, 0n), [FXP.FSTAT, handle(1)]);
  });

  test('to handles that are closed, used again, and too many', async () => {
    const open: Request = [FXP.OPEN, path('file'), u32(FXF.READ), NONE];
    const close = (n: number): Request => [FXP.CLOSE, handle(n)];
    await same(open, open, open, close(0), close(0), open, close(2), close(1), [FXP.OPENDIR, path('dir')], open, open, close(77), [FXP.CLOSE, string('')]);
    const limited = async (server: readonly string[]): Promise<unknown> => {
      prepare();
      const peer = new SftpPeer(['/bin/sh', '-c', 'ulimit -n 64; exec "$@"', 'sh', ...server], { cwd: folder });
      peer.write(init());
      await peer.have(1);
      const got = await peer.ask(['limits@openssh.com'], ...Array.from({ length: 100 }, () => open), ...Array.from({ length: 20 }, (_, n) => close(n)), [FXP.OPENDIR, path('dir')], [FXP.READDIR, handle(19)]);
      expect(await peer.end()).toBe(0);
      // OpenSSH has a descriptor more or less open than Python.
      return [got[0]?.body, ...got.slice(1, 50).map(seen), ...got.slice(75).map(seen)];
    };
    expect(await limited(builtin)).toEqual(await limited(OPENSSH));
  });
});

describe.skipIf(PYTHON === undefined)('the built-in SFTP server and OpenSSH\'s', () => {
  const name = fc.constantFrom('file', 'dir', 'dir/inner', 'new', 'dir/new', 'link', 'dangling', 'dirlink', 'missing/x', 'empty', 'secret', 'newdir', 'newdir/x', '.', '').map(path);
  const offset = fc.constantFrom(0n, 1n, 10n, 999n, 70_000n).map(u64);
  const which = fc.integer({ min: 0, max: 3 }).map(handle);
  const some = fc.record({ size: fc.constantFrom(0n, 5n, 5000n), mode: fc.constantFrom(0o600, 0o755, 0o400, 0o4711), times: fc.constantFrom<[number, number]>([OLD, OLD], [5, 6]) }, { requiredKeys: [] }).map((a) => attributes(a));
  const bytes = fc.constantFrom('', 'abc', 'xyz'.repeat(1000)).map(string);
  const request: fc.Arbitrary<Request> = fc.oneof(
    { weight: 6, arbitrary: fc.tuple(fc.constant(FXP.OPEN), name, fc.integer({ min: 0, max: 63 }).map(u32), some) },
    { weight: 2, arbitrary: fc.tuple(fc.constant(FXP.CLOSE), which) },
    { weight: 3, arbitrary: fc.tuple(fc.constant(FXP.READ), which, offset, fc.constantFrom(0, 1, 100, 100_000).map(u32)) },
    { weight: 5, arbitrary: fc.tuple(fc.constant(FXP.WRITE), which, offset, bytes) },
    fc.tuple(fc.constantFrom(FXP.LSTAT, FXP.STAT, FXP.REALPATH, FXP.READLINK), name),
    fc.tuple(fc.constant(FXP.FSTAT), which),
    fc.tuple(fc.constant(FXP.SETSTAT), name, some),
    fc.tuple(fc.constant(FXP.FSETSTAT), which, some),
    fc.tuple(fc.constant(FXP.OPENDIR), name),
    fc.tuple(fc.constant(FXP.READDIR), which),
    fc.tuple(fc.constantFrom(FXP.REMOVE, FXP.RMDIR), name),
    fc.tuple(fc.constant(FXP.MKDIR), name, some),
    fc.tuple(fc.constantFrom<number | string>(FXP.RENAME, FXP.SYMLINK, 'posix-rename@openssh.com', 'hardlink@openssh.com'), name, name),
    fc.tuple(fc.constant('lsetstat@openssh.com'), name, some),
    fc.tuple(fc.constant('copy-data'), which, offset, fc.constantFrom(0n, 70_000n).map(u64), which, offset),
  );

  test('do the same with any sequence of requests', { timeout: 120_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(request, { minLength: 20, maxLength: 120 }), async (requests) => {
        await same(...requests);
      }),
      { numRuns: 40 },
    );
  });

  /** Damaged packets: what they answer up to there, and how they end. */
  async function fate(server: readonly string[], bytes: Buffer): Promise<unknown> {
    prepare();
    const peer = new SftpPeer(server, { cwd: folder });
    peer.write(init());
    await peer.have(1);
    peer.write(bytes);
    // Bytes that a good server answers, so that one which takes them does not wait for more.
    peer.write(Buffer.alloc(300_000));
    const ended = await peer.over();
    return { ended, answers: peer.answers.slice(1).map(seen), stderr: peer.stderr };
  }
  const short = (kind: number, ...fields: Buffer[]): Buffer => packet(Buffer.from([kind]), u32(1), ...fields);
  test.each<[string, Buffer]>([
    ['a packet that is too long', u32(262_145)],
    ['the longest length of all', u32(0xffffffff)],
    ['an empty packet', Buffer.concat([u32(0), u32(0)])],
    ['a packet without its id', packet(Buffer.from([FXP.STAT, 0, 0]))],
    ['a name longer than its packet', short(FXP.STAT, u32(1_000_000), Buffer.from('file'))],
    ['a name with a NUL in it', short(FXP.STAT, string('fi\0le'))],
    ['a name with two NULs at its end', short(FXP.STAT, string('file\0\0'))],
    ['attributes that are cut', short(FXP.MKDIR, string('new'), u32(15), u64(1n))],
    ['attributes with endless extensions', short(FXP.SETSTAT, string('file'), u32(0x80000000), u32(0xffffffff))],
    ['an OPEN without flags', short(FXP.OPEN, string('file'))],
    ['an extension without a name', short(FXP.EXTENDED)],
    ['data longer than its packet', short(FXP.WRITE, handle(0), u64(0n), u32(0xfffffff0))],
  ])('give up at %s', async (_, bytes) => {
    const good = short(FXP.STAT, string('file'));
    const theirs = await fate(OPENSSH, Buffer.concat([good, bytes]));
    expect(await fate(builtin, Buffer.concat([good, bytes]))).toMatchObject({ ended: (theirs as { ended: unknown }).ended, stderr: '' });
  });

  test('forgive rubbish behind the fields, and a NUL at the end of a name', async () => {
    await same([FXP.STAT, path('file'), Buffer.from('rubbish')], [FXP.STAT, path('file\0')], [FXP.READLINK, path('link\0')]);
  });

  test('refuse requests before INIT', async () => {
    for (const server of [OPENSSH, builtin]) {
      const peer = new SftpPeer(server, { cwd: '/' });
      peer.send([FXP.STAT, path('/')]);
      expect(await peer.over()).toBe(255);
      expect(peer.answers).toEqual([]);
    }
  });
});

describe.skipIf(PYTHON === undefined)('the built-in SFTP server', () => {
  test('never crashes, whatever bytes it gets', { timeout: 120_000 }, async () => {
    prepare();
    const field = fc.oneof(fc.uint8Array({ maxLength: 40 }).map((b) => Buffer.from(b)), fc.constantFrom(handle(0), string('file'), string('.'), u32(0), u32(3), u64(0n), NONE));
    const anything = fc.tuple(fc.integer({ min: 0, max: 22 }).filter((kind) => kind !== FXP.REMOVE), fc.array(field, { maxLength: 5 })).map(([kind, fields]) => packet(Buffer.from([kind]), u32(7), ...fields));
    await fc.assert(
      fc.asyncProperty(fc.array(anything, { minLength: 1, maxLength: 30 }), async (packets) => {
        const peer = asUser(builtin);
        peer.write(Buffer.concat([init(), ...packets]));
        expect([0, 255]).toContain(await peer.end());
        expect(peer.stderr).toBe('');
      }),
      { numRuns: 40 },
    );
  });

  test('answers requests of unknown kinds, at which OpenSSH\'s stalls', async () => {
    const peer = new SftpPeer(builtin, { cwd: '/' });
    peer.write(init());
    peer.send([0], [2, u32(3)], [21, path('a'), path('b'), u32(0)], [99, u32(0)], [FXP.STATUS, u32(0)], [255], [FXP.STAT, path('/')]);
    expect(await peer.end()).toBe(0);
    expect(peer.answers.slice(1).map(({ kind, id }) => [kind, id])).toEqual([...[1, 2, 3, 4, 5, 6].map((id) => [FXP.STATUS, id]), [FXP.ATTRS, 7]]);
    expect(peer.answers[1]?.body).toEqual(Buffer.concat([u32(8), string('Operation unsupported'), string('')]));
  });

  test('tells that the last step of copy-data failed, which OpenSSH\'s calls a success', async () => {
    prepare();
    const peer = new SftpPeer(builtin, { cwd: folder });
    peer.write(init());
    peer.send([FXP.OPEN, path('file'), u32(FXF.READ), NONE], [FXP.OPEN, path('/dev/full'), u32(FXF.WRITE), NONE], ['copy-data', handle(0), u64(0n), u64(7n), handle(1), u64(0n)]);
    expect(await peer.end()).toBe(0);
    expect(peer.answers[3]?.body).toEqual(Buffer.concat([u32(4), string('Failure'), string('')]));
  });

  test('takes requests in any slices', async () => {
    prepare();
    const peer = new SftpPeer(builtin, { cwd: folder });
    for (const byte of Buffer.concat([init(), packet(Buffer.from([FXP.STAT]), u32(9), string('file'))])) peer.write(Buffer.from([byte]));
    await peer.have(2);
    expect(peer.answers[1]).toMatchObject({ kind: FXP.ATTRS, id: 9 });
    expect(await peer.end()).toBe(0);
  });

  test('answers everything that came before the end of its input', async () => {
    prepare();
    const peer = new SftpPeer(builtin, { cwd: folder });
    peer.write(init());
    peer.send([FXP.OPEN, path('big'), u32(FXF.READ | FXF.WRITE | FXF.CREAT), NONE]);
    const data = Buffer.alloc(200_000, 'data');
    for (let n = 0; n < 20; n += 1) peer.send([FXP.WRITE, handle(0), u64(BigInt(n * data.length)), string(data)]);
    for (let n = 0; n < 20; n += 1) peer.send([FXP.READ, handle(0), u64(BigInt(n * data.length)), u32(data.length)]);
    expect(await peer.end()).toBe(0);
    expect(peer.answers).toHaveLength(42);
    for (const answer of peer.answers.slice(22)) expect(answer.body.equals(string(data))).toBe(true);
  });
});
