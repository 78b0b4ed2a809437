import { defineConfig } from 'vitest/config';

/** For what takes long and is run by hand: the fault harness, load, soak and the matrix. */
export default defineConfig({
  test: {
    root: new URL('../..', import.meta.url).pathname,
    include: ['test/faults/*.run.ts', 'test/matrix/*.run.ts'],
    disableConsoleIntercept: true,
    teardownTimeout: 60_000,
    hookTimeout: 0,
  },
});
