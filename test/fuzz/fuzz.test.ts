import { describe, expect, it } from 'vitest';
import { readdirSync, readFileSync } from 'node:fs';
import { attempt, fuzz, type Target } from './engine.js';
import { TARGETS } from './targets/index.js';

/** Short in `npm test`; `npm run fuzz` sets FUZZ_SECONDS per target, and another FUZZ_SEED each time. */
const SECONDS = Number(process.env['FUZZ_SECONDS'] ?? 1);
const SEED = Number(process.env['FUZZ_SEED'] ?? 1);
const RUNS = process.env['FUZZ_SECONDS'] === undefined ? 3_000 : Infinity;
const CORPUS = new URL('./corpus/', import.meta.url);

/** Inputs that once uncovered a defect. */
function regressions(target: Target): { file: string; input: Buffer }[] {
  return readdirSync(CORPUS)
    .filter((file) => file.startsWith(`${target.name}-`))
    .map((file) => ({ file, input: Buffer.from(readFileSync(new URL(file, CORPUS), 'utf8').trim(), 'base64') }));
}

describe.each(TARGETS.map((target) => [target.name, target] as const))('fuzzing %s', (_name, target) => {
  it('passes what once failed', async () => {
    for (const { input } of regressions(target)) await attempt(target, input);
  });

  it('finds no input that breaks it', { timeout: SECONDS * 1_000 + 60_000 }, async () => {
    const report = await fuzz(target, { runs: RUNS, ms: SECONDS * 1_000, seed: SEED });
    expect(report.runs).toBeGreaterThan(0);
    expect(report.covered).toBeGreaterThan(100);
    if (process.env['FUZZ_SECONDS'] !== undefined) process.stdout.write(`${target.name}: ${JSON.stringify(report)}\n`);
  });
});
