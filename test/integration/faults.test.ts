/**
 * A short selection of the fault harness (test/faults): one run of the kinds that have little in common,
 * with real clients, through the built program. All of them: `npm run test:faults`.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runEpisode } from '../faults/episode.js';
import { KINDS, type Kind } from '../faults/kinds.js';
import { Lab } from '../faults/lab.js';
import { startEchoServer } from '../faults/work.js';
import { Program } from '../support/program.js';
import { Scope } from '../support/scope.js';
import { waitFor } from '../support/wait.js';

const SELECTION = ['silent-death', 'stall-for-good', 'disconnect-frame', 'source-drop', 'output-garbled', 'commands-dropped', 'front-killed', 'daemon-killed', 'bridge-sigterm'];

/** The sh tier's janitor looks every 5 s (3 s with this grace) for 15 s of silence; then a login. */
const HANG_MS = 60_000;

const scope = new Scope();
let lab: Lab;
let dump = '';

beforeAll(async () => {
  const echo = await startEchoServer();
  scope.add(() => echo.server.close());
  lab = new Lab(scope, echo.port, { graceSeconds: 60 });
  await lab.start();
});
afterAll(() => scope.end());

test.each([
  ['while it types', 'python'],
  ['while it types', 'sh'],
  ['while it logs in again', 'python'],
  ['while it logs in again', 'sh'],
] as const)('a command bears with an agent that hangs %s (%s tier)', async (when, tier) => {
  const own = new Scope();
  scope.add(() => own.end());
  const faults = { silentDeathRate: 0, stallRate: 0, stallForGoodRate: 0, hangRate: 0 };
  const stock = new Lab(own, 0, { graceSeconds: 60, profile: 'c-agent', faults, tier });
  await stock.start();
  const program = new Program('ssh', [...stock.sshOptions(), 'host', 'cat; exit 5'], { input: 'open', timeoutMs: HANG_MS });
  own.add(() => program.stop());
  program.child.stdin?.write('one\n');
  await waitFor('the first line', () => program.stdout === 'one\n', HANG_MS);
  // Into a dead session nothing is typed: the first that hangs then is the boot line of the next.
  if (when === 'while it logs in again') expect(stock.agent.inject('silent-death')).toBe(true);
  expect(stock.agent.inject('hang')).toBe(true);
  program.child.stdin?.write('two\n');
  // The frame that hangs is typed all the same, and its output comes.
  await waitFor('the second line', () => program.stdout === 'one\ntwo\n', HANG_MS);
  program.child.stdin?.write('three\n');
  await waitFor('the third line', () => program.stdout === 'one\ntwo\nthree\n', HANG_MS);
  // No crash, no other tunnel: the agent itself came back.
  const { tunnelsOpened, crashes, logins } = stock.agent.stats();
  expect({ tunnelsOpened, crashes, again: logins > 1 }).toEqual({ tunnelsOpened: 1, crashes: 0, again: true });
  program.child.stdin?.end();
  expect((await program.done).status).toBe(5);
  await own.end();
});

test('a fault that cuts nobody, though it should, did not strike', async () => {
  const kind = { ...(KINDS['daemon-killed'] as Kind), inject: async () => undefined };
  const { wrong, unstruck, cut } = await runEpisode(lab, 'daemon-killed', kind, 1, 'integration', async () => undefined);
  expect({ wrong, unstruck, cut }).toEqual({ wrong: 'did not strike: no client was cut', unstruck: true, cut: 0 });
});

test.each(SELECTION)('clients at work bear with the fault %s', async (name) => {
  const kind = KINDS[name];
  if (kind === undefined) throw new Error(`no kind ${name}`);
  const { wrong } = await runEpisode(lab, name, kind, 0, 'integration', async () => {
    dump = await lab.dump(name);
  });
  expect(wrong, dump).toBeUndefined();
});
