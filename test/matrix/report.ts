/** The table of a run: agent and tier down, shells across; what failed stands below it. */
import { nameOf, SHELLS, type Cell } from './cells.js';

export interface Result {
  cell: Cell;
  seconds: number;
  checks: number;
  /** Check and what was wrong with it. */
  wrong: { check: string; why: string }[];
}

export function resultText({ cell, seconds, checks, wrong }: Result): string {
  const list = wrong.map(({ check, why }) => `\n  ${check}: ${why.replaceAll('\n', '\n    ')}`);
  return `${nameOf(cell)}: ${checks - wrong.length} of ${checks} in ${seconds.toFixed(0)} s${list.join('')}`;
}

export function table(results: readonly Result[]): string {
  const rows = [...new Set(results.map(({ cell: { profile, tier } }) => `${profile} ${tier}`))];
  const columns = SHELLS.filter((shell) => results.some(({ cell }) => cell.shell === shell));
  const text = (row: string, shell: string): string => {
    const result = results.find(({ cell }) => `${cell.profile} ${cell.tier}` === row && cell.shell === shell);
    return result === undefined ? '-' : `${result.checks - result.wrong.length}/${result.checks} ${result.seconds.toFixed(0)} s`;
  };
  const lines = [['agent, tier', ...columns], ...rows.map((row) => [row, ...columns.map((shell) => text(row, shell))])];
  return lines.map(([first = '', ...rest]) => first.padEnd(20) + rest.map((each) => each.padStart(14)).join('')).join('\n');
}
