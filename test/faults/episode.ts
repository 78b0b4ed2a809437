/** One run: clients at work, one fault in the middle, and the judgement. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Program } from '../support/program.js';
import { Chance } from './chance.js';
import type { Kind } from './kinds.js';
import type { Lab } from './lab.js';
import { Unstruck } from './strike.js';
import { Typist } from './typist.js';
import { sentence, WORKS, Wrong, type Judgement, type Task, type WorkName } from './work.js';

export interface Episode {
  kind: string;
  number: number;
  works: readonly WorkName[];
  /** Undefined: survived as the kind demands. */
  wrong: string | undefined;
  hung: boolean;
  /** The fault found nothing, or for kinds that cut, cut nobody: a failure as well. */
  unstruck: boolean;
  /** Clients of this run, the terminal among them, and how many of them were cut. */
  clients: number;
  cut: number;
  /** Milliseconds: the slowest echo, or for kinds that cut, until the last client was told. */
  recoveryMs: number;
  /** What the clients that were cut have read. */
  said: string[];
}

const TYPE_ON_MS = 2_500;

/** On top of the kind's bound: the clients' own time on a busy machine. The sh tier starts processes for each piece. */
const WORK_MS = { python: 45_000, sh: 150_000 };
/** Where the agent's own faults are fifteen times as frequent, most of the time goes by with their repair. */
const FAULTY_WORK = 3;

export async function runEpisode(lab: Lab, name: string, kind: Kind, number: number, seed: string, failed: (episode: Episode) => Promise<void>): Promise<Episode> {
  const chance = new Chance(seed, name, number);
  const works = chance.shuffled(Object.keys(WORKS) as WorkName[]).slice(0, 2);
  const episode: Episode = { kind: name, number, works, wrong: undefined, hung: false, unstruck: false, clients: 0, cut: 0, recoveryMs: 0, said: [] };
  const workMs = WORK_MS[lab.options.tier ?? 'python'] * (kind.lab === 'c-agent' ? FAULTY_WORK : 1);
  const deadlineMs = kind.boundSeconds * 1000 + workMs;
  const programs: Program[] = [];
  let begun: () => void = () => undefined;
  const working = new Promise<void>((resolve) => (begun = resolve));
  const task = (what: string): Task => ({ lab, name: `${seed}-${name}-${number}-${what}`, chance: new Chance(seed, name, number, what), deadlineMs, begun, programs });
  const typist = new Typist(task('typist'));
  let whole: NodeJS.Timeout | undefined;
  try {
    await Promise.race([
      play({ lab, kind, chance, episode, typist, task, working, deadlineMs }),
      // Whatever the parts wait for, this harness included.
      new Promise<never>((_resolve, reject) => {
        whole = setTimeout(() => reject(new Wrong('the run hung')), 3 * deadlineMs);
      }),
    ]);
  } catch (error) {
    episode.wrong = error instanceof Error ? error.message : String(error);
    episode.unstruck = error instanceof Unstruck;
    episode.hung = !episode.unstruck && /still running after|hung|in vain/.test(episode.wrong);
  } finally {
    clearTimeout(whole);
    typist.stop();
    // The dump comes first, while all is as it was.
    if (episode.wrong !== undefined) await failed(episode);
    lab.filter = undefined;
    for (const program of programs) if (program.running) program.kill('SIGKILL');
  }
  return episode;
}

interface Stage {
  lab: Lab;
  kind: Kind;
  chance: Chance;
  episode: Episode;
  typist: Typist;
  task(what: string): Task;
  working: Promise<void>;
  deadlineMs: number;
}

async function play({ lab, kind, chance, episode, typist, task, working, deadlineMs }: Stage): Promise<void> {
  await Promise.race([untilReady(typist), sleep(deadlineMs)]);
  if (!typist.ready) throw new Wrong(`no terminal: ${sentence(typist.stderr)}`);
  const running = episode.works.map(async (work, i): Promise<Judgement> => {
    try {
      return await WORKS[work](task(`${work}${i}`));
    } catch (error) {
      throw new Wrong(`${work}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
    }
  });
  for (const one of running) one.catch(() => undefined);
  await Promise.race([working, Promise.allSettled(running), sleep(5000)]);
  await sleep(chance.between(50, 1500));
  const injectedAt = performance.now();
  let toldMs = 0;
  const over = Promise.allSettled([...running, typist.ended]).then(() => (toldMs = performance.now() - injectedAt));
  await kind.inject(lab, chance, over);
  // The terminal is typed at for a while after the fault, or it would be asked too early.
  const [judgements] = await Promise.all([Promise.all(running), sleep(TYPE_ON_MS)]);
  judgements.push(await typist.finish(deadlineMs));
  judge(kind, judgements, episode);
  if (kind.outcome === 'survive') episode.recoveryMs = typist.slowest;
  else {
    await over;
    await loginWorks(lab, deadlineMs);
    episode.recoveryMs = toldMs;
  }
  if (episode.recoveryMs > kind.boundSeconds * 1000) throw new Wrong(`felt for ${(episode.recoveryMs / 1000).toFixed(1)} s, which is more than its bound`);
  await lab.orphansGone();
  if (!lab.bridge.running) throw new Wrong('the bridge has ended');
}

async function untilReady(typist: Typist): Promise<void> {
  while (!typist.ready && typist.running) await sleep(20);
}

function judge(kind: Kind, judgements: readonly Judgement[], episode: Episode): void {
  episode.clients = judgements.length;
  episode.cut = judgements.filter(({ verdict }) => verdict === 'cut').length;
  // The terminal is there from before the fault until after it.
  if (kind.outcome === 'cut' && episode.cut === 0) throw new Unstruck('no client was cut');
  for (const { verdict, said } of judgements) {
    if (verdict === 'ok') continue;
    if (said !== undefined && said !== '') episode.said.push(said);
    if (kind.outcome === 'survive') throw new Wrong(`a client was cut: ${said ?? ''}`);
    if (kind.sentence !== undefined && said !== undefined && !kind.sentence.test(said)) throw new Wrong(`a client was told ${JSON.stringify(said)}`);
  }
}

/** The next login works: tried as a person would, until it does. */
async function loginWorks(lab: Lab, deadlineMs: number): Promise<void> {
  const end = performance.now() + deadlineMs;
  for (;;) {
    const program = new Program('ssh', [...lab.sshOptions(), 'host', 'echo works'], { timeoutMs: deadlineMs });
    const result = await program.done;
    if (result.status === 0 && result.stdout.toString() === 'works\n') return;
    if (performance.now() > end) throw new Wrong(`no login any more: ${sentence(result.stderr.toString())}`);
    await sleep(200);
  }
}
