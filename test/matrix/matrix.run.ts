/**
 * Every agent crossed with every login shell and both tiers, with noisy start-up files, coloured prompts
 * and a message of the day (`npm run test:matrix`). The reference of each cell is the same user at the
 * device's own sshd.
 */
import { expect, test } from 'vitest';
import { nameOf, PROFILES, SHELLS, TIERS, type Cell } from './cells.js';
import { resultText, table, type Result } from './report.js';
import { runCell } from './run-cell.js';

const chosen = <T extends string>(all: readonly T[], variable: string): T[] => {
  const names = process.env[variable]?.split(',');
  return all.filter((name) => names === undefined || names.includes(name));
};
const names = process.env['MATRIX_CHECKS'];
const only = names === undefined ? undefined : new RegExp(names);
const LANES = Number(process.env['MATRIX_LANES'] ?? '2');
const say = (text: string): void => void process.stdout.write(`${text}\n`);

test('the whole cross product', { timeout: 0 }, async () => {
  const cells = chosen(PROFILES, 'MATRIX_PROFILES').flatMap((profile) =>
    chosen(SHELLS, 'MATRIX_SHELLS').flatMap((shell) => chosen(TIERS, 'MATRIX_TIERS').map((tier): Cell => ({ profile, shell, tier }))),
  );
  const waiting = [...cells];
  const results: Result[] = [];
  const lane = async (): Promise<void> => {
    for (let cell = waiting.shift(); cell !== undefined; cell = waiting.shift()) {
      const result = await runCell(cell, only);
      say(resultText(result));
      results.push(result);
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  results.sort((a, b) => cells.indexOf(a.cell) - cells.indexOf(b.cell));
  say(`\n${table(results)}\n`);
  expect(results.flatMap(({ cell, wrong }) => wrong.map(({ check }) => `${nameOf(cell)}: ${check}`))).toEqual([]);
  expect(results.length).toBeGreaterThan(0);
});
