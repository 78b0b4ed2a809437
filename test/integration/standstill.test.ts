/** What never gets across on the sh tier, though the device answers, is told within the grace time. */
import { afterAll, describe, expect, it } from 'vitest';
import type { LegName } from '../../src/relay/options.js';
import { Lab } from '../faults/lab.js';
import { run } from '../support/program.js';
import { Scope } from '../support/scope.js';

const GRACE_SECONDS = 10;
/** A block, or a piece of one or of output. Lines that tell and ask pass, and so do logins. */
const PIECE = /[A-Za-z0-9+/]{600}/;

const scope = new Scope();
afterAll(() => scope.end());

describe('an ssh on the sh tier ends with its code for a broken connection and one sentence', () => {
  it.each([
    ['to', 'source', /The device answers, but \d+ characters that were sent to it have not arrived whole, or found no room there, for 10 s\.$/m],
    ['from', 'device', /The device answers, but a piece of output has not arrived from it for 10 s\.$/m],
  ] as const)('where no piece comes %s the device', async (_, leg: LegName, sentence) => {
    const own = new Lab(scope, 0, { tier: 'sh', graceSeconds: GRACE_SECONDS });
    await own.start();
    expect((await run('ssh', [...own.sshOptions(), 'host', 'exit 3'])).status).toBe(3);
    own.filter = (from, bytes) => (from === leg && PIECE.test(bytes.toString('latin1')) ? 'drop' : 'pass');
    const command = leg === 'source' ? 'cat >/dev/null' : 'head -c 20000 blob; exec sleep 600';
    const client = await run('ssh', [...own.sshOptions(), 'host', command], { input: Buffer.alloc(20_000) });
    expect(client.stderr.toString()).toMatch(sentence);
    expect(client.stdout.toString()).toBe('');
    expect(client.status).toBe(255);
    // Sessions are replaced meanwhile, since what is cut short takes the questions behind it for its rest.
    own.filter = undefined;
    await own.expectCleanDevice('after the end', 10_000);
    expect((await run('ssh', [...own.sshOptions(), 'host', 'exit 4'])).status).toBe(4);
  });
});
