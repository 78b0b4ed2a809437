/**
 * A short selection of the fault harness (test/faults): one run of the kinds that have little in common,
 * with real clients, through the built program. All of them: `npm run test:faults`.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runEpisode } from '../faults/episode.js';
import { KINDS } from '../faults/kinds.js';
import { Lab } from '../faults/lab.js';
import { startEchoServer } from '../faults/work.js';
import { Scope } from '../support/scope.js';

const SELECTION = ['silent-death', 'stall-for-good', 'disconnect-frame', 'source-drop', 'output-garbled', 'commands-dropped', 'front-killed', 'daemon-killed', 'bridge-sigterm'];

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

test('clients at work bear with an agent that hangs while it types', async () => {
  const echo = await startEchoServer();
  scope.add(() => echo.server.close());
  const own = new Scope();
  scope.add(() => own.end());
  const faults = { silentDeathRate: 0, stallRate: 0, stallForGoodRate: 0, hangRate: 0 };
  const stock = new Lab(own, echo.port, { graceSeconds: 60, profile: 'c-agent', faults });
  await stock.start();
  const kind = KINDS['agent-sticks'];
  if (kind === undefined) throw new Error('no kind agent-sticks');
  const { wrong } = await runEpisode(stock, 'agent-sticks', kind, 0, 'integration', async () => {
    dump = await stock.dump('agent-sticks');
  });
  expect(wrong, dump).toBeUndefined();
  await own.end();
});

test.each(SELECTION)('clients at work bear with the fault %s', async (name) => {
  const kind = KINDS[name];
  if (kind === undefined) throw new Error(`no kind ${name}`);
  const { wrong } = await runEpisode(lab, name, kind, 0, 'integration', async () => {
    dump = await lab.dump(name);
  });
  expect(wrong, dump).toBeUndefined();
});
