/** The table in the README says what the tests say: no client, tier or difference more or less. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { CLIENTS } from './catalogue.mjs';
import { makeTable, README, readTable } from './table.mjs';

const FOLDER = import.meta.dirname;
const tests = readdirSync(FOLDER)
  .filter((name) => name.endsWith('.test.ts'))
  .map((name) => readFileSync(join(FOLDER, name), 'utf8'));
const rows = readTable(readFileSync(README, 'utf8'));

/** "title, tier" of everything that a test file declares. */
function declared(): string[] {
  const calls = tests.flatMap((text) => [...text.matchAll(/compare\(.*?'([^']+)', '(python|sh)'/g)]);
  return [...new Set(calls.map(([, client, tier]) => `${CLIENTS[client as keyof typeof CLIENTS]?.title}, ${tier}`))].sort();
}

test('the README names the clients and tiers that the tests drive', () => {
  const shown = rows.map(({ title, tier }) => `${title}, ${tier}`).sort();
  // Where there is no FUSE its checks cannot run; a table made there lacks that row.
  const optional = `${CLIENTS.sshfs.title}, python`;
  expect(shown.filter((row) => row !== optional)).toEqual(declared().filter((row) => row !== optional));
});

test('the README names the differences that the checks name, and no failure', () => {
  const checks = readdirSync(join(FOLDER, 'checks')).map((name) => readFileSync(join(FOLDER, 'checks', name), 'utf8'));
  const known = checks.flatMap((text) => [...text.matchAll(/^# (?:differs|sh differs|sh varies): (.*)$/gm)].map(([, why]) => why));
  for (const { differs } of rows) for (const why of differs) expect(known).toContain(why);
});

test('a failing check and a known difference are both told in the table', () => {
  const [, , row] = makeTable(
    [
      { client: 'git', tier: 'python', check: 'clones', passed: true },
      { client: 'git', tier: 'python', check: 'fetches', passed: false },
      { client: 'git', tier: 'python', check: 'pushes | pulls', passed: true, differs: 'a | b' },
    ],
    () => '1.2',
  );
  expect(row).toBe(`| ${CLIENTS.git.title} | 1.2 | python | 2 of 3 | **fails**: fetches<br>a \\| b |`);
});
