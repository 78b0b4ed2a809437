import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { longName, parseListed, parseStat } from '../../../src/helper/sh/sftp-stat.js';
import { BadPacket, PACKET_LIMIT_BYTES, PacketReader, PacketSplitter, PacketWriter, STATUS } from '../../../src/helper/sh/sftp-wire.js';
import { statusOf } from '../../../src/helper/sh/sftp-errors.js';
import { pathWord } from '../../../src/helper/sh/sftp-worker.js';

describe('SFTP packets', () => {
  const packets = [new PacketWriter(1).uint32(3).finish(), new PacketWriter(5).uint32(9).string('handle').uint64(2 ** 40).uint32(5).finish(), new PacketWriter(4).finish()];
  const whole = Buffer.concat(packets);

  it('are found whole at every split point', () => {
    for (let cut = 0; cut <= whole.length; cut += 1) {
      const splitter = new PacketSplitter();
      const found = [...splitter.feed(whole.subarray(0, cut)), ...splitter.feed(whole.subarray(cut))];
      expect(Buffer.concat(found.map((body) => body)).equals(Buffer.concat(packets.map((packet) => packet.subarray(4))))).toBe(true);
      expect(found).toHaveLength(3);
    }
  });

  it('longer than allowed, or empty, end the stream', () => {
    const header = Buffer.alloc(4);
    header.writeUInt32BE(PACKET_LIMIT_BYTES + 1);
    expect(() => new PacketSplitter().feed(header)).toThrow(BadPacket);
    expect(() => new PacketSplitter().feed(Buffer.alloc(4))).toThrow(BadPacket);
  });

  it('give back the fields that were put in, beyond 4 GB too', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), fc.uint8Array(), fc.nat({ max: 0xffffffff }), (large, bytes, small) => {
        const reader = new PacketReader(new PacketWriter(7).uint64(large).string(Buffer.from(bytes)).uint32(small).finish().subarray(4));
        expect([reader.byte(), reader.uint64(), Buffer.from(bytes).equals(reader.string()), reader.uint32(), reader.ended]).toEqual([7, large, true, small, true]);
      }),
    );
  });

  it('give back attributes, and only those that are there', () => {
    for (const attrs of [{}, { size: 2 ** 33 }, { uid: 1, gid: 2 }, { mode: 0o100644, atime: 5, mtime: 6 }, { size: 1, uid: 0, gid: 0, mode: 0, atime: 0, mtime: 0 }]) {
      const reader = new PacketReader(new PacketWriter(0).attrs(attrs).finish().subarray(5));
      expect(reader.attrs()).toEqual(attrs);
    }
  });

  it('that end before their fields do are refused, whatever they hold', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 20 }), (bytes) => {
        const reader = new PacketReader(Buffer.from(bytes));
        try {
          for (;;) reader.string();
        } catch (error) {
          expect(error).toBeInstanceOf(BadPacket);
        }
      }),
    );
  });
});

describe('a path for the worker', () => {
  it('is one word on one line that a shell reads as that path', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 40 }), (bytes) => {
        const path = Buffer.from(bytes.filter((byte) => byte !== 0));
        const word = pathWord(path);
        expect(word.includes(0x0a)).toBe(false);
        const out = execFileSync('/bin/sh', ['-s'], { input: Buffer.concat([Buffer.from("N='\n'\nprintf %s "), word, Buffer.from('\n')]) });
        const expected = path.length === 0 ? '.' : path[0] === 0x2d ? `./${path.toString('latin1')}` : path.toString('latin1');
        expect(out.toString('latin1')).toBe(expected);
      }),
      { numRuns: 40 },
    );
  });
});

