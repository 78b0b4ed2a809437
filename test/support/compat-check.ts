/**
 * A check is one shell script, run against the device's own sshd and against the bridge. What it
 * prints, how it ends, and the files that it leaves on either end must be the same.
 */
import { createHash } from 'node:crypto';
import { createReadStream, readFileSync } from 'node:fs';
import { chown, lstat, mkdir, readdir, readlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startLab, type Lab, type LabOptions, type Side, type Tier } from './compat.js';
import { record, type ClientName } from './compat-results.js';
import { readChecks, type Check } from './compat-script.js';
import { listenPort } from './compat-ports.js';
import { run } from './program.js';
import { Scope } from './scope.js';

/** What a script did, with the names that differ between the sides made equal. */
export interface Observation {
  status: number | null;
  signal: string | null;
  stdout: string;
  stderr: string;
  /** Path to "type mode size hash" or "link -> target", for both ends. */
  local: Record<string, string>;
  remote: Record<string, string>;
}

/** Set by `npm run test:clients:full`: long checks, whole sizes. */
export const FULL = process.env['IOTDA_SSH_TEST_FULL'] === '1';

/** Megabytes of "large" files: enough to fill every window on the way several times. */
export const LARGE_MB = FULL ? 100 : 8;

/** Entries that are not compared: sockets, logs and repositories of the check itself. */
const SCRATCH = /(^|\/)(tmp-|\.)/;

/** The sides' folders: both, since a listing of the home shows both. */
const FOLDERS = /w-(direct|bridge)-w/g;

/** Where the checks are, and what several files of them read ($CHECKS). */
const CHECKS = fileURLToPath(new URL('../clients/checks', import.meta.url));

const PRELUDE = readFileSync(join(CHECKS, 'prelude.sh'), 'utf8');

let counter = 0;

/** One device for a file of checks, started before and ended after them. */
export function useLab(options: LabOptions | ((scope: Scope) => Promise<LabOptions>) = {}): () => Lab {
  const scope = new Scope();
  let lab: Lab | undefined;
  beforeAll(async () => {
    lab = await startLab(scope, typeof options === 'function' ? await options(scope) : options);
  });
  afterAll(() => scope.end());
  return () => {
    if (lab === undefined) throw new Error('the lab is there only inside of tests');
    return lab;
  };
}

export interface CompareOptions {
  /** Further variables of the scripts. */
  env?: Record<string, string>;
  /** Name of the file in test/clients/checks, without .sh; default: the client's name. */
  file?: string;
  /** Only these checks, where not all make sense (the sh tier). */
  only?: RegExp;
  /** Told behind each check's name, where one file is run in several settings. */
  suffix?: string;
}

/** Declares a test for each check of a client. */
export function compare(lab: () => Lab, client: ClientName, tier: Tier, options: CompareOptions = {}): void {
  describe(`${client}, ${tier} tier`, () => {
    for (const check of readChecks(options.file ?? client)) {
      if (options.only !== undefined && !options.only.test(check.name)) continue;
      const name = options.suffix === undefined ? check.name : `${check.name} (${options.suffix})`;
      const body = () => record(client, tier, name, check.differs[tier]?.why, () => runCheck(lab(), check, options.env ?? {}));
      it.runIf(!check.long || FULL)(name, { timeout: 3 * check.timeoutMs }, body);
    }
  });
}

async function runCheck(lab: Lab, check: Check, env: Record<string, string>): Promise<void> {
  let [reference, bridge] = await bothSides(lab, check, env);
  const differs = check.differs[lab.tier];
  if (differs === undefined && !(reference.status === 'fulfilled' && asTold(reference.value, check)) && asTold(bridge, check)) {
    // On a busy machine sshd's side comes too late at times. Nothing of ours is hidden: the bridge was right.
    const said = reference.status === 'fulfilled' ? `${reference.value.stdout.slice(-500)}${reference.value.stderr.slice(-500)}` : String(reference.reason);
    console.warn(`${check.name}: the reference fell short where the bridge did not, so once more. It said: ${said}`);
    [reference, bridge] = await bothSides(lab, check, env);
  }
  if (reference.status === 'rejected') throw reference.reason;
  const direct = reference.value;
  expect(direct, `the reference, which said ${direct.stderr.slice(-500)}`).toMatchObject({ status: check.status, signal: null });
  if (check.prints !== undefined) expect(direct.stdout, 'the reference').toMatch(check.prints);
  if (differs === undefined) expect(bridge).toEqual(direct);
  else {
    // Once the bridge does as sshd does, the reason has to go.
    if (!differs.varies) expect(bridge).not.toEqual(direct);
    expect(bridge.stdout).toMatch(differs.bridgePrints);
  }
}

