import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Watchdog } from '../../../src/bridge/watchdog.js';
import type { Carrier, Manners } from '../../../src/link/carrier.js';
import { FakeBackend } from './fake-backend.js';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

interface Scene {
  dog: Watchdog;
  backend: FakeBackend;
  carrier: Carrier;
  typed: string[];
  stalls: number[];
  nudges: number;
  kept: number;
}

function scene(manners?: Manners, graceMs = 600_000): Scene {
  const typed: string[] = [];
  const carrier: Carrier = {
    maxWrite: 4000, buffered: 0, write: (text) => typed.push(text), onText: () => undefined, onLost: () => undefined,
    ...(manners === undefined ? {} : { manners }),
  };
  const backend = new FakeBackend();
  const all: Scene = { backend, carrier, typed, stalls: [], nudges: 0, kept: 0, dog: undefined as never };
  all.dog = new Watchdog({
    nudge: () => (all.nudges += 1),
    stalled: (owedMs) => all.stalls.push(owedMs),
    kept: () => (all.kept += 1),
    graceMs,
  });
  all.dog.watch(backend, carrier);
  return all;
}

/** Time passes, with a promise that is not kept. */
async function owing(all: Scene, ms: number): Promise<void> {
  for (let passed = 0; passed < ms && all.stalls.length === 0; passed += 50) {
    all.backend.owed += 50;
    await vi.advanceTimersByTimeAsync(50);
  }
}

