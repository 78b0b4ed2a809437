import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    root: new URL('../..', import.meta.url).pathname,
    include: ['test/c-agent/*.run.ts'],
    disableConsoleIntercept: true,
    teardownTimeout: 60_000,
    hookTimeout: 0,
  },
});
