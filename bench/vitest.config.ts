import { defineConfig } from 'vitest/config';

/** Benchmarks run alone and one at a time: they measure. */
export default defineConfig({
  test: { name: 'bench', include: ['bench/**/*.bench.ts'], maxWorkers: 1, fileParallelism: false, hookTimeout: 120_000 },
});
