/**
 * `npm run test:faults`, `npm run soak`, `npm run load`, `npm run test:matrix`: builds as far as needed and runs one of the
 * long tests, with options given to it as variables.
 */
import checkNode from '../../bin/lib/check-node.cjs';

checkNode();

import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ensureBuilt, ensurePackages, ROOT } from '../../bin/lib/prepare.mjs';
import { endLeftovers } from '../support/leftovers.mjs';

const [what = 'faults', ...args] = process.argv.slice(2);
const options = {
  faults: { runs: 'FAULTS_RUNS', seed: 'FAULTS_SEED', kinds: 'FAULTS_KINDS', number: 'FAULTS_NUMBER', write: 'FAULTS_WRITE', tier: 'FAULTS_TIER' },
  soak: { minutes: 'SOAK_MINUTES', seed: 'FAULTS_SEED', profile: 'SOAK_PROFILE' },
  load: { only: 'LOAD_ONLY', bytes: 'LOAD_BYTES' },
  matrix: { profiles: 'MATRIX_PROFILES', shells: 'MATRIX_SHELLS', tiers: 'MATRIX_TIERS', checks: 'MATRIX_CHECKS', lanes: 'MATRIX_LANES' },
}[what];
if (options === undefined) throw new Error(`unknown: ${what}`);
const flags = Object.fromEntries(Object.keys(options).map((name) => [name, { type: 'string' }]));
const { values } = parseArgs({ args, options: { ...flags, verbose: { type: 'boolean' } } });
const env = Object.fromEntries(Object.entries(values).flatMap(([name, value]) => (options[name] === undefined ? [] : [[options[name], value]])));
if (values.verbose) env.FAULTS_VERBOSE = '1';
// A run without arguments, and that alone, writes its table into FAULTS.md.
if (what === 'faults' && args.length === 0) env.FAULTS_WRITE = join(ROOT, 'FAULTS.md');

const mark = randomUUID();
const say = (text) => process.stdout.write(`${text}\n`);
ensurePackages(say);
ensureBuilt(say);
const child = spawn(
  process.execPath,
  [join(ROOT, 'node_modules/vitest/vitest.mjs'), 'run', '--config', join(ROOT, 'test/faults/vitest.config.ts'), '--reporter=dot', `test/${what === 'matrix' ? what : 'faults'}/${what}.run.ts`],
  { cwd: ROOT, stdio: 'inherit', env: { ...process.env, ...env, FAULTS_MARK: mark } },
);
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
child.on('exit', (code, signal) => {
  endLeftovers(`FAULTS_MARK=${mark}`);
  process.exit(code ?? (signal === null ? 1 : 130));
});
