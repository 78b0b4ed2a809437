import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { findCycle, folderOf, readImports, specifiers, SRC } from './imports.js';
import { ALLOWED, FORBIDDEN, PACKAGES } from './rules.js';

const { files, packages } = readImports();
const folders = [...new Set([...files.keys()].map(folderOf))].sort();

function reasonAgainst(from: string, to: string): string | undefined {
  return FORBIDDEN.find(([a, b]) => (a === '*' || a === from) && (b === '*' || b === to))?.[2];
}

describe('the table of rules', () => {
  test('knows every folder of src and no other', () => {
    expect(Object.keys(ALLOWED).sort()).toEqual(folders);
  });

  test('gives a reason for every pair that is not allowed', () => {
    const pairs = folders.flatMap((from) => folders.filter((to) => to !== from).map((to) => [from, to] as const));
    expect(pairs.filter(([from, to]) => ALLOWED[from]?.includes(to) !== true && reasonAgainst(from, to) === undefined)).toEqual([]);
  });

  test('allows no cycle of folders', () => {
    expect(findCycle(new Map(Object.entries(ALLOWED)))).toBeUndefined();
  });
});

describe('the sources', () => {
  test('import only in the allowed direction', () => {
    const wrong = [...files].flatMap(([file, imported]) =>
      imported
        .map((target) => [folderOf(file), folderOf(target)] as const)
        .filter(([from, to]) => from !== to && ALLOWED[from]?.includes(to) !== true)
        .map(([from, to]) => `${file} imports from ${to}: ${reasonAgainst(from, to)}`),
    );
    expect(wrong).toEqual([]);
  });

  test('have no cycle of files', () => {
    expect(findCycle(files)).toBeUndefined();
  });

  test('import files that exist', () => {
    expect([...files.values()].flat().filter((file) => !files.has(file))).toEqual([]);
  });

  test('use each library in its own folder only', () => {
    const wrong = [...packages].flatMap(([file, names]) =>
      names.filter((name) => !name.startsWith('node:') && PACKAGES[name]?.includes(folderOf(file)) !== true).map((name) => `${file} uses ${name}`),
    );
    expect(wrong).toEqual([]);
  });

  test('measure time with a clock that does not jump', () => {
    // The hour of the day is for people and for what expires at one (expiry-time of a key).
    const ofTheDay = ['base/log.ts', 'ssh/authorized-keys.ts', 'ssh/key-options.ts', 'cli/report.ts', 'helper/sh/sftp-stat.ts'];
    const wrong = [...files.keys()].filter((file) => !ofTheDay.includes(file) && /\bDate\.now\(|\bnew Date\(/.test(readFileSync(join(SRC, file), 'utf8')));
    expect(wrong).toEqual([]);
  });

  test('leave console and process.exit to the command line', () => {
    const wrong = [...files.keys()].filter((file) => folderOf(file) !== 'cli' && /\bconsole\.|\bprocess\.exit\(/.test(readFileSync(join(SRC, file), 'utf8')));
    expect(wrong).toEqual([]);
  });
});

test('ARCHITECTURE.md says in one row what each folder is for', () => {
  const text = readFileSync(join(SRC, '..', 'ARCHITECTURE.md'), 'utf8');
  const rows = [...text.matchAll(/^\| `src\/(\w+)` \| (.+?) \|/gm)];
  expect(rows.map((row) => row[1]).sort()).toEqual(folders);
  for (const [, folder, purpose] of rows) expect(purpose?.length, folder).toBeGreaterThan(20);
});

test('imports are found in every form that we write', () => {
  const text = [
    "import a from './a.js';",
    "import { b,\n  type C } from '../b.js';",
    "import type { D } from './d.js';",
    "export { e } from './e.js';",
    "export * from './f.js';",
    "import './g.js';",
    "const h = await import('./h.js');",
    "const text = 'words from nowhere';",
    "export const x = \"from './no.js'\";",
  ].join('\n');
  expect(specifiers(text)).toEqual(['./a.js', '../b.js', './d.js', './e.js', './f.js', './g.js', './h.js']);
});

test('a cycle is found and named', () => {
  expect(findCycle(new Map([['a', ['b']], ['b', ['c', 'd']], ['c', []], ['d', ['b']]]))).toEqual(['b', 'd', 'b']);
});
