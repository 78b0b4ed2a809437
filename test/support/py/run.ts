import { execFile, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const FOLDER = new URL('./', import.meta.url).pathname;
const run = promisify(execFile);

/** The interpreter that plays the device: HELPER_PYTHON or python3; undefined when there is none. */
export const PYTHON = [process.env['HELPER_PYTHON'], 'python3'].find(
  (name) => name !== undefined && name !== '' && spawnSync(name, ['-c', 'import sys; sys.exit(sys.version_info < (3, 5))']).status === 0,
);

/** Runs a script of this folder on a file with `content`; resolves with the JSON that it prints. */
export async function runPython(script: string, content: string, args: readonly string[], timeoutMs = 110_000): Promise<unknown> {
  if (PYTHON === undefined) throw new Error('no python3');
  const folder = mkdtempSync(join(tmpdir(), 'pyhelper-'));
  try {
    const file = join(folder, 'input');
    writeFileSync(file, content);
    const { stdout } = await run(PYTHON, [join(FOLDER, script), file, ...args], {
      timeout: timeoutMs,
      maxBuffer: 64 * 1024 * 1024,
      env: { ...process.env, PYTHONDONTWRITEBYTECODE: '1' },
    });
    return JSON.parse(stdout);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Runs inline Python with `input` on its stdin; returns its stdout. */
export function evalPython(code: string, input: string): string {
  if (PYTHON === undefined) throw new Error('no python3');
  const result = spawnSync(PYTHON, ['-c', code], { input, encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 });
  if (result.status !== 0) throw new Error(result.stderr);
  return result.stdout;
}