/** Whether it is what the check says of the reference. */
function asTold(seen: Observation, check: Check): boolean {
  return seen.status === check.status && seen.signal === null && (check.prints?.test(seen.stdout) ?? true);
}

/** The reference, which may not have come to its end, and the bridge. */
async function bothSides(lab: Lab, check: Check, env: Record<string, string>): Promise<[PromiseSettledResult<Observation>, Observation]> {
  const number = counter++;
  const [[reference], bridge] = await Promise.all([Promise.allSettled([observe(lab.direct, check, number, env)]), observe(lab.bridge, check, number, env)]);
  return [reference, bridge];
}

/** Runs the script on one side. */
async function observe(side: Side, check: Check, number: number, more: Record<string, string>): Promise<Observation> {
  const local = join(side.local, String(number));
  const remote = join(side.remote, String(number));
  const { uid, gid } = await lstat(side.remote);
  await mkdir(local);
  await mkdir(remote);
  await chown(remote, uid, gid);
  const [L1, L2, SERVER] = [await listenPort(), await listenPort(), await listenPort()];
  const env = { ...side.env, LARGE_MB: String(LARGE_MB), ...more, L1, L2, SERVER, CHECKS, W: local, R: remote, HOME: local, LC_ALL: 'C.UTF-8', SSH_AUTH_SOCK: undefined };
  const script = `${local}.sh`;
  await writeFile(script, `${PRELUDE}\n${check.script}`);
  const result = await run('bash', [script], { cwd: local, env, timeoutMs: check.timeoutMs });
  // As a word of its own: a checksum may hold the digits of a port.
  const ports = Object.entries({ PORT: side.port, L1, L2, SERVER }).map(([name, port]) => [name, new RegExp(`\\b${port}\\b`, 'g')] as const);
  const equal = (text: string): string => ports.reduce((told, [name, port]) => told.replace(port, name), text.replaceAll(FOLDERS, 'SIDE'));
  return {
    status: result.status,
    signal: result.signal,
    stdout: equal(show(result.stdout)),
    stderr: equal(show(result.stderr)),
    local: await tree(local, equal),
    remote: await tree(remote, equal),
  };
}

/** Text as it is; much of it by its hash, which says more than pages. */
function show(bytes: Buffer): string {
  const text = bytes.toString('utf8');
  if (bytes.length < 50_000) return Buffer.from(text).equals(bytes) ? text : bytes.toString('latin1');
  return `${bytes.length} bytes, sha256 ${createHash('sha256').update(bytes).digest('hex')}`;
}

async function tree(root: string, equal: (text: string) => string): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  const visit = async (path: Buffer, above: string): Promise<void> => {
    for (const name of (await readdir(path, { encoding: 'buffer' })).sort(Buffer.compare)) {
      const full = Buffer.concat([path, Buffer.from('/'), name]);
      const label = above + name.toString('latin1');
      if (SCRATCH.test(label)) continue;
      const stat = await lstat(full);
      const mode = (stat.mode & 0o7777).toString(8);
      if (stat.isDirectory()) {
        found[label] = `folder ${mode}`;
        await visit(full, `${label}/`);
      } else if (stat.isSymbolicLink()) found[label] = equal(`-> ${await readlink(full)}`);
      else if (stat.isFile()) found[label] = `file ${mode} ${stat.size} ${await hash(full)}`;
      else found[label] = `other ${mode}`;
    }
  };
  await visit(Buffer.from(root), '');
  return found;
}

async function hash(path: Buffer): Promise<string> {
  const sum = createHash('sha256');
  for await (const chunk of createReadStream(path)) sum.update(chunk as Buffer);
  return sum.digest('hex').slice(0, 16);
}
