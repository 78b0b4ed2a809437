import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Account } from '../../../src/helper/sh/account.js';
import { OutputStream } from '../../../src/helper/sh/output.js';
import { plan } from '../../../src/helper/sh/requests.js';
import { execScript, quote } from '../../../src/helper/sh/script.js';
import { sttyModes } from '../../../src/helper/sh/stty.js';
import { STREAM_SEGMENTS } from '../../../src/helper/sh/wire.js';

describe('one stream of output', () => {
  it('comes out in order, each segment once, in whatever order and however often they arrive', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: STREAM_SEGMENTS - 1 }), { maxLength: 60 }), (order) => {
        const out: number[] = [];
        const stream = new OutputStream((bytes) => out.push(bytes[0] ?? -1));
        for (const index of order) stream.take(index, Buffer.from([index]), 0);
        const expected = Array.from({ length: STREAM_SEGMENTS }, (_, index) => index);
        const complete = expected.findIndex((index) => !order.includes(index));
        expect(out).toEqual(complete < 0 ? expected : expected.slice(0, complete));
        expect(stream.arrived).toBe(out.length);
      }),
    );
  });

  it('takes nothing beyond what was granted, and grants as the consumer goes on', () => {
    const stream = new OutputStream(() => undefined);
    expect(stream.take(STREAM_SEGMENTS, Buffer.from('x'), 0)).toBe(false);
    for (let index = 0; index < STREAM_SEGMENTS; index += 1) stream.take(index, Buffer.from('x'), 0);
    expect(stream.granted).toBe(STREAM_SEGMENTS);
    stream.released();
    expect(stream.granted).toBe(STREAM_SEGMENTS + 1);
    expect(stream.take(STREAM_SEGMENTS, Buffer.from('x'), 0)).toBe(true);
  });

  it('names its holes: below what has arrived, and below the total', () => {
    const stream = new OutputStream(() => undefined);
    stream.take(2, Buffer.from('c'), 5);
    expect(stream.missing()).toEqual([0, 1]);
    expect(stream.holeSince).toBe(5);
    stream.take(0, Buffer.from('a'), 6);
    stream.take(1, Buffer.from('b'), 7);
    expect(stream.holeSince).toBeUndefined();
    stream.total = 4;
    stream.noteHoles(9);
    expect([stream.missing(), stream.holeSince, stream.complete]).toEqual([[3], 9, false]);
    stream.take(3, Buffer.from('d'), 10);
    expect([stream.complete, stream.holeSince]).toEqual([true, undefined]);
  });
});

describe('a segment that the device told of', () => {
  it('is a hole until it is here, and no other is', () => {
    const stream = new OutputStream(() => undefined);
    stream.take(0, Buffer.from('a'), 1);
    expect(stream.exists(0, 2)).toBe(false);
    expect(stream.holeSince).toBeUndefined();
    expect(stream.exists(1, 3)).toBe(true);
    expect([stream.missing(), stream.holeSince]).toEqual([[1], 3]);
    stream.take(1, Buffer.from('b'), 4);
    expect([stream.missing(), stream.holeSince]).toEqual([[], undefined]);
  });
});

describe('the account of output on its way', () => {
  it('shrinks once for losses of one moment and grows again while all arrives', () => {
    const account = new Account();
    const [window, segment] = [account.window, account.segmentBytes];
    account.lost(1_000);
    account.lost(1_100);
    expect([account.window, account.segmentBytes]).toEqual([window / 2, segment / 2]);
    for (let round = 0; round < 100; round += 1) account.arrived(100_000);
    expect(account.window).toBeGreaterThan(window);
    expect(account.segmentBytes).toBe(segment);
    for (let at = 2_000; at < 100_000; at += 2_000) account.lost(at);
    expect(account.window).toBeGreaterThan(0);
    expect(account.segmentBytes).toBeGreaterThan(1_000);
  });
});

describe('a start script', () => {
  const exec = { kind: 'exec', command: Buffer.from('true'), pty: undefined, env: {} } as const;

  it('quotes any bytes for a shell', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        const text = Buffer.from(bytes.filter((byte) => byte !== 0));
        const script = Buffer.concat([Buffer.from('Ic='), quote(text), Buffer.from('\nprintf %s "$Ic"')]);
        const out = execFileSync('/bin/sh', ['-s'], { input: script });
        expect(out.equals(text)).toBe(true);
      }),
      { numRuns: 30 },
    );
  });

  it('exports what it is given, but nothing that is no variable', () => {
    const script = execScript({ ...exec, env: { LANG: "it's", 'A=B;rm': 'x', LC_ALL: 'a\nb' } }).toString();
    expect(script).toContain(`export LANG='it'\\''s'\n`);
    expect(script).toContain(`export LC_ALL='a\nb'\n`);
    expect(script).not.toContain('rm');
  });

  it('sets the terminal only when there is one', () => {
    const pty = { term: 'vt100', size: { cols: 80, rows: 24, widthPx: 0, heightPx: 0 }, modes: [[53, 0]] as const };
    expect(execScript({ ...exec, pty }).toString()).toMatch(/export TERM='vt100'[^]*stty rows 24 cols 80[^]*-echo/);
    expect(execScript(exec).toString()).toContain('unset TERM');
  });
});

describe('terminal modes', () => {
  it('become words that GNU and BusyBox stty read alike', () => {
    expect(sttyModes([[1, 3], [2, 28], [3, 127], [4, 255], [5, 0x41], [53, 1], [51, 0], [128, 9600], [0, 0]])).toEqual([
      "intr '^C'", "quit '^\\'", "erase '^?'", 'kill undef', "eof 'A'", 'echo', '-icanon',
    ]);
  });
});

describe('what becomes of a request', () => {
  const tcp = { kind: 'tcp', host: '::1', port: 22 } as const;

  it('starts the device’s sftp-server in the home: its folder goes with the channel', () => {
    const planned = plan({ kind: 'sftp' }, { sftp: '/usr/lib/sftp-server' });
    expect(planned.kind === 'run' && planned.script.toString()).toBe("cd \"$HOME\" 2>/dev/null || cd /\nunset OLDPWD\nexec '/usr/lib/sftp-server'\n");
  });

  it.each([[tcp], [{ kind: 'unix', path: Buffer.from('/x') }]] as const)('refuses %j with the reason where nothing can do it', (request) => {
    expect(plan(request, {})).toMatchObject({ kind: 'refuse', reason: { code: 'unsupported' } });
  });
});
