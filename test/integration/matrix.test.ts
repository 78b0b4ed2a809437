/** A strip of the matrix (test/matrix): what a session is given, with each login shell on both tiers. */
import { describe, expect, test } from 'vitest';
import { SHELLS, TIERS } from '../matrix/cells.js';
import { resultText } from '../matrix/report.js';
import { runCell } from '../matrix/run-cell.js';

describe.each(SHELLS)('with the login shell %s and noisy start-up files', (shell) => {
  test.each(TIERS)('sessions on the %s tier have the environment, names and start-up of sshd’s', async (tier) => {
    const result = await runCell({ profile: 'sound', shell, tier }, /^(environment|name of the shell|script on stdin|-tt with a command)$/);
    expect(result.checks).toBe(4);
    expect(result.wrong, resultText(result)).toEqual([]);
  });
});
