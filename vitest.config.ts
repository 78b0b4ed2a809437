import { defineConfig } from 'vitest/config';

/**
 * Two projects, one after the other: `unit` needs Node, a sh, python3 and ssh-keygen; `integration` drives the built
 * program with real clients and servers on loopback (test/run.mjs installs them).
 */
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/unit/**/*.test.ts', 'test/fuzz/**/*.test.ts', 'test/security/*.test.ts'],
          testTimeout: 30_000,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          name: 'integration',
          include: ['test/integration/**/*.test.ts', 'test/clients/**/*.test.ts', 'test/security/system/**/*.test.ts'],
          testTimeout: 120_000,
          hookTimeout: 120_000,
          // They wait more than they work: two cores bear three, and are half idle with two.
          maxWorkers: 3,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
