/**
 * `npm run test:suites`: suites that nobody here wrote, against OpenSSH's sshd and through the bridge.
 * Installs what they need, builds, and runs them in a network of their own: the scripts have fixed ports.
 *
 *   --scripts a,b        some scripts (openssh/scripts.ts)
 *   --sides direct,sh    some of direct, python, sh
 *   --strong             without the second run of scripts that go through lists of algorithms
 *   --logs FOLDER        what the scripts and the bridges said; default: a folder in /tmp that is named
 *
 * results.json and RESULTS.md are brought up to date after each script.
 */
import checkNode from '../../bin/lib/check-node.cjs';

checkNode();

import { spawn, spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ensureBuilt, ensurePackages, PrepareError, ROOT } from '../../bin/lib/prepare.mjs';
import { DEBIAN_PACKAGES, SUITE_PACKAGES } from '../debian-packages.mjs';
import { installMissing } from '../support/install.mjs';
import { endLeftovers } from '../support/leftovers.mjs';

const say = (text) => process.stdout.write(`${text}\n`);
const giveUp = (text) => {
  say(text);
  process.exit(1);
};

const text = { type: 'string' };
const { values } = parseArgs({ options: { scripts: text, sides: text, logs: text, strong: { type: 'boolean' } } });
if (process.platform !== 'linux' || process.getuid() !== 0) giveUp('The suites make users and start sshd: run them on Linux, as root.');
const wrong = installMissing([...DEBIAN_PACKAGES, ...SUITE_PACKAGES], say);
if (wrong !== undefined) giveUp(wrong);
try {
  ensurePackages(say);
  ensureBuilt(say);
} catch (error) {
  if (!(error instanceof PrepareError)) throw error;
  giveUp(error.message);
}
if (spawnSync('unshare', ['-n', 'ip', 'link', 'set', 'lo', 'up']).status !== 0) giveUp('The suites need a network namespace of their own (unshare -n), which this machine does not give.');

const logs = values.logs ?? mkdtempSync(join(tmpdir(), 'iotda-ssh-suites-'));
const env = {
  SUITES_LOGS: logs,
  // With settings of somebody's choice it is an experiment, and no result.
  ...(process.env.TEST_SSH_SSHD_CONFOPTS === undefined ? { SUITES_KEEP: '1' } : {}),
  ...(values.scripts === undefined ? {} : { SUITES_SCRIPTS: values.scripts }),
  ...(values.sides === undefined ? {} : { SUITES_SIDES: values.sides }),
  ...(values.strong ? { SUITES_STRONG: '1' } : {}),
};
const mark = randomUUID();
const vitest = [join(ROOT, 'node_modules/vitest/vitest.mjs'), 'run', '--config', join(ROOT, 'test/suites/vitest.config.ts'), '--reporter=default'];
const child = spawn('unshare', ['-n', 'sh', '-c', 'ip link set lo up && exec "$@"', 'sh', process.execPath, ...vitest], {
  cwd: ROOT,
  stdio: ['ignore', 'inherit', 'inherit'],
  env: { ...process.env, ...env, SUITES_MARK: mark },
});
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
child.on('exit', (code, signal) => {
  endLeftovers(`SUITES_MARK=${mark}`);
  say(`logs: ${logs}`);
  process.exit(code ?? (signal === null ? 1 : 130));
});
