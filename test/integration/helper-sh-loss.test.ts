import { createHash, randomBytes } from 'node:crypto';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Fault } from '../../src/base/errors.js';
import { LossyCarrier, seeded, type LossPlan } from '../support/lossy-carrier.js';
import type { Carrier } from '../../src/link/carrier.js';
import { createPtyDevice, type PtyCarrier } from '../support/pty-device.js';
import { ShSession, type SessionOptions } from '../support/sh-session.js';
import { waitFor } from '../support/wait.js';

const sha = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

const PLANS: readonly [name: string, plan: Omit<LossPlan, 'seed'>][] = [
  ['1 % of the command frames are lost', { upFrame: 0.01 }],
  ['3 % of the command frames lose a slice', { upSlice: 0.03 }],
  ['1 % of the output chunks are lost', { downChunk: 0.01 }],
  ['1 % of the output chunks lose a slice', { downSlice: 0.01 }],
  ['foreign text appears in 3 % of the output chunks', { downNoise: 0.03 }],
  ['everything happens', { upFrame: 0.01, upSlice: 0.01, downChunk: 0.005, downSlice: 0.005, downNoise: 0.01 }],
];

/** A session whose logins all lose by the plan; each login gets its own dice. */
function lossySession(plan: Omit<LossPlan, 'seed'>, seed: number, options: SessionOptions = {}): { session: ShSession; faults: () => number; end: () => Promise<void> } {
  const device = createPtyDevice('busybox');
  const carriers: LossyCarrier[] = [];
  const session = new ShSession(device, {
    maxWrite: 2000,
    ...options,
    wrap: (login) => {
      const carrier = new LossyCarrier(login, { ...plan, seed: seed * 1000 + carriers.length });
      carriers.push(carrier);
      return carrier;
    },
  });
  return {
    session,
    faults: () => carriers.reduce((sum, carrier) => sum + carrier.faults, 0),
    end: async () => {
      await session.end();
      device.remove();
    },
  };
}

/** Our connection to a terminal that goes on without it. */
class Leg implements Carrier {
  readonly #login: PtyCarrier;
  readonly maxWrite = 2000;
  readonly buffered = 0;
  /** The next frame that ends within a block is the last one. */
  cutNext = false;
  cut = false;
  onText: (bytes: Buffer) => void = () => undefined;
  onLost: (cause: Error) => void = () => undefined;

  constructor(login: PtyCarrier) {
    this.#login = login;
    login.onText = (bytes) => {
      if (!this.cut) this.onText(bytes);
    };
  }

  write(text: string): void {
    if (this.cut) return;
    this.#login.write(text);
    this.cut = this.cutNext && text.length === this.maxWrite && !/\n.{0,99}$/.test(text);
  }
}

/** Pieces of output that the helper holds for the bridge. */
function pieces(state: string): number {
  const held = readdirSync(state, { recursive: true, encoding: 'utf8' }).filter((name) => /\/o\.\d$/.test(name));
  return held.filter((name) => statSync(join(state, name)).size > 0).length;
}

