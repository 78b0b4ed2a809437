/** The fault harness (`npm run test:faults`); its options come from run.mjs through the environment. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Scope } from '../support/scope.js';
import { Chance } from './chance.js';
import { runEpisode, type Episode } from './episode.js';
import { KINDS, type LabName } from './kinds.js';
import { Lab, ROOT, type LabOptions } from './lab.js';
import { markdownTable, rows, textTable } from './report.js';
import { startEchoServer } from './work.js';

const SEED = process.env['FAULTS_SEED'] ?? '1';
const RUNS = Number(process.env['FAULTS_RUNS'] ?? '220');
const ONLY = process.env['FAULTS_KINDS']?.split(',');
const NUMBER = process.env['FAULTS_NUMBER'];
const WRITE = process.env['FAULTS_WRITE'];

const TIER = process.env['FAULTS_TIER'] === 'sh' ? 'sh' : 'python';

/** `stock`: the C agent with all its faults as often as they were measured. */
const LABS: Readonly<Record<LabName | 'stock' | 'brief stock', LabOptions>> = {
  'sound': { graceSeconds: 60 },
  'stock': { graceSeconds: 60, profile: 'c-agent' },
  'brief': { graceSeconds: 10 },
  'brief stock': { graceSeconds: 10, profile: 'c-agent' },
  'c-agent': {
    profile: 'c-agent', graceSeconds: 60,
    faults: { silentDeathRate: 1 / 66, stallRate: 1 / 300, stallForGoodRate: 1 / 600, crashRate: 1 / 3000, outputLossRate: 1 / 100 },
  },
  'csharp-agent': { profile: 'csharp-agent', graceSeconds: 60, faults: { outputReorderRate: 1 / 20, commandReorderRate: 1 / 20 } },
};

const say = (text: string): void => void process.stdout.write(`${text}\n`);

/** Kind by kind in turn, in an order that the seed decides; the kinds of one lab together. */
function schedule(): { kind: string; number: number }[] {
  const kinds = Object.keys(KINDS).filter((kind) => ONLY === undefined || ONLY.includes(kind));
  const list = Array.from({ length: NUMBER === undefined ? RUNS : kinds.length }, (_, i) => ({ kind: kinds[i % kinds.length] as string, number: NUMBER === undefined ? Math.floor(i / kinds.length) : Number(NUMBER) }));
  const mixed = new Chance(SEED, 'order').shuffled(list);
  return (Object.keys(LABS) as (keyof typeof LABS)[]).flatMap((lab) => mixed.filter(({ kind, number }) => labOf(kind, number) === lab));
}

/** Every other run is with the stock agent, where the fault is one that it can survive. */
function labOf(name: string, number: number): keyof typeof LABS | undefined {
  const kind = KINDS[name];
  if (number % 2 === 0 || kind?.soundOnly === true) return kind?.lab;
  return kind?.lab === 'sound' ? 'stock' : kind?.lab === 'brief' ? 'brief stock' : kind?.lab;
}

test('no fault loses, repeats, changes or hangs anything', { timeout: 0 }, async () => {
  const out = join(ROOT, '.tmp');
  mkdirSync(out, { recursive: true });
  const dumps = join(out, `faults-${SEED}-${process.pid}.dump`);
  const outer = new Scope();
  const echo = await startEchoServer();
  outer.add(() => echo.server.close());
  const episodes: Episode[] = [];
  const began = performance.now();
  let lab: { name: string; lab: Lab; scope: Scope } | undefined;
  const close = async (): Promise<void> => {
    const last = lab;
    lab = undefined;
    await last?.scope.end();
  };
  const plan = schedule();
  try {
    for (const { kind: name, number } of plan) {
      const kind = KINDS[name];
      if (kind === undefined) throw new Error(`no kind ${name}`);
      const place = labOf(name, number) ?? 'sound';
      if (lab?.name !== place) {
        await close();
        const scope = new Scope();
        lab = { name: place, scope, lab: new Lab(scope, echo.port, { ...LABS[place], tier: TIER, seed: Number(SEED) }) };
        await lab.lab.start();
      }
      const current = lab.lab;
      // The stock agent adds faults of its own, a crash at the worst.
      const own = place.includes('stock') ? (KINDS['agent-crash']?.boundSeconds ?? 0) : 0;
      const bounded = { ...kind, boundSeconds: Math.max(kind.boundSeconds, own) };
      const episode = await runEpisode(current, name, bounded, number, SEED, ({ wrong }) => current.saveDump(dumps, `${name} #${number}: ${wrong ?? ''}`));
      episodes.push(episode);
      const verdict = episode.wrong === undefined ? 'ok' : episode.unstruck ? 'MISSED' : episode.hung ? 'HUNG' : 'FAILED';
      const cut = kind.outcome === 'cut' ? ` ${episode.cut} of ${episode.clients} cut` : '';
      say(`${String(episodes.length).padStart(4)}/${plan.length} ${name.padEnd(18)} #${number} ${episode.works.join('+').padEnd(18)} ${verdict} ${(episode.recoveryMs / 1000).toFixed(1)} s${cut}${episode.wrong === undefined ? '' : ` ${episode.wrong}`}`);
      for (const said of process.env['FAULTS_VERBOSE'] === undefined ? [] : episode.said) say(`       said: ${said}`);
      if (episode.wrong !== undefined) {
        say(`     state in ${dumps}; again: npm run test:faults -- --seed ${SEED} --kinds ${name} --number ${number}`);
        await close();
      }
    }
  } finally {
    await close();
    await outer.end();
  }
  const table = rows(episodes);
  const minutes = (performance.now() - began) / 60_000;
  say(`\n${textTable(table)}\n\n${plan.length} runs in ${minutes.toFixed(1)} minutes, seed ${SEED}`);
  if (WRITE !== undefined) writeTable(WRITE, `${markdownTable(table)}\n\n${plan.length} runs, seed ${SEED}, ${minutes.toFixed(0)} minutes on two cores: \`npm run test:faults -- --runs ${RUNS} --seed ${SEED}\``);
  expect(episodes.filter(({ wrong }) => wrong !== undefined)).toEqual([]);
});

/** Replaces what is between the marks in FAULTS.md. */
function writeTable(file: string, text: string): void {
  const [begin, end] = ['<!-- table -->', '<!-- end of table -->'];
  const page = readFileSync(file, 'utf8');
  writeFileSync(file, `${page.slice(0, page.indexOf(begin) + begin.length)}\n${text}\n${page.slice(page.indexOf(end))}`);
}