describe('the watchdog', () => {
  it('lets a device alone that owes nothing, but for a sign of life now and then', async () => {
    const all = scene();
    await vi.advanceTimersByTimeAsync(9_900);
    expect([all.nudges, all.backend.nudges, all.stalls]).toEqual([0, 0, []]);
    await vi.advanceTimersByTimeAsync(300_000);
    expect(all.backend.nudges).toBe(30);
    expect([all.nudges, all.stalls]).toEqual([0, []]);
  });

  it('asks an idle device rarely, but often enough that it does not give us up', async () => {
    const all = scene();
    all.backend.channels = 0;
    await vi.advanceTimersByTimeAsync(600_000);
    expect(all.backend.nudges).toBeGreaterThanOrEqual(2);
    expect(all.backend.nudges).toBeLessThanOrEqual(3);
  });

  it('asks a quiet device three times per grace, however short that is, also with channels open', async () => {
    const all = scene(undefined, 10_000);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(all.backend.nudges).toBeGreaterThanOrEqual(15);
    expect(all.backend.nudges).toBeLessThanOrEqual(18);
  });

  it('finds out as soon for the first who comes to an idle device', async () => {
    for (const idleMs of [5_050, 7_300, 9_950]) {
      const all = scene();
      all.backend.channels = 0;
      await vi.advanceTimersByTimeAsync(idleMs);
      all.backend.channels = 1;
      await owing(all, 10_000);
      expect(all.nudges).toBe(1);
      expect(all.stalls[0]).toBeLessThanOrEqual(1_850);
    }
  });

  it('nudges once, then gives the session up', async () => {
    const all = scene();
    await owing(all, 1_500);
    expect([all.nudges, all.stalls]).toEqual([1, []]);
    await owing(all, 1_000);
    expect(all.nudges).toBe(1);
    expect(all.stalls).toHaveLength(1);
    expect(all.stalls[0]).toBeGreaterThan(1_700);
    expect(all.stalls[0]).toBeLessThan(2_200);
  });

  it('waits four round trips longer', async () => {
    const all = scene();
    all.backend.rttMs = 1_000;
    await owing(all, 5_500);
    expect(all.stalls).toEqual([]);
    await owing(all, 1_000);
    expect(all.stalls).toHaveLength(1);
  });

  it('is more patient with each session that never kept a promise, and as before once one did', async () => {
    const all = scene();
    const stalledAfter = async (): Promise<number> => {
      all.stalls = [];
      all.backend.owed = 0;
      all.dog.watch(all.backend, all.carrier);
      await owing(all, 60_000);
      return all.stalls[0] ?? Infinity;
    };
    const times = [];
    for (let n = 0; n < 5; n += 1) times.push(await stalledAfter());
    const factors = times.map((ms) => Math.round(ms / 1_700 / 1.1));
    expect(factors).toEqual([1, 2, 4, 7, 7]);
    // A kept promise that falls between two looks counts: progress tells of it.
    all.stalls = [];
    all.backend.owed = 0;
    all.dog.watch(all.backend, all.carrier);
    all.backend.progress += 1;
    await vi.advanceTimersByTimeAsync(300);
    expect(await stalledAfter()).toBeLessThan(2_200);
  });

  it('is quicker with an agent that dies often, until a promise is kept late', async () => {
    const all = scene();
    const stalledAfter = async (): Promise<number> => {
      all.stalls = [];
      await owing(all, 60_000);
      const [ms = Infinity] = all.stalls;
      all.backend.owed = 0;
      all.dog.watch(all.backend, all.carrier);
      // The next session works.
      all.backend.progress += 1;
      await vi.advanceTimersByTimeAsync(300);
      return ms;
    };
    const times: number[] = [];
    for (let n = 0; n < 5; n += 1) times.push(await stalledAfter());
    expect(times.map((ms) => Math.round(ms / 100) / 10)).toEqual([1.8, 1.4, 1.1, 0.9, 0.9]);
    // Silence for most of that, and then an answer after all.
    all.stalls = [];
    await owing(all, 700);
    all.backend.owed = 0;
    all.backend.progress += 1;
    await vi.advanceTimersByTimeAsync(300);
    expect(all.stalls).toEqual([]);
    expect(await stalledAfter()).toBeGreaterThan(1_700);
  });

  it('tells of kept promises, and of none while they are owed', async () => {
    const all = scene();
    await vi.advanceTimersByTimeAsync(500);
    expect(all.kept).toBeGreaterThan(0);
    all.backend.owed = 10;
    await vi.advanceTimersByTimeAsync(260);
    const before = all.kept;
    await owing(all, 1_000);
    expect(all.kept).toBe(before);
    all.backend.progress += 5;
    await vi.advanceTimersByTimeAsync(260);
    expect(all.kept).toBe(before + 1);
  });

  it('counts what came just before a session died, and what the next login tells of', async () => {
    const all = scene();
    const stalled = async (): Promise<void> => {
      all.stalls = [];
      await owing(all, 60_000);
      all.backend.owed = 1;
      all.dog.stop();
    };
    await stalled();
    all.dog.watch(all.backend, all.carrier);
    const before = all.kept;
    // Died at once, but not before a promise was kept: the next is given no more time for that.
    all.backend.progress += 1;
    all.dog.stop();
    expect(all.kept).toBe(before + 1);
    all.dog.watch(all.backend, all.carrier);
    expect(all.kept).toBe(before + 1);
    await stalled();
    expect(all.stalls[0]).toBeLessThan(2_200);
    // Told of by the login only: the time that it took was too short.
    all.backend.progress += 1;
    all.dog.watch(all.backend, all.carrier);
    expect(all.kept).toBe(before + 2);
    await stalled();
    expect(all.stalls[0]).toBeGreaterThan(3_000);
    // Another device's session has another account.
    all.dog.watch(new FakeBackend(), all.carrier);
    expect(all.kept).toBe(before + 2);
  });

  it('takes a session after one that stalled for a working one only once it has answered something', async () => {
    const all = scene();
    await owing(all, 60_000);
    expect(all.stalls).toHaveLength(1);
    // Each login works, nobody owes anything, and no question is answered.
    all.backend.nudge = () => {
      all.backend.nudges += 1;
      all.backend.owed = 1;
    };
    all.backend.owed = 0;
    all.dog.watch(all.backend, all.carrier);
    const before = all.kept;
    await vi.advanceTimersByTimeAsync(600);
    expect([all.backend.nudges, all.kept - before]).toEqual([1, 0]);
    // The answer.
    all.backend.owed = 0;
    await vi.advanceTimersByTimeAsync(300);
    expect(all.kept).toBeGreaterThan(before);
  });

  it('reads what has come first when the process itself stood still, but once only', async () => {
    const all = scene();
    await vi.advanceTimersByTimeAsync(100);
    all.backend.owed = 60_000;
    // The next look comes a minute late, as after SIGSTOP.
    vi.setSystemTime(Date.now());
    const late = performance.now() + 60_000;
    const clock = vi.spyOn(performance, 'now').mockImplementation(() => late);
    vi.advanceTimersByTime(200);
    expect(all.stalls).toEqual([]);
    clock.mockImplementation(() => late + 60_000);
    vi.advanceTimersByTime(300);
    expect(all.stalls).toHaveLength(1);
  });

  it('asks agents that answer only when spoken to, with pauses', async () => {
    const all = scene({ frameGapMs: 3, windowBytes: 65_536, polled: true, races: true, frameChars: 8_000 });
    await vi.advanceTimersByTimeAsync(60_000);
    expect(all.typed.every((text) => text === '')).toBe(true);
    expect(all.typed.length).toBeGreaterThan(20);
    expect(all.typed.length).toBeLessThan(60);
  });

  it('does nothing any more once stopped', async () => {
    const all = scene();
    all.dog.stop();
    await owing(all, 10_000);
    expect([all.nudges, all.stalls, all.kept]).toEqual([0, [], 0]);
  });
});
