/**
 * `npm test`: on a bare Debian-like machine installs what the tests need, then builds, checks the
 * types and runs every test. Ends with the line "N passed, N failed[, N skipped]"; exit code 0 only
 * when nothing failed. Arguments go to vitest: `npm test -- test/unit`.
 */
import checkNode from '../bin/lib/check-node.cjs';

checkNode();

import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { ensureBuilt, ensurePackages, PrepareError, ROOT } from '../bin/lib/prepare.mjs';
import { DEBIAN_PACKAGES } from './debian-packages.mjs';
import { installMissing } from './support/install.mjs';
import { endLeftovers } from './support/leftovers.mjs';

/** The whole run, in milliseconds; what still runs then is killed and counts as a failure. */
const DEADLINE_MS = 24 * 60_000;
/** Between SIGTERM and SIGKILL for what is cut. */
const KILL_MS = 5_000;

const began = performance.now();
const work = mkdtempSync(join(tmpdir(), 'iotda-ssh-run-'));
process.on('exit', () => rmSync(work, { recursive: true, force: true }));
const say = (text) => process.stdout.write(`\n== ${text}\n`);

/** Ends the run before any test could be counted. */
function giveUp(text) {
  process.stdout.write(`\n${text}\n0 passed, 1 failed\n`);
  process.exit(1);
}

/** Runs a program in its own group, within the deadline; resolves with its exit code. */
function run(file, args, env = {}) {
  return new Promise((resolve) => {
    const child = spawn(file, args, { cwd: ROOT, env: { ...process.env, ...env }, stdio: ['ignore', 'inherit', 'inherit'], detached: true });
    const signal = (name) => {
      try {
        process.kill(-child.pid, name);
      } catch {
        // It has ended.
      }
    };
    const cut = () => {
      signal('SIGTERM');
      setTimeout(() => signal('SIGKILL'), KILL_MS).unref();
    };
    const timer = setTimeout(() => {
      process.stdout.write(`\nThe run has taken ${DEADLINE_MS / 60_000} minutes and is cut; ${basename(file)} was running.\n`);
      cut();
    }, Math.max(0, DEADLINE_MS - (performance.now() - began)));
    for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(name, cut);
    child.on('error', (error) => {
      clearTimeout(timer);
      process.stdout.write(`${file}: ${error.message}\n`);
      resolve(127);
    });
    child.on('exit', (code) => {
      clearTimeout(timer);
      for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.off(name, cut);
      // What it left in its group would outlive the run.
      signal('SIGKILL');
      resolve(code ?? 1);
    });
  });
}

async function main() {
  if (process.platform !== 'linux') giveUp('The tests start sshd and make users as on Linux; run them there.');
  const wrong = installMissing(DEBIAN_PACKAGES, say);
  if (wrong !== undefined) giveUp(wrong);
  try {
    ensurePackages(say);
    ensureBuilt(say);
  } catch (error) {
    if (!(error instanceof PrepareError)) throw error;
    giveUp(error.message);
  }
  say('checking the types');
  if ((await run(process.execPath, [join(ROOT, 'node_modules/typescript/bin/tsc'), '-p', 'tsconfig.json'])) !== 0) giveUp('The types are wrong, see above.');
  say('auditing the dependencies');
  const vulnerable = (await run(process.execPath, [join(ROOT, 'test/audit.mjs')])) !== 0;
  say('running the tests');
  const mark = randomUUID();
  const summaryFile = join(work, 'summary.json');
  const reporters = ['--reporter=default', `--reporter=${join(ROOT, 'test/support/reporter.mjs')}`];
  const code = await run(process.execPath, [join(ROOT, 'node_modules/vitest/vitest.mjs'), 'run', ...reporters, ...process.argv.slice(2)], {
    IOTDA_SSH_TEST_SUMMARY: summaryFile,
    IOTDA_SSH_TEST_RUN: mark,
  });
  const left = endLeftovers(mark);
  if (!existsSync(summaryFile)) giveUp(`vitest ended with code ${code} and without a result.`);
  const { passed, failures, skipped, failed } = JSON.parse(readFileSync(summaryFile, 'utf8'));
  if (failures.length > 0) say(`failed:\n${failures.join('\n')}`);
  if (left.length > 0) say(`left running by the tests (and ended now):\n${left.join('\n')}`);
  if (skipped.length > 0) say(`skipped:\n${skipped.map(({ title, reason }) => `${title}: ${reason}`).join('\n')}`);
  // Something went wrong that no test shows: say so in the count as well.
  const vitestAlone = code !== 0 && failed === 0;
  const unseen = (vitestAlone ? 1 : 0) + (left.length > 0 ? 1 : 0) + (vulnerable ? 1 : 0);
  if (vulnerable) say('dependencies that are shipped have known vulnerabilities, see above');
  if (vitestAlone) say(`vitest ended with code ${code} although no test failed`);
  const counts = `${passed} passed, ${failed + unseen} failed${skipped.length > 0 ? `, ${skipped.length} skipped` : ''}`;
  process.stdout.write(`\n${counts}\n`);
  process.exit(failed + unseen === 0 && passed > 0 ? 0 : 1);
}

await main();
