/** Names that others gave to files, and what clients send: never a word of a shell's own. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { execScript, quote } from '../../src/helper/sh/script.js';
import { pathWord } from '../../src/helper/sh/sftp-worker.js';
import { escapeForPrintf } from '../../src/helper/sh/wire.js';

const SHELLS = [['/bin/sh', '-c'], ['/bin/bash', '-c'], ['/usr/bin/busybox', 'sh', '-c']].filter(([file = '']) => existsSync(file));

const folder = mkdtempSync(join(tmpdir(), 'iotda-ssh-words-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Bytes of names: any but NUL, and often those that shells care about. */
const bytes = fc.oneof(
  { weight: 3, arbitrary: fc.uint8Array({ min: 1, maxLength: 40 }).map((array) => Buffer.from(array)) },
  { weight: 5, arbitrary: fc.array(fc.constantFrom("'", '"', '\\', '$(touch pwned)', '`touch pwned`', ';touch pwned;', '\n', '-', '*', '~', '%s', '\\0', '!', '#', ' ', "'\\''", '$N', '${IFS}', '\r', '\t', '\u00e9', '\\c'), { maxLength: 8 }).map((parts) => Buffer.from(parts.join(''))) },
);

/** What the shell makes of these words, one by one. */
function read(shell: readonly string[], head: string, words: readonly Buffer[]): Buffer[] {
  const script = Buffer.concat([Buffer.from(`${head}\n`), ...words.flatMap((word) => [Buffer.from("printf '%s\\0' "), word, Buffer.from('\n')])]);
  const [file = '', ...args] = shell;
  const { stdout, status, stderr } = spawnSync(file, [...args.slice(0, -1), '-s'], { cwd: folder, input: script });
  expect(status, stderr.toString()).toBe(0);
  const found: Buffer[] = [];
  for (let from = 0, at = stdout.indexOf(0); at >= 0; from = at + 1, at = stdout.indexOf(0, from)) found.push(stdout.subarray(from, at));
  return found;
}

describe.each(SHELLS.map((shell) => [shell.join(' '), shell] as const))('%s', (_name, shell) => {
  it('takes a file’s name as a name, whatever it is', () => {
    fc.assert(fc.property(fc.array(bytes, { minLength: 20, maxLength: 60 }), (names) => {
      const expected = names.map((name) => (name.length === 0 ? Buffer.from('.') : name[0] === 0x2d ? Buffer.concat([Buffer.from('./'), name]) : name));
      expect(read(shell, "N='\n'", names.map(pathWord))).toEqual(expected);
    }), { numRuns: 25 });
    expect(readdirSync(folder)).toEqual([]);
  });

  it('takes a command as one word for the user’s own shell, and a variable as its value', () => {
    fc.assert(fc.property(fc.array(bytes, { minLength: 20, maxLength: 60 }), (commands) => {
      expect(read(shell, '', commands.map(quote))).toEqual(commands);
    }), { numRuns: 25 });
    const env = { LC_ALL: "'$(touch pwned)\n`touch pwned`'", 'LC_;touch pwned;': 'x', 'LC_$(touch pwned)': 'x', 'A=B': 'x' };
    const script = execScript({ kind: 'exec', command: Buffer.from("'; touch pwned #"), pty: { term: "x'; touch pwned #", size: { cols: 1, rows: 1, widthPx: 0, heightPx: 0 }, modes: [[1, 2 ** 32 - 1], [255, 7]] }, env });
    const [file = '', ...args] = shell;
    const { stdout, status } = spawnSync(file, [...args.slice(0, -1), '-s'], { cwd: folder, input: Buffer.concat([script, Buffer.from('printf %s "$LC_ALL|$TERM|$Ic"\n')]) });
    expect(status).toBe(0);
    expect(stdout.toString()).toBe("'$(touch pwned)\n`touch pwned`'|x'; touch pwned #|'; touch pwned #");
    expect(readdirSync(folder)).toEqual([]);
  });

  it('gives back bytes that travel as an escaped word', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (array) => {
      const input = Buffer.from(array);
      const [file = '', ...args] = shell;
      const { stdout } = spawnSync(file, [...args, 'printf %b "$0"', escapeForPrintf(input)], { cwd: folder });
      expect(stdout.equals(input)).toBe(true);
    }), { numRuns: 60 });
  });
});

it('a name with a NUL, which a shell would drop, is refused', () => {
  expect(() => pathWord(Buffer.from('a\0b'))).toThrow('holds a NUL');
});
