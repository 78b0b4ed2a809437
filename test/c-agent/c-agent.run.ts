/**
 * `npm run test:c-agent`: real clients, the built bridge and relay, and an agent in C whose faults are
 * as real as the stock agent's (agent.c). Everything must come out right, and slow at worst.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { ROOT } from '../faults/lab.js';
import { Scope } from '../support/scope.js';
import { CLab, type Counters } from './lab.js';
import { WORKS, type Sizes, type Tally } from './works.js';

const env = (name: string, otherwise: string): string => process.env[`C_AGENT_${name}`] ?? otherwise;
const TIER = env('TIER', 'python') === 'sh' ? 'sh' : 'python';
const ONLY = env('ONLY', Object.keys(WORKS).join(',')).split(',');
/** The sh tier is an order of magnitude slower. */
const SIZES: Sizes =
  TIER === 'python' ? { megabytes: 200, commands: 5_000, tree: 120, keys: 400, forks: 5 } : { megabytes: 10, commands: 200, tree: 20, keys: 60, forks: 2 };
const sizes: Sizes = { ...SIZES, ...(JSON.parse(env('SIZES', '{}')) as Partial<Sizes>) };

const say = (text: string): void => void process.stdout.write(`${text}\n`);
const scope = new Scope();
const lab = new CLab(scope, {
  tier: TIER,
  agent: env('PROGRAM', ''),
  plain: env('PLAIN', '') === '1',
  agentArgs: env('LOCKED', '') === '1' ? ['--locked'] : [],
});
afterAll(() => scope.end());

const amounts: Record<string, string> = {
  down: `${sizes.megabytes} MB`,
  up: `${sizes.megabytes} MB`,
  both: `${sizes.megabytes / 10} MB each way`,
  commands: String(sizes.commands),
  ansible: `${sizes.forks} forks, twice`,
  files: `${sizes.tree} files, 6 ways`,
  terminal: `${sizes.keys} keys`,
};

function between(before: Counters, after: Counters): Counters {
  return Object.fromEntries(Object.entries(after).map(([name, n]) => [name, n - before[name as keyof Counters]])) as Counters;
}

const COLUMNS = ['what', 'amount', 'done', 'wrong', 'cut', 'worst step (s)', 'time (s)', 'commands', 'recoveries', 'worst (s)', 'hangs', 'killed', 'crashes'] as const;
const rows: string[][] = [[...COLUMNS]];

function table(): string {
  const widths = COLUMNS.map((_, i) => Math.max(...rows.map((row) => (row[i] ?? '').length)) + 2);
  return rows.map((row) => row.map((cell, i) => (i < 2 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join('')).join('\n');
}

test('real clients through a C agent with real faults', { timeout: 0 }, async () => {
  await lab.start();
  const tallies: Tally[] = [];
  for (const [what, work] of Object.entries(WORKS)) {
    if (!ONLY.includes(what)) continue;
    const before = lab.agent.counters;
    const recovered = lab.recoveries().length;
    const began = performance.now();
    const tally: Tally = { what, amount: amounts[what] ?? '', done: 0, wrong: 0, cut: 0, worstMs: 0, seconds: 0, notes: [] };
    tallies.push(tally);
    await work(lab, sizes, tally).catch((error: unknown) => {
      tally.wrong += 1;
      tally.notes.push(String(error));
    });
    tally.seconds = (performance.now() - began) / 1000;
    const count = between(before, lab.agent.counters);
    const repairs = lab.recoveries().slice(recovered);
    const worst = Math.max(0, ...repairs.map(({ ms }) => ms)) / 1000;
    rows.push([what, tally.amount, tally.done, tally.wrong, tally.cut, (tally.worstMs / 1000).toFixed(1), tally.seconds.toFixed(0), count.commands, repairs.length, worst.toFixed(1), count.hangs, count.kills, count.crashes].map(String));
    say(`\n${table()}`);
    for (const note of tally.notes) say(`  ${what}: ${note}`);
    if (tally.wrong + tally.cut > 0) {
      mkdirSync(join(ROOT, '.tmp'), { recursive: true });
      writeFileSync(join(ROOT, '.tmp', `c-agent-${what}.log`), lab.dump());
    }
  }
  const all = lab.agent.counters;
  say(`\nagent: ${JSON.stringify(all)}`);
  say(`one session lost per ${(all.commands / Math.max(1, lab.recoveries().length)).toFixed(0)} command frames`);
  await lab.expectCleanDevice();
  for (const tally of tallies) expect({ what: tally.what, wrong: tally.wrong, cut: tally.cut }).toEqual({ what: tally.what, wrong: 0, cut: 0 });
});
