/** What the runs have found: kept in results.json, and shown in RESULTS.md. */
import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { Outcome } from './arena.js';
import { SCRIPTS, type Script } from './scripts.js';

export const SIDES = ['direct', 'python', 'sh'] as const;
export type SideName = (typeof SIDES)[number];

/** One line of the table: a script, or a script that is run with another list of algorithms. */
export interface Row {
  script: Script;
  /** `ssh -Q` names what sshd offers by default, and no more. */
  strongOnly: boolean;
}

type Results = Record<string, Partial<Record<SideName, { result: Outcome['result']; seconds: number }>>>;

const KEPT = fileURLToPath(new URL('../results.json', import.meta.url));
const SHOWN = fileURLToPath(new URL('../RESULTS.md', import.meta.url));

export const ROWS: readonly Row[] = SCRIPTS.filter((script) => script.notApplicable === undefined).flatMap((script) =>
  script.algorithms === true ? [{ script, strongOnly: true }, { script, strongOnly: false }] : [{ script, strongOnly: false }],
);

export function rowName({ script, strongOnly }: Row): string {
  return script.algorithms === true && !strongOnly ? `${script.name} (all algorithms)` : script.name;
}

/** Why a row is known to fail on a side, or undefined when it has to pass. */
export function knownFailure({ script, strongOnly }: Row, side: SideName): string | undefined {
  if (side === 'direct') return undefined;
  const all = script.algorithms === true && !strongOnly ? script.failsWithAll : undefined;
  return script.fails ?? all ?? (side === 'sh' ? script.failsOnSh : undefined);
}

/** Keeps these outcomes beside the others, and writes the table anew. */
export async function keepResults(outcomes: ReadonlyMap<Row, Partial<Record<SideName, Outcome>>>): Promise<void> {
  const kept = JSON.parse(await readFile(KEPT, 'utf8').catch(() => '{}')) as Results;
  for (const [row, sides] of outcomes) {
    const entry = (kept[rowName(row)] ??= {});
    for (const [side, { result, seconds }] of Object.entries(sides) as [SideName, Outcome][]) entry[side] = { result, seconds };
  }
  const names = ROWS.map(rowName);
  const ordered = Object.fromEntries(names.flatMap((name) => (kept[name] === undefined ? [] : [[name, kept[name]]])));
  await writeFile(KEPT, `${JSON.stringify(ordered, undefined, 1)}\n`);
  await writeFile(SHOWN, table(ordered));
}

function table(results: Results): string {
  const cell = (row: Row, side: SideName): string => {
    const found = results[rowName(row)]?.[side];
    return found === undefined ? 'not run' : found.result;
  };
  const passed = (side: SideName, rows: readonly Row[]): number => rows.filter((row) => cell(row, side) === 'pass').length;
  const asked = ROWS.filter((row) => row.script.algorithms !== true || row.strongOnly);
  const reason = (row: Row): string => {
    const both = knownFailure(row, 'python');
    const sh = both === undefined ? knownFailure(row, 'sh') : undefined;
    return [both, sh === undefined ? undefined : `sh: ${sh}`, row.script.seen].filter((text) => text !== undefined).join('; ');
  };
  const line = (...cells: string[]): string => `| ${cells.join(' | ')} |`;
  const rest = SCRIPTS.filter((script) => script.notApplicable !== undefined);
  return [
    "# OpenSSH's regression scripts through the bridge",
    '',
    "Debian's `openssh-tests` (OpenSSH 9.2p1), scripts unchanged: `direct` is the suite with OpenSSH's own sshd, the",
    'others reach a bridge (relay, agent and the same sshd behind it) wherever the scripts would start sshd,',
    'sftp-server or the other end of scp. How: [openssh/arena.ts](openssh/arena.ts), [openssh/sshd.mjs](openssh/sshd.mjs).',
    '',
    '```sh',
    'npm run test:suites                                              # everything, about two hours',
    'npm run test:suites -- --sides direct,python --scripts transfer   # some of it',
    '```',
    '',
    `Of ${asked.length} scripts that ask something of a server and can be asked of a bridge: **sshd ${passed('direct', asked)}**, **bridge, python tier ${passed('python', asked)}**, **bridge, sh tier ${passed('sh', asked)}**.`,
    'Scripts that go through the lists of `ssh -Q` count with the algorithms that sshd offers by default, without',
    'SHA-1 (hmac-sha1), tags of 64 bits (umac-64) and, as host keys, security tokens; the lines "all algorithms" are the same',
    'scripts with all that the client knows, of which the bridge has no DSA and no security tokens as host keys. What is weak and',
    'a script switches on in sshd is on in the bridge.',
    '',
    line('script', 'direct', 'bridge, python', 'bridge, sh', 'reason'),
    line('---', '---', '---', '---', '---'),
    ...ROWS.map((row) => line(rowName(row), cell(row, 'direct'), cell(row, 'python'), cell(row, 'sh'), reason(row))),
    '',
    '## Not applicable',
    '',
    line('script', 'reason'),
    line('---', '---'),
    ...rest.map((script) => line(script.name, script.notApplicable ?? '')),
    '',
  ].join('\n');
}