describe('the sh helper on a path that loses', () => {
  it.each(PLANS)('loses no byte and no command when %s', async (_, plan) => {
    const { session, faults, end } = lossySession(plan, 7);
    await session.attach();
    const data = randomBytes(400_000);
    const run = session.exec('tee /dev/stderr; exit 9');
    const small = Array.from({ length: 10 }, (__, index) => session.exec(`echo ${index}; exit ${index}`));
    await run.send(data);
    run.channel.end();
    await run.done();
    expect(sha(run.out)).toBe(sha(data));
    expect(sha(run.err)).toBe(sha(data));
    expect(run.status).toBe(9);
    for (const [index, each] of small.entries()) expect([(await each.done()).text, each.status]).toEqual([`${index}\n`, index]);
    expect(faults()).toBeGreaterThan(0);
    await end();
  });

  it('runs each command once, however often its line is sent', async () => {
    const { session, end } = lossySession({ upFrame: 0.1, downChunk: 0.1 }, 3);
    await session.attach();
    for (let index = 0; index < 15; index += 1) await session.exec('echo line >>count').done();
    const count = await session.exec('wc -l <count').done();
    expect(count.text.trim()).toBe('15');
    await end();
  });

  it('gets everything across to a new login soon, though another command goes on talking', async () => {
    const { session, end } = lossySession({}, 2);
    await session.attach();
    const quiet = Array.from({ length: 6 }, (_, index) => session.exec(`sleep 1; for i in 1 2 3 4 5 6 7 8; do sleep 0.1; printf "${index} $i "; done`));
    const talk = session.exec('while echo line; do sleep 0.1; done');
    await waitFor('the commands to run', () => talk.text.length > 20);
    session.drop();
    // Their output lies on the device in more small pieces than the first window would bear at their most.
    await waitFor('their output to lie there', () => pieces(session.device.state) >= 6 * 8);
    await session.attach();
    await waitFor('the quiet ones to end', () => quiet.every(({ status }) => status === 0), 10_000);
    expect(quiet.map(({ text }) => text)).toEqual(quiet.map((_, index) => [1, 2, 3, 4, 5, 6, 7, 8].map((i) => `${index} ${i} `).join('')));
    talk.channel.close();
    await end();
  });

  it('survives logins that die at random moments while data flows both ways', async () => {
    const { session, end } = lossySession({ upFrame: 0.002, downChunk: 0.002 }, 11);
    await session.attach();
    const random = seeded(5);
    const data = randomBytes(1_500_000);
    const run = session.exec('cat; exit 3');
    const sent = run.send(data).then(() => {
      run.channel.end();
    });
    for (let drop = 1; drop <= 6; drop += 1) {
      const mark = Math.floor((data.length * drop) / 7 + random() * 50_000);
      await waitFor(`${mark} bytes`, () => run.bytes >= mark);
      await session.replace();
    }
    await sent;
    await run.done();
    expect(sha(run.out)).toBe(sha(data));
    expect(run.status).toBe(3);
    await end();
  });

  it.each([
    ['frames', { upFrameChars: 1_300 }],
    ['lines, and the blocks they are,', { upLineChars: 1_300 }],
  ] as const)('gets everything across where small %s pass and large ones never do', async (_, plan) => {
    const { session, faults, end } = lossySession(plan, 4, { maxWrite: 8_000 });
    await session.attach();
    const data = randomBytes(100_000);
    const run = session.exec('cat; exit 4');
    await run.send(data);
    run.channel.end();
    // A script that does not fit a line goes in blocks as well.
    const script = session.exec(`: ${'x'.repeat(40_000)}; echo done`);
    await run.done();
    expect(sha(run.out)).toBe(sha(data));
    expect(run.status).toBe(4);
    expect((await script.done()).text).toBe('done\n');
    expect(faults()).toBeGreaterThan(0);
    expect(readdirSync(session.backend.directory ?? '').filter((name) => name.startsWith('v.'))).toEqual([]);
    await end();
  });

  it.each([
    ['nothing of a block passes', { upLineChars: 600 }, /^The device answers, but \d+ characters that were sent to it have not arrived whole, or found no room there, for 5 s\.$/],
    ['no large piece of output passes, the first and only one', { downRecordChars: 3_000 }, /^The device answers, but a piece of output has not arrived from it for 5 s\.$/],
  ] as const)('ends with one true sentence where %s, though the device answers', async (_, plan, sentence) => {
    const { session, end } = lossySession(plan, 6, { graceSeconds: 5 });
    await session.attach();
    const ended = new Promise<Fault>((resolve) => (session.backend.onEnd = resolve));
    const run = session.exec('head -c 20000 | tr "\\0" x; sleep 600');
    await run.send(Buffer.alloc(20_000));
    const fault = await ended;
    expect(fault.message).toMatch(sentence);
    await session.backend.shutdown(fault, AbortSignal.timeout(5_000));
    expect((await run.done()).fault).toBe(fault);
    expect(run.outcome).toBeUndefined();
    await end();
  });

  it('goes on over the terminal of before, also in the middle of a block', async () => {
    const device = createPtyDevice('busybox');
    const legs: Leg[] = [];
    const session = new ShSession(device, { wrap: (login) => (legs[legs.length] = new Leg(login)) });
    await session.attach();
    const data = randomBytes(800_000);
    const run = session.exec('cat; exit 3');
    const sent = run.send(data).then(() => {
      run.channel.end();
    });
    for (const mark of [100_000, 300_000]) {
      await waitFor('some of it to be back', () => run.bytes > mark);
      const leg = legs.at(-1) as Leg;
      leg.cutNext = true;
      await waitFor('a block to be cut', () => leg.cut);
      session.backend.detach(new Error('our own connection was lost'));
      legs.push(new Leg(session.login as PtyCarrier));
      expect(await session.backend.resume(legs.at(-1) as Leg, AbortSignal.timeout(30_000))).toBe(true);
    }
    await sent;
    await run.done();
    expect(sha(run.out)).toBe(sha(data));
    expect(run.status).toBe(3);
    // Nobody answers in a terminal that has ended.
    session.drop();
    expect(await session.backend.resume(new Leg(session.login as PtyCarrier), AbortSignal.timeout(30_000))).toBe(false);
    await session.attach();
    expect((await session.exec('echo again').done()).text).toBe('again\n');
    await session.end();
    device.remove();
  });

  it('notices what it is owed when the login falls silent', async () => {
    const { session, end } = lossySession({}, 1);
    await session.attach();
    expect(session.backend.owedMs()).toBe(0);
    session.login?.mute();
    const run = session.exec('echo hello');
    await waitFor('the debt to show', () => session.backend.owedMs() > 300);
    session.backend.nudge();
    expect(session.backend.owedMs()).toBeGreaterThan(300);
    session.backend.detach(new Error('silent'));
    expect(session.backend.owedMs()).toBe(0);
    await session.attach();
    expect((await run.done()).text).toBe('hello\n');
    await end();
  });
});
