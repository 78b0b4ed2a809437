/**
 * Every agent crossed with every login shell and both tiers, with noisy start-up files, coloured prompts
 * and a message of the day (`npm run test:matrix`). The reference of each cell is the same user at the
 * device's own sshd.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Scope } from '../support/scope.js';
import { nameOf, PROFILES, SHELLS, startCell, TIERS, type Cell } from './cells.js';
import { CHECKS } from './checks.js';
import { differences, Side } from './observe.js';
import { table, type Result } from './report.js';

const chosen = <T extends string>(all: readonly T[], variable: string): T[] => {
  const names = process.env[variable]?.split(',');
  return all.filter((name) => names === undefined || names.includes(name));
};
const only = process.env['MATRIX_CHECKS'];
const LANES = Number(process.env['MATRIX_LANES'] ?? '2');
const say = (text: string): void => void process.stdout.write(`${text}\n`);

async function runCell(cell: Cell): Promise<Result> {
  const began = performance.now();
  const checks = CHECKS.filter((check) => (only === undefined || new RegExp(only).test(check.name)) && (check.in?.(cell) ?? true));
  const wrong: Result['wrong'] = [];
  const scope = new Scope();
  try {
    const stack = await startCell(scope, cell);
    const dir = await scope.tempDir('matrix');
    const side = async (name: string, target: typeof stack.direct): Promise<Side> => {
      await mkdir(join(dir, name));
      const one = new Side(name, target, join(dir, name));
      await one.open(scope);
      return one;
    };
    const [direct, bridge] = [await side('direct', stack.direct), await side('bridge', stack)];
    for (const check of checks) {
      const why = await compare(() => check.look(direct, cell), () => check.look(bridge, cell), check.differs?.(cell));
      if (why !== undefined) wrong.push({ check: check.name, why });
    }
  } catch (error) {
    wrong.push({ check: 'the stack', why: String(error) });
  }
  try {
    await scope.end();
  } catch (error) {
    wrong.push({ check: 'the end', why: String(error) });
  }
  const result = { cell, seconds: (performance.now() - began) / 1000, checks: checks.length, wrong };
  say(`${nameOf(cell)}: ${checks.length - wrong.length} of ${checks.length} in ${result.seconds.toFixed(0)} s${wrong.map(({ check, why }) => `\n  ${check}: ${why.replaceAll('\n', '\n    ')}`).join('')}`);
  return result;
}

/** Why the two sights are not as they should be, or undefined. */
async function compare(direct: () => Promise<unknown>, bridge: () => Promise<unknown>, differs: string | undefined): Promise<string | undefined> {
  try {
    const [reference, ours] = await Promise.all([direct(), bridge()]);
    const found = differences(ours, reference);
    if (found.length > 0) return differs === undefined ? found.join('\n') : undefined;
    return differs === undefined ? undefined : `it is as under sshd now, so this reason has to go: ${differs}`;
  } catch (error) {
    return String(error);
  }
}

test('the whole cross product', { timeout: 0 }, async () => {
  const cells = chosen(PROFILES, 'MATRIX_PROFILES').flatMap((profile) =>
    chosen(SHELLS, 'MATRIX_SHELLS').flatMap((shell) => chosen(TIERS, 'MATRIX_TIERS').map((tier): Cell => ({ profile, shell, tier }))),
  );
  const waiting = [...cells];
  const results: Result[] = [];
  const lane = async (): Promise<void> => {
    for (let cell = waiting.shift(); cell !== undefined; cell = waiting.shift()) results.push(await runCell(cell));
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  results.sort((a, b) => cells.indexOf(a.cell) - cells.indexOf(b.cell));
  say(`\n${table(results)}\n`);
  expect(results.flatMap(({ cell, wrong }) => wrong.map(({ check }) => `${nameOf(cell)}: ${check}`))).toEqual([]);
  expect(results.length).toBeGreaterThan(0);
});