describe('what the tools say', () => {
  it.each([
    ["stat: cannot stat 'x': No such file or directory", STATUS.NO_SUCH_FILE],
    ["rm: can't remove 'x': Permission denied", STATUS.PERMISSION_DENIED],
    ["mkdir: can't create directory '/x': Read-only file system", STATUS.FAILURE],
    ['dd: writing: No space left on device', STATUS.FAILURE],
    // What was said last counts, and dd goes on to count.
    ["touch: x: No such file or directory\ndd: can't open 'x': Permission denied\n0+0 records in\n0+0 records out\n0 bytes (0B) copied, 0.1 seconds, 0B/s\n", STATUS.PERMISSION_DENIED],
    // A name may hold any words.
    ["rmdir: failed to remove 'permission denied: not found': Directory not empty", STATUS.FAILURE],
    ["stat: cannot statx 'a: Permission denied': Not a directory", STATUS.NO_SUCH_FILE],
    ['sh: 1: cannot create a/b: Directory nonexistent', STATUS.NO_SUCH_FILE],
    ["ls: loop: Too many levels of symbolic links", STATUS.NO_SUCH_FILE],
    ["ls: nnn: File name too long", STATUS.BAD_MESSAGE],
    ["mv: cannot move 'a' to a subdirectory of itself, 'a/b'", STATUS.BAD_MESSAGE],
    ["mv: cannot overwrite non-directory 'a' with directory 'b'", STATUS.NO_SUCH_FILE],
    ['ln: dir: hard link not allowed for directory', STATUS.PERMISSION_DENIED],
    ["ln: dir: Operation not permitted", STATUS.PERMISSION_DENIED],
    ['', STATUS.FAILURE],
  ])('%j becomes status %i', (message, code) => {
    expect(statusOf(message)).toBe(code);
  });

  it('of a file becomes attributes and a line as ls prints it', () => {
    const stat = parseStat('81ed 1234 0 50 1600000000 1500000000 root UNKNOWN 2 ./name');
    expect(stat?.attrs).toEqual({ mode: 0o100755, size: 1234, uid: 0, gid: 50, atime: 1_600_000_000, mtime: 1_500_000_000 });
    expect(stat === undefined ? '' : longName(Buffer.from('name'), stat, new Date('2026-01-01')).toString()).toMatch(
      /^-rwxr-xr-x {4}2 root {5}50 {11}1234 Jul 1[34] {2}2017 name$/,
    );
    expect(parseStat('stat: cannot')).toBeUndefined();
  });

  it('of times before 1970 and to come is as OpenSSH tells it', () => {
    const line = (time: number, now: number): string => {
      const stat = parseStat(`81a4 0 0 0 ${time} ${time} a b 1`);
      if (stat === undefined) throw new Error('not parsed');
      expect(stat.attrs.mtime).toBe(time >>> 0);
      return longName(Buffer.from('x'), stat, new Date(1000 * now)).toString().slice(43);
    };
    const now = 1_700_000_000;
    expect(line(-10 * 86_400, now)).toMatch(/Dec 2[12] {2}1969 x$/);
    // The year also for what is a second in the future, and after half of 365 days.
    expect(line(now + 1, now)).toMatch(/ 2023 x$/);
    expect(line(now, now)).toMatch(/\d\d:\d\d x$/);
    expect(line(now - 15_767_999, now)).toMatch(/\d\d:\d\d x$/);
    expect(line(now - 15_768_000, now)).toMatch(/ 2023 x$/);
  });

  it('of special modes shows them', () => {
    const line = (mode: string): string => {
      const stat = parseStat(`${mode} 0 0 0 0 0 a b 1`);
      return stat === undefined ? '' : longName(Buffer.from('x'), stat).toString().slice(0, 10);
    };
    expect([line('43ff'), line('89ed'), line('8924'), line('a1ff')]).toEqual(['drwxrwxrwt', '-rwsr-xr-x', '-r-Sr--r--', 'lrwxrwxrwx']);
  });
});

describe('a line of ls -ln', () => {
  const now = new Date('2026-03-01T00:00:00Z');

  it.each([
    ['-rwxr-x---    1 0        100          1234 2026-01-02 03:04:05 +0100 ./a b', 0o100750, 1234, '2026-01-02T02:04:05Z', './a b'],
    ['-rw-r--r-- 1 0 0 5 2026-01-02 03:04:05.123456789 +0000 plain', 0o100644, 5, '2026-01-02T03:04:05Z', 'plain'],
    ['drwxrwxrwt    2 0        0             4096 Feb  3 20:56 tmp', 0o041777, 4096, '2026-02-03T20:56:00Z', 'tmp'],
    ['-rwSr-Sr-T    1 0        0                0 Nov 22 20:56 old', 0o107644, 0, '2025-11-22T20:56:00Z', 'old'],
    ['lrwxrwxrwx    1 0        0                5 Nov 22  2019 link -> tar -> get', 0o120777, 5, '2019-11-22T00:00:00Z', 'link'],
    ['crw-rw-rw-    1 0        0           1,   3 Feb  3 20:56 null', 0o020666, 0, '2026-02-03T20:56:00Z', 'null'],
  ])('%j is understood', (line, mode, size, time, name) => {
    const listed = parseListed(line, now);
    expect(listed?.stat.attrs).toMatchObject({ mode, size, mtime: Date.parse(time) / 1000 });
    expect(listed?.name).toBe(name);
  });

  it.each(['total 12', '', 'ls: x: No such file or directory', '-rw-r--r-- 1 root root 5 Feb  3 20:56 x'])('%j is none', (line) => {
    expect(parseListed(line, now)).toBeUndefined();
  });
});
