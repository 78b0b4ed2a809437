import { defineConfig } from 'vitest/config';

/** Suites that nobody here wrote: long, and run by hand. */
export default defineConfig({
  test: {
    root: new URL('../..', import.meta.url).pathname,
    include: ['test/suites/*.run.ts'],
    disableConsoleIntercept: true,
    teardownTimeout: 60_000,
    hookTimeout: 0,
    testTimeout: 0,
  },
});
