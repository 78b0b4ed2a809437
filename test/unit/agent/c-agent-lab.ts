/** The C agent between a scripted platform and scripted SSH sessions, anew for each test. */
import { afterEach, beforeEach } from 'vitest';
import type { AgentHandle } from '../../../src/agent/agent.js';
import type { Behaviour } from '../../../src/agent/behaviour.js';
import { Scope } from '../../support/scope.js';
import { waitFor } from '../../support/wait.js';
import { Platform } from './platform.js';
import { ScriptedSessions } from './scripted.js';

/** The C agent with its random faults off; each test turns on the one it is about. */
export const QUIET: Partial<Behaviour> = {
  oneMessagePerRead: false,
  recordBytes: 0,
  silentDeathRate: 0,
  stallRate: 0,
  stallForGoodRate: 0,
  recoveryCrashRate: 0,
  restartMs: 10,
  reconnectStepMs: 10,
};

export let scope: Scope;
export let platform: Platform;
export let sessions: ScriptedSessions;
export let agent: AgentHandle;

beforeEach(async () => {
  scope = new Scope();
  platform = await Platform.start(scope);
  sessions = new ScriptedSessions();
});
afterEach(() => scope.end());

export async function begin(faults: Partial<Behaviour> = {}): Promise<void> {
  agent = await platform.agent(scope, { target: { source: sessions }, profile: 'c-agent', faults: { ...QUIET, ...faults } });
}

export async function logIn(faults: Partial<Behaviour> = {}): Promise<void> {
  await begin(faults);
  platform.connect();
  await waitFor('the login', () => agent.stats().logins === 1);
}
