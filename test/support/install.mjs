/** Installing what tests need, on Debian and its like. */
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, rmSync, writeFileSync } from 'node:fs';

/** Longest time of one step of apt-get, in milliseconds. */
const STEP_MS = 10 * 60_000;
const POLICY = '/usr/sbin/policy-rc.d';

/**
 * Installs those of `packages` ([name, file that shows that it is there]) that are missing. Returns what is
 * wrong as one sentence, or undefined.
 */
export function installMissing(packages, say) {
  const missing = packages.filter(([, file]) => !existsSync(file)).map(([name]) => name);
  if (missing.length === 0) return undefined;
  say(`installing ${missing.join(' ')}`);
  const byHand = `install them by hand: apt-get install ${missing.join(' ')}`;
  if (!existsSync('/usr/bin/apt-get')) return `These Debian packages (or their like) are needed, and there is no apt-get: ${byHand}`;
  const asRoot = process.getuid() === 0 ? [] : ['sudo', '-n'];
  // Servers among them must not start on their own: the tests start private ones.
  const ownPolicy = process.getuid() === 0 && !existsSync(POLICY);
  if (ownPolicy) {
    writeFileSync(POLICY, '#!/bin/sh\nexit 101\n');
    chmodSync(POLICY, 0o755);
  }
  try {
    for (const args of [['update', '-qq'], ['install', '-y', '-qq', '--no-install-recommends', ...missing]]) {
      const [file, ...rest] = [...asRoot, 'env', 'DEBIAN_FRONTEND=noninteractive', 'apt-get', ...args];
      const { status, error } = spawnSync(file, rest, { stdio: ['ignore', 'inherit', 'inherit'], timeout: STEP_MS });
      if (status !== 0) return `apt-get ${args[0]} failed (${error?.message ?? `exit code ${status}`}); it needs root or passwordless sudo, and Debian's packages. Otherwise ${byHand}`;
    }
  } finally {
    if (ownPolicy) rmSync(POLICY, { force: true });
  }
  const still = packages.filter(([, file]) => !existsSync(file)).map(([name, file]) => `${file} of ${name}`);
  return still.length === 0 ? undefined : `apt-get did not bring ${still.join(', ')}`;
}
