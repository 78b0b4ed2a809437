import { defineConfig } from 'vitest/config';

/** For what takes long and is run by hand: the fault harness, load and soak. */
export default defineConfig({
  test: {
    root: new URL('../..', import.meta.url).pathname,
    include: ['test/faults/*.run.ts'],
    disableConsoleIntercept: true,
    teardownTimeout: 60_000,
    hookTimeout: 0,
  },
});
