import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { helperText, sftpSource } from '../../src/helper/python/program.js';
import { PYTHON } from '../support/py/run.js';

const SECONDS = Number(process.env['FUZZ_SECONDS'] ?? 4);
const SEED = process.env['FUZZ_SEED'] ?? '1';
const RUNS = process.env['FUZZ_SECONDS'] === undefined ? '1500' : '1000000000';
const SCRIPT = fileURLToPath(new URL('./helper_fuzz.py', import.meta.url));

interface Report {
  runs: number;
  corpus: number;
  lines: number;
  failed?: string;
  input?: string;
}

async function fuzzPython(target: string, text: string): Promise<Report> {
  if (PYTHON === undefined) throw new Error('no python3');
  const folder = mkdtempSync(join(tmpdir(), 'iotda-ssh-fuzz-'));
  try {
    const file = join(folder, 'program.py');
    writeFileSync(file, text);
    const { stdout } = await promisify(execFile)(PYTHON, [SCRIPT, file, target, RUNS, String(SECONDS), SEED], { timeout: SECONDS * 1_000 + 60_000 });
    const report = JSON.parse(stdout) as Report;
    if (process.env['FUZZ_SECONDS'] !== undefined) process.stdout.write(`helper ${target}: ${JSON.stringify(report)}\n`);
    return report;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

describe.runIf(PYTHON !== undefined)('fuzzing the programs on the device', () => {
  it.each([
    ['link', 'any text, any packets', 120],
    ['mux', 'any messages', 150],
  ])('the helper survives %s: %s', { timeout: SECONDS * 1_000 + 90_000 }, async (target, _what, lines) => {
    const report = await fuzzPython(target, helperText());
    expect(report.failed, report.input).toBeUndefined();
    expect(report.lines).toBeGreaterThan(lines);
  });

  // In a root of its own, which only root can make.
  it.runIf(process.getuid?.() === 0)('the built-in SFTP server survives any requests', { timeout: SECONDS * 1_000 + 90_000 }, async () => {
    const report = await fuzzPython('sftp', sftpSource());
    expect(report.failed, report.input).toBeUndefined();
    expect(report.lines).toBeGreaterThan(120);
  });
});
