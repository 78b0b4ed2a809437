/**
 * Hours of mixed work under the stock agent's own faults and injected ones (`npm run soak -- --minutes
 * 60`): nothing lost, nothing hung, and memory, descriptors and the device as at the beginning.
 */
import { mkdirSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { Program } from '../support/program.js';
import { Scope } from '../support/scope.js';
import { Chance } from './chance.js';
import { COMBINED, KINDS } from './kinds.js';
import { Lab, ROOT } from './lab.js';
import { cpuSeconds, fileCount, mib, rssMiB } from './measure.js';
import { Typist } from './typist.js';
import { startEchoServer, WORKS, type Task, type WorkName } from './work.js';

const MINUTES = Number(process.env['SOAK_MINUTES'] ?? '60');
const SEED = process.env['FAULTS_SEED'] ?? '1';
const PROFILE = process.env['SOAK_PROFILE'] === 'sound' ? 'sound' : 'c-agent';
/** A fault is injected this often, in seconds, besides the agent's own. */
const FAULT_EVERY = [20, 60] as const;
const LANES = 2;
const TERMINAL_MS = 120_000;
const DEADLINE_MS = 180_000;

interface Sample {
  minute: number;
  bridge: number;
  helper: number;
  bridgeFiles: number;
  helperFiles: number;
}

const say = (text: string): void => void process.stdout.write(`${text}\n`);

test(`${MINUTES} minutes of mixed work`, { timeout: 0 }, async () => {
  const out = join(ROOT, '.tmp');
  mkdirSync(out, { recursive: true });
  const dumps = join(out, `soak-${SEED}-${process.pid}.dump`);
  const scope = new Scope();
  const echo = await startEchoServer();
  scope.add(() => echo.server.close());
  const lab = new Lab(scope, echo.port, { profile: PROFILE, seed: Number(SEED), graceSeconds: 120 });
  const end = performance.now() + MINUTES * 60_000;
  const done = new Map<string, number>();
  const wrong: string[] = [];
  const samples: Sample[] = [];
  let faults = 0;
  let slowest = 0;
  let echoes = 0;
  const count = (what: string): void => void done.set(what, (done.get(what) ?? 0) + 1);
  const goesOn = (): boolean => performance.now() < end && wrong.length === 0;
  const failed = async (what: string, error: unknown): Promise<void> => {
    const text = `${what}: ${error instanceof Error ? error.message : String(error)}`;
    wrong.push(text);
    say(`FAILED ${text}`);
    await lab.saveDump(dumps, text);
  };

  const lane = async (number: number): Promise<void> => {
    const chance = new Chance(SEED, 'lane', number);
    for (let n = 0; goesOn(); n += 1) {
      const work = chance.pick(Object.keys(WORKS) as WorkName[]);
      const programs: Program[] = [];
      const task: Task = { lab, name: `${SEED}-${number}-${n}-${work}`, chance: new Chance(SEED, number, n), deadlineMs: DEADLINE_MS, begun: () => undefined, programs };
      try {
        const { verdict, said } = await WORKS[work](task);
        if (verdict !== 'ok') throw new Error(`cut: ${said ?? ''}`);
        count(work);
      } catch (error) {
        await failed(task.name, error);
      } finally {
        for (const program of programs) if (program.running) program.kill('SIGKILL');
        await rm(join(lab.account.home, 'work', task.name), { recursive: true, force: true });
        await rm(join(lab.dir, 'work', task.name), { recursive: true, force: true });
      }
    }
  };

  const terminal = async (): Promise<void> => {
    for (let n = 0; goesOn(); n += 1) {
      const programs: Program[] = [];
      const typist = new Typist({ lab, name: `typist-${n}`, chance: new Chance(SEED, 'typist', n), deadlineMs: 2 * TERMINAL_MS + DEADLINE_MS, begun: () => undefined, programs });
      try {
        const until = performance.now() + TERMINAL_MS;
        while (typist.running && performance.now() < until && goesOn()) await sleep(200);
        const { verdict, said } = await typist.finish(DEADLINE_MS);
        if (verdict !== 'ok') throw new Error(`cut: ${said ?? ''}`);
        count('terminal');
      } catch (error) {
        await failed(`typist-${n}`, error);
      } finally {
        slowest = Math.max(slowest, typist.slowest);
        echoes += typist.echoed;
        typist.stop();
        for (const program of programs) if (program.running) program.kill('SIGKILL');
      }
    }
  };

  const trouble = async (): Promise<void> => {
    const chance = new Chance(SEED, 'trouble');
    while (goesOn()) {
      const until = Math.min(end, performance.now() + chance.between(...FAULT_EVERY) * 1_000);
      while (performance.now() < until && wrong.length === 0) await sleep(200);
      if (!goesOn()) return;
      const name = chance.pick(COMBINED);
      try {
        await KINDS[name]?.inject(lab, chance, Promise.resolve());
        faults += 1;
      } catch (error) {
        await failed(name, error);
      }
    }
  };

  const watch = async (): Promise<void> => {
    const began = performance.now();
    for (let minute = 0; goesOn(); minute += 1) {
      const until = Math.min(end, began + minute * 60_000);
      while (performance.now() < until && wrong.length === 0) await sleep(200);
      const [daemon = 0] = await lab.pids('daemon');
      const sample = { minute, bridge: await rssMiB(lab.bridge.pid), helper: await rssMiB(daemon), bridgeFiles: await fileCount(lab.bridge.pid), helperFiles: await fileCount(daemon) };
      samples.push(sample);
      if (minute % 5 === 0) say(`minute ${minute}: ${[...done.values()].reduce((sum, n) => sum + n, 0)} works, ${faults} faults injected, ${JSON.stringify(lab.agent.stats().faults)}, bridge ${mib(sample.bridge)} ${sample.bridgeFiles} fds, helper ${mib(sample.helper)} ${sample.helperFiles} fds, slowest echo ${(slowest / 1000).toFixed(1)} s`);
    }
  };

  try {
    await lab.start();
    await Promise.all([...Array.from({ length: LANES }, (_, n) => lane(n)), terminal(), trouble(), watch()]);
    const { relay } = lab;
    const [legs] = Object.values(relay.stats());
    const total = [...done.values()].reduce((sum, n) => sum + n, 0);
    say(`\n${MINUTES} minutes, profile ${PROFILE}, seed ${SEED}: ${total} works right to the byte (${[...done].map(([name, n]) => `${name} ${n}`).join(', ')}), ${echoes} echoes, the slowest after ${(slowest / 1000).toFixed(1)} s`);
    say(`${faults} faults injected besides the agent's own ${JSON.stringify(lab.agent.stats().faults)}; ${lab.agent.stats().logins} logins; ${((legs?.source.bytesIn ?? 0) / 1e6).toFixed(0)} MB to the device, ${((legs?.source.bytesOut ?? 0) / 1e6).toFixed(0)} MB from it`);
    say(`bridge: ${(await cpuSeconds(lab.bridge.pid)).toFixed(0)} s of processor`);
    const mean = (list: readonly number[]): number => list.reduce((sum, n) => sum + n, 0) / Math.max(1, list.length);
    const part = (from: number, to: number): Sample[] => samples.slice(Math.floor(samples.length * from), Math.ceil(samples.length * to));
    const [early, late] = [part(0.1, 0.35), part(0.75, 1)];
    for (const of of ['bridge', 'helper', 'bridgeFiles', 'helperFiles'] as const) {
      say(`${of}: ${mean(early.map((one) => one[of])).toFixed(1)} early, ${mean(late.map((one) => one[of])).toFixed(1)} late`);
    }
    expect(wrong).toEqual([]);
    if (MINUTES >= 20) {
      expect(mean(late.map(({ bridge }) => bridge))).toBeLessThan(1.3 * mean(early.map(({ bridge }) => bridge)) + 20);
      expect(mean(late.map(({ helper }) => helper))).toBeLessThan(1.3 * mean(early.map(({ helper }) => helper)) + 5);
    }
    lab.bridge.child.kill('SIGTERM');
    await lab.bridge.exited;
    await lab.expectCleanDevice('at the end', 5_000);
  } finally {
    await scope.end();
  }
});
