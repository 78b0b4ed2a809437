/** The helper leaves the device with the bridge, also when the login that it was started over cannot carry the goodbye. */
import { afterAll, describe, expect, it } from 'vitest';
import type { LegName, Verdict } from '../../src/relay/options.js';
import { Lab } from '../faults/lab.js';
import { run } from '../support/program.js';
import { Scope } from '../support/scope.js';
import { waitFor } from '../support/wait.js';

const TIERS = ['python', 'sh'] as const;
/** Long enough for the helper never to end by itself in a test. */
const GRACE_SECONDS = 600;
/** The bridge's own time for the end, and a loaded machine. */
const END_MS = 20_000;

/** The helper's first words, by tier: a packet, or a record with facts or the number done. */
const FIRST_WORDS = { python: /:[A-Za-z0-9+/]{16,}=*;/, sh: /:s[0-9a-f]{12} [hA] / };

const scope = new Scope();
afterAll(() => scope.end());

async function lab(tier: (typeof TIERS)[number], bridgeArgs: readonly string[] = []): Promise<Lab> {
  const own = new Lab(scope, 0, { tier, graceSeconds: GRACE_SECONDS, bridgeArgs: ['--drain', '0', ...bridgeArgs] });
  await own.start();
  return own;
}

async function helperIsThere(of: Lab, tier: (typeof TIERS)[number]): Promise<boolean> {
  if (tier === 'python') return (await of.pids('daemon')).length > 0;
  return (await of.leftFiles()).some((file) => file.endsWith('/h'));
}

const loses = (of: Lab): void => {
  if (!of.agent.inject('silent-death')) throw new Error('there was no session to lose');
};

describe.each(TIERS)('the %s helper leaves the device', (tier) => {
  it('when the bridge is ended after the idle session has died unnoticed', async () => {
    const own = await lab(tier);
    expect((await run('ssh', [...own.sshOptions(), 'host', 'exit 3'])).status).toBe(3);
    expect(await helperIsThere(own, tier)).toBe(true);
    loses(own);
    own.bridge.child.kill('SIGTERM');
    expect((await own.bridge.done).status).toBe(0);
    await own.expectCleanDevice('after SIGTERM', END_MS);
  });

  it('when its last client left, and the session has died since', async () => {
    const own = await lab(tier, ['--linger', '1']);
    expect((await run('ssh', [...own.sshOptions(), 'host', 'exit 3'])).status).toBe(3);
    expect(await helperIsThere(own, tier)).toBe(true);
    loses(own);
    await own.expectCleanDevice('after the last client', END_MS);
  });

  it('when the bridge is ended while it starts', async () => {
    const own = await lab(tier);
    own.filter = (leg: LegName, bytes: Buffer): Verdict => (leg === 'device' && FIRST_WORDS[tier].test(bytes.toString('latin1')) ? 'drop' : 'pass');
    const client = run('ssh', [...own.sshOptions(), 'host', 'exit 3']);
    await waitFor('the helper to be on the device', () => helperIsThere(own, tier), END_MS);
    own.bridge.child.kill('SIGTERM');
    await waitFor('the bridge to be ending', () => own.bridge.stderr.includes('the device session ended'), END_MS);
    own.filter = undefined;
    expect((await client).status).toBe(255);
    expect((await own.bridge.done).status).toBe(0);
    expect(own.bridge.stderr).not.toContain('the device is ready');
    await own.expectCleanDevice('after SIGTERM', END_MS);
  });
});
