/**
 * `npm run test:c-agent [-- --tier sh --only up,down --sizes '{"megabytes":20}' --plain --locked]`:
 * compiles the agent and drives the built bridge through it.
 */
import checkNode from '../../bin/lib/check-node.cjs';

checkNode();

import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ensureBuilt, ensurePackages, ROOT } from '../../bin/lib/prepare.mjs';
import { compileAgent } from './compile.mjs';
import { endLeftovers } from '../support/leftovers.mjs';

const { values } = parseArgs({
  options: {
    tier: { type: 'string' },
    only: { type: 'string' },
    sizes: { type: 'string' },
    plain: { type: 'boolean' },
    locked: { type: 'boolean' },
  },
});
const say = (text) => process.stdout.write(`${text}\n`);
const mark = randomUUID();
const folder = mkdtempSync(join(tmpdir(), 'iotda-ssh-c-agent-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
ensurePackages(say);
ensureBuilt(say);
let program;
try {
  program = compileAgent(folder);
} catch (error) {
  say(error.message);
  process.exit(1);
}
const env = Object.fromEntries(Object.entries(values).map(([name, value]) => [`C_AGENT_${name.toUpperCase().replaceAll('-', '_')}`, value === true ? '1' : value]));
const child = spawn(process.execPath, [join(ROOT, 'node_modules/vitest/vitest.mjs'), 'run', '--config', join(ROOT, 'test/c-agent/vitest.config.ts'), '--reporter=dot', 'test/c-agent/c-agent.run.ts'], {
  cwd: ROOT,
  stdio: 'inherit',
  env: { ...process.env, ...env, C_AGENT_PROGRAM: program, C_AGENT_MARK: mark },
});
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
child.on('exit', (code, signal) => {
  endLeftovers(`C_AGENT_MARK=${mark}`);
  process.exit(code ?? (signal === null ? 1 : 130));
});
