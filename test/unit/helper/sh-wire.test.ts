import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checksum, cksum, verifyChecksum } from '../../../src/helper/sh/checksum.js';
import { decodeSegment } from '../../../src/helper/sh/encoding.js';
import { loaderLine, numberedLines, programLines } from '../../../src/helper/sh/program.js';
import { RecordScanner } from '../../../src/helper/sh/scanner.js';
import { escapeForPrintf, INLINE_CHARS, INPUT_SLOTS, parseRecord, SEGMENT_MAX_BYTES, STREAM_SEGMENTS, type ShRecord } from '../../../src/helper/sh/wire.js';

const TAG = 'sabc123';
const framed = (body: string): string => `:${TAG} ${body} ${checksum('cksum', Buffer.from(body))};`;
const short = (type: string, value: string): string => `:${TAG} ${type} ${value} ${value};`;

function scan(chunks: readonly Buffer[]): { records: ShRecord[]; damaged: number } {
  const records: ShRecord[] = [];
  const scanner = new RecordScanner(TAG, (record) => records.push(record));
  for (const chunk of chunks) scanner.feed(chunk);
  return { records, damaged: scanner.damaged };
}

describe('checksums', () => {
  it('are those that the tools print', () => {
    expect(cksum(Buffer.from('abc'))).toBe(1219131554);
    expect(cksum(Buffer.alloc(0))).toBe(4294967295);
    expect(checksum('md5sum', Buffer.from('abc'))).toBe('900150983cd24fb0d6963f7d28e17f72');
    expect(checksum('sha256sum', Buffer.from('x'))).toBe(createHash('sha256').update('x').digest('hex'));
  });

  it('are told apart by their length', () => {
    for (const tool of ['cksum', 'md5sum', 'sha1sum', 'sha256sum'] as const) {
      expect(verifyChecksum('some text', checksum(tool, Buffer.from('some text')))).toBe(true);
      expect(verifyChecksum('some texT', checksum(tool, Buffer.from('some text')))).toBe(false);
    }
    expect(verifyChecksum('', '')).toBe(false);
    expect(verifyChecksum('a', 'zz')).toBe(false);
  });
});

describe('text for printf %b', () => {
  it('comes out of a shell as the bytes that went in, for every byte but NUL in a variable', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        const text = escapeForPrintf(Buffer.from(bytes));
        expect(text).toMatch(/^[\x20-\x7e]*$/);
        const out = execFileSync('/bin/sh', ['-c', 'printf %b "$1"', 'sh', text]);
        expect(out.equals(Buffer.from(bytes))).toBe(true);
      }),
      { numRuns: 30 },
    );
  });
});

describe('a record', () => {
  const table: readonly [text: string, record: ShRecord][] = [
    [short('a', '12'), { type: 'a', value: 12 }],
    [short('n', '3'), { type: 'n', value: 3 }],
    [short('m', '3'), { type: 'm', value: 3 }],
    [short('F', '7'), { type: 'F', value: 7 }],
    [short('A', '0'), { type: 'A', value: 0 }],
    [short('l', '40'), { type: 'l', value: 40 }],
    [short('f', 'no-directory'), { type: 'f', reason: 'no-directory' }],
    [short('g', '0'), { type: 'g' }],
    [short('b', '0'), { type: 'b' }],
    [short('c', '5=9'), { type: 'c', channel: 5, taken: 9 }],
    [short('v', '5=9'), { type: 'v', line: 5, index: 9 }],
    [short('S', 'o/12/34'), { type: 'S', stream: 'o', channel: 12, index: 34 }],
    [framed('h aGVsbG8='), { type: 'h', text: 'aGVsbG8=' }],
    [framed('o 3 17\naGVsbG8='), { type: 'o', channel: 3, index: 17, text: 'aGVsbG8=' }],
    [framed('e 3 0\n'), { type: 'e', channel: 3, index: 0, text: '' }],
    [framed('x 4 0\n7 0 2 1'), { type: 'x', channel: 4, status: 7, signal: 0, out: 2, err: 1 }],
    [framed('p 2 9 1=4 6=2'), { type: 'p', id: 2, last: 9, taken: [[1, 4], [6, 2]] }],
    [framed('p 2 9'), { type: 'p', id: 2, last: 9, taken: [] }],
  ];

  it.each(table)('%j is understood, cut anywhere and with carriage returns', (text, record) => {
    for (let cut = 0; cut <= text.length; cut += 1) {
      expect(scan([Buffer.from(text.slice(0, cut)), Buffer.from(text.slice(cut))]).records).toEqual([record]);
    }
    expect(scan([...text].map((char) => Buffer.from(char))).records).toEqual([record]);
    expect(scan([Buffer.from(text.replaceAll('\n', '\r\n'))]).records).toEqual([record]);
  });

  it.each(table)('%j is dropped when any one character is lost, and never misread', (text, record) => {
    for (let at = 0; at < text.length; at += 1) {
      const got = scan([Buffer.from(`${text.slice(0, at)}${text.slice(at + 1)};`)]).records;
      // Losing the framing character before or after a whole record may leave it whole.
      for (const each of got) expect(each).toEqual(record);
      if (at > 0 && at < text.length - 1) expect(got).toEqual([]);
    }
  });

  it('is found among foreign text, and foreign text within it is not taken for it', () => {
    const good = short('a', '1');
    expect(scan([Buffer.from(`motd: hello;\r\n${good}wall: x;;::${good}`)]).records).toHaveLength(2);
    expect(scan([Buffer.from(`:${TAG} a 1 \r\nmessage\r\n1;${good}`)])).toMatchObject({ records: [{ type: 'a', value: 1 }], damaged: 1 });
    expect(scan([Buffer.from(':other a 1 1;')]).records).toEqual([]);
  });

  it.each(['a 1', 'a 1 2', 'a x x', 'a -1 -1', 'a 1 1 1', 'z 1 1', 'c 1 1', 'c 1=2=3 1=2=3', 'c a=1 a=1', 'v 1 1', 'S x/1/1 x/1/1', 'S o/1 o/1', 'S o/1/1/1 o/1/1/1', 'x 1 0\n1 2 3 99', '', 'a'])(
    'of the wrong form (%j) is nothing',
    (text) => {
      expect(parseRecord(text, () => true)).toBeUndefined();
    },
  );

  it('longer than any the device makes does not fill memory', () => {
    const scanner = new RecordScanner(TAG, () => undefined);
    for (let megabytes = 0; megabytes < 20; megabytes += 1) scanner.feed(Buffer.alloc(1_000_000, 0x61));
    const records = scan([Buffer.alloc(300_000, 0x61), Buffer.from(`;${short('a', '1')}`)]).records;
    expect(records).toEqual([{ type: 'a', value: 1 }]);
  });

  it('never throws, whatever comes', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(fc.uint8Array(), fc.constantFrom(...table.map(([text]) => Buffer.from(text)), Buffer.from(`:${TAG} `), Buffer.from(';')))), (chunks) => {
        scan(chunks.map((chunk) => Buffer.from(chunk)));
      }),
    );
  });
});

