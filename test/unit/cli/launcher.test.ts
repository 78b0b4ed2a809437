/** bin/ as files: what they say before anything of the project is loaded. */
import { execFile } from 'node:child_process';
import { cp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { Scope } from '../../support/scope.js';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const scope = new Scope();
afterAll(() => scope.end());

/** A copy of bin/ beside a package.json that demands a Node version; no dist. */
async function checkout(node: string): Promise<string> {
  const dir = await scope.tempDir('checkout');
  await cp(join(ROOT, 'bin'), join(dir, 'bin'), { recursive: true });
  await writeFile(join(dir, 'package.json'), JSON.stringify({ type: 'module', engines: { node } }));
  return dir;
}

function runNode(...args: string[]): Promise<{ code: unknown; stderr: string }> {
  return new Promise((resolve) => execFile(process.execPath, args, (error, _, stderr) => resolve({ code: error?.code ?? 0, stderr })));
}

test.each(['iotda-ssh', 'start.mjs'])('bin/%s says in one line that Node is too old', async (name) => {
  const result = await runNode(join(await checkout('>=999.1.2'), 'bin', name), 'demo');
  expect(result).toEqual({ code: 3, stderr: `iotda-ssh: Node ${process.versions.node} is too old; install Node 999.1.2 or newer (https://nodejs.org).\n` });
});

test.each([`>=${process.versions.node}`, '>=0.0.1', `>=${Number(process.versions.node.split('.')[0]) - 1}.99.99`])('Node is new enough for %s', async (wanted) => {
  const dir = await checkout(wanted);
  expect(await runNode(join(dir, 'bin', 'iotda-ssh'))).toEqual({ code: 3, stderr: `iotda-ssh: it has not been built yet; run "npm run build" in ${dir}.\n` });
});
