/** The table of a harness run, for the terminal and for FAULTS.md. */
import type { Episode } from './episode.js';
import { KINDS } from './kinds.js';

export interface Row {
  kind: string;
  runs: number;
  survived: number;
  /** Of those that did not survive: the fault did not strike. */
  missed: number;
  worstSeconds: number;
}

export function rows(episodes: readonly Episode[]): Row[] {
  return Object.keys(KINDS)
    .map((kind) => {
      const mine = episodes.filter((episode) => episode.kind === kind);
      return {
        kind,
        runs: mine.length,
        survived: mine.filter(({ wrong }) => wrong === undefined).length,
        missed: mine.filter(({ unstruck }) => unstruck).length,
        worstSeconds: Math.max(0, ...mine.filter(({ wrong }) => wrong === undefined).map(({ recoveryMs }) => recoveryMs)) / 1000,
      };
    })
    .filter(({ runs }) => runs > 0);
}

export function textTable(list: readonly Row[]): string {
  const lines = list.map(({ kind, runs, survived, missed, worstSeconds }) => [kind, String(runs), String(survived), String(missed), worstSeconds.toFixed(1)]);
  lines.unshift(['fault', 'runs', 'survived', 'did not strike', 'worst recovery (s)']);
  const sum = (of: (row: Row) => number): number => list.reduce((total, row) => total + of(row), 0);
  lines.push(['total', String(sum(({ runs }) => runs)), String(sum(({ survived }) => survived)), String(sum(({ missed }) => missed)), Math.max(0, ...list.map(({ worstSeconds }) => worstSeconds)).toFixed(1)]);
  return lines.map(([first = '', ...rest]) => first.padEnd(22) + rest.map((cell) => cell.padStart(20)).join('')).join('\n');
}

export function markdownTable(list: readonly Row[]): string {
  const lines = list.map(({ kind, runs, survived, worstSeconds }) => {
    const { title = '', outcome, boundSeconds, because } = KINDS[kind] ?? {};
    const what = outcome === 'cut' ? 'told, 255, next login works' : 'a delay';
    return `| ${title} | ${what} | ${runs} | ${survived} | ${worstSeconds.toFixed(1)} | ${boundSeconds}: ${because} |`;
  });
  return ['| fault | clients see | runs | survived | worst recovery (s) | bound (s) and why |', '|---|---|--:|--:|--:|---|', ...lines].join('\n');
}