describe('a segment', () => {
  it('is decoded from base64 in lines and from hex', () => {
    expect(decodeSegment('aGVs\nbG8=\n', 'b64')?.toString()).toBe('hello');
    expect(decodeSegment(' 68 65\n 6c', 'hex')?.toString()).toBe('hel');
    expect(decodeSegment('', 'b64')?.length).toBe(0);
  });

  it.each([['abc', 'b64'], ['a*cd', 'b64'], ['abc', 'hex'], ['zz', 'hex']] as const)('%j is not %s', (text, encoding) => {
    expect(decodeSegment(text, encoding)).toBeUndefined();
  });
});

describe('the device program', () => {
  const lines = programLines({ tag: TAG, name: '.x', graceSeconds: 60, stateDir: "/it's" });

  it('knows the bounds of this side', () => {
    expect(lines).toContain(`IW=${STREAM_SEGMENTS}`);
    expect(lines).toContain(`IB=${SEGMENT_MAX_BYTES}`);
    expect(lines).toContain(`IG=60`);
  });

  it('is printable ASCII in lines that fit a frame, without comments', () => {
    for (const line of lines) {
      expect(line).toMatch(/^[\x20-\x7e]{1,400}$/);
      expect(line).not.toMatch(/^#/);
    }
    expect(lines.join('\n').length).toBeLessThan(20_000);
  });

  it('gives no name to a variable that a user may have exported', () => {
    const names = lines.join('\n').matchAll(/(?:^|[ ;({&|])([A-Za-z_][A-Za-z0-9_]*)=/gm);
    const foreign = [...names].map((match) => match[1]).filter((name) => !/^I[A-Za-z0-9]*$/.test(name ?? '') && !['IFS', 'PATH', 'SHELL', 'LC_ALL'].includes(name ?? ''));
    // Facts printed as name=value are no assignments.
    expect(foreign.filter((name) => !['dir', 'enc', 'system', 'if', 'bs', 'count', 'iflag', 'nc', 'ncU', 'stat'].includes(name ?? ''))).toEqual([]);
  });

  it('is numbered from where the device stands', () => {
    const text = numberedLines(TAG, ['one', 'two words', 'three'], 2);
    expect(text).toMatch(/^sabc123 2 9 two words\nsabc123 3 5 three\nsabc123 e 3 \d+ [0-9a-f]{32}\n$/);
  });

  it('is loaded by one line that loses nothing to a damaged one', () => {
    const program = ['printf "%s" "a  b"', "printf 'c\\n'"];
    const good = numberedLines(TAG, program, 1).split('\n');
    const input = [good[0]?.slice(0, 20), `${TAG} 1 99 printf x`, ...good].join('\n');
    const out = execFileSync('/bin/sh', ['-c', loaderLine(TAG)], { input: `${input}\n` }).toString();
    expect(out).toBe(`:${TAG} l 2 2;a  bc\n`);
  });

  it('is not run when its checksum is wrong', () => {
    const text = numberedLines(TAG, ['printf one'], 1).replace('printf one', 'printf two');
    expect(execFileSync('/bin/sh', ['-c', `${loaderLine(TAG)};:`], { input: text }).toString()).toBe(`:${TAG} l 0 0;`);
  });

  it.each([/ \d+ [0-9a-f]{32}$/, /\d{2} [0-9a-f]{32}$/, /\d+ [0-9a-f]{32}$/])('is not run when its checksum is cut off (%s)', (cut) => {
    const text = numberedLines(TAG, ['printf one'], 1).trimEnd().replace(cut, '');
    expect(execFileSync('/bin/sh', ['-c', `${loaderLine(TAG)};:`], { input: `${text}\n` }).toString()).toBe(`:${TAG} l 0 0;`);
  });

  it('keeps a full set of inline items within the smallest pipe', () => {
    expect(INPUT_SLOTS * (INLINE_CHARS + 3)).toBeLessThanOrEqual(4096);
  });
});
