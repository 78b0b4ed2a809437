/**
 * Brings a checkout into a state that runs: packages as locked, `dist` as new as `src`. Does nothing,
 * and needs no network, when all is in place. Used by `npm start` and `npm test`.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** Touched at the end of every complete build (bin/copy-programs.mjs). */
export const BUILD_STAMP = join(ROOT, 'dist', '.built');

/** Longest time one step may take, in milliseconds: a registry that hangs must not hang us. */
const STEP_MS = 10 * 60_000;

/** A step failed; `status` is the exit code to end with. */
export class PrepareError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

/** Installs the locked packages, development tools included, unless exactly they are installed. */
export function ensurePackages(say) {
  if (packagesInstalled()) return;
  say('installing packages from package-lock.json (npm ci) …');
  // --include=dev: with NODE_ENV=production npm would leave out TypeScript, which the build needs.
  npm(['ci', '--include=dev', '--no-audit', '--no-fund', '--loglevel=error'], 'check the network or the registry settings, then run "npm ci" yourself to see more');
}

/** Compiles unless `dist` is newer than everything it is made from. */
export function ensureBuilt(say) {
  if (mtime(BUILD_STAMP) >= newest(['src', 'tsconfig.json', 'tsconfig.build.json', 'package-lock.json'])) return;
  say('building (npm run build) …');
  npm(['run', '--silent', 'build'], 'the lines above say where; a fresh checkout should build');
}

function npm(args, advice) {
  // npm_execpath: the very npm that runs us, which need not be the one in PATH.
  const own = process.env.npm_execpath;
  const [file, first] = own === undefined || !/npm-cli\.[cm]?js$/.test(own) ? ['npm', []] : [process.execPath, [own]];
  const result = spawnSync(file, [...first, ...args], { cwd: ROOT, stdio: ['ignore', 2, 2], timeout: STEP_MS });
  if (result.signal === 'SIGINT' || result.status === 130) throw new PrepareError('interrupted', 130);
  if (result.error !== undefined) throw new PrepareError(`cannot run npm (${result.error.message}); install npm, which comes with Node`, 3);
  if (result.status !== 0) throw new PrepareError(`npm ${args[0] === 'run' ? 'run build' : args[0]} failed: ${advice}`, 3);
}

/**
 * Compares the lock file with npm's own record of what it installed. Times would not do: a checkout
 * that rewrites the lock file with the same content must not need the network.
 */
function packagesInstalled() {
  const wanted = lockedPackages(join(ROOT, 'package-lock.json'));
  const have = lockedPackages(join(ROOT, 'node_modules', '.package-lock.json'));
  return Object.entries(wanted).every(([path, entry]) => path === '' || entry.optional || entry.devOptional || have[path]?.version === entry.version);
}

function lockedPackages(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8')).packages ?? {};
  } catch {
    return {};
  }
}

function newest(names) {
  let latest = 0;
  for (const name of names) {
    const path = join(ROOT, name);
    latest = Math.max(latest, mtime(path));
    if (!statSync(path).isDirectory()) continue;
    for (const entry of readdirSync(path, { recursive: true })) latest = Math.max(latest, mtime(join(path, entry)));
  }
  return latest;
}

/** 0 for what does not exist. */
function mtime(path) {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}
