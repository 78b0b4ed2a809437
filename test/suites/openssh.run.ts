/**
 * OpenSSH's own regression scripts against OpenSSH's sshd and through the bridge, one after the other
 * on this machine. Which scripts and which sides: see run.mjs.
 */
import { chmod, mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { listenPort } from '../support/compat-ports.js';
import { Scope } from '../support/scope.js';
import { throwawayUser } from '../support/user.js';
import { makeArena, type Arena, type Outcome } from './openssh/arena.js';
import { startBridges, type Bridges } from './openssh/bridges.js';
import { keepResults, knownFailure, rowName, ROWS, SIDES, type Row, type SideName } from './openssh/results.js';

const scripts = process.env['SUITES_SCRIPTS']?.split(',');
const sides = SIDES.filter((side) => (process.env['SUITES_SIDES'] ?? SIDES.join(',')).split(',').includes(side));
const logs = process.env['SUITES_LOGS'] ?? '';
const rows = ROWS.filter(({ script, strongOnly }) => (scripts?.includes(script.name) ?? true) && (strongOnly || script.algorithms !== true || process.env['SUITES_STRONG'] === undefined));

interface Side {
  arena: Arena;
  bridges: Bridges | undefined;
}

async function startSide(scope: Scope, name: SideName): Promise<Side> {
  const account = await throwawayUser(scope);
  const sudoers = `/etc/sudoers.d/${account.name}`;
  scope.add(() => rm(sudoers, { force: true }));
  // As Debian's own run of the suite does: the scripts start sshd by sudo.
  await writeFile(sudoers, `${account.name} ALL=(ALL) NOPASSWD: ALL\n`, { mode: 0o440 });
  const port = await listenPort();
  if (name === 'direct') return { arena: await makeArena(scope, { account, port }), bridges: undefined };
  const dir = await scope.tempDir('control');
  await chmod(dir, 0o755);
  const control = join(dir, 'control');
  const bridges = await startBridges(scope, { account, tier: name, control });
  return { arena: await makeArena(scope, { account, port, control }), bridges };
}

describe.each(sides)('%s', (name) => {
  const scope = new Scope();
  let side: Promise<Side> | undefined;
  const outcomes = new Map<Row, Partial<Record<SideName, Outcome>>>();
  // After each, so that a run that is cut keeps what it has found.
  afterEach(() => (process.env['SUITES_KEEP'] === undefined ? undefined : keepResults(outcomes)));
  afterAll(() => scope.end());

  test.each(rows.map((row) => [rowName(row), row] as const))('%s', async (title, row) => {
    await mkdir(logs, { recursive: true });
    side ??= startSide(scope, name);
    const { arena, bridges } = await side;
    const log = join(logs, `${name}-${title.replaceAll(/[^a-z0-9-]+/g, '-')}.log`);
    const outcome = await arena.run(row.script.name, { strongOnly: row.strongOnly, log, seconds: row.script.seconds });
    await bridges?.endScript();
    if (bridges !== undefined) await writeFile(`${log}.bridge`, bridges.takeLog());
    outcomes.set(row, { [name]: outcome });
    console.log([`${name.padEnd(7)} ${outcome.result.padEnd(8)} ${String(outcome.seconds).padStart(4)} s  ${title}`, ...outcome.said.map((line) => `          | ${line}`)].join('\n'));
    // What is known to fail must fail: else the table of reasons would rot.
    if (name !== 'direct') expect(outcome.result, outcome.said.join('\n')).toBe(knownFailure(row, name) === undefined ? 'pass' : 'fail');
  });
});
