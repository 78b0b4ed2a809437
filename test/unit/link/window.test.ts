import { describe, expect, it } from 'vitest';
import { Path } from '../../../src/link/path.js';
import { Sender } from '../../../src/link/sender.js';
import { QUEUE_LEAST_BYTES, QUEUE_MS } from '../../../src/link/wire.js';

/** A path that passes `rate` bytes a ms in order, and is `rttMs(now)` ms long otherwise. */
interface Shape {
  rate: number;
  rttMs: (now: number) => number;
}

interface Outcome {
  /** Bytes per ms that passed. */
  rate: number;
  /** Median of the time that packets waited in the path, in ms. */
  queueMs: number;
}

const FOR_MS = 60_000;

/** What a sender gets out of the path from `fromMs` to `forMs`, which has `offers(now)` bytes to send each ms. */
function through({ rate, rttMs }: Shape, offers: (now: number) => number = () => Infinity, fromMs = FOR_MS / 2, forMs = FOR_MS): Outcome {
  const sender = new Sender();
  const arrivals: { at: number; pn: number; end: number; asked: boolean }[] = [];
  const waits: number[] = [];
  let freeAt = 0;
  let lastAt = 0;
  let delivered = 0;
  let half = 0;
  let offered = 0;
  const pull = (max: number): Buffer | undefined => {
    const bytes = Math.min(max, offered);
    offered -= bytes;
    return bytes > 0 ? Buffer.alloc(bytes) : undefined;
  };
  for (let now = 1; now <= forMs; now += 1) {
    offered = Math.min(1e9, offered + offers(now));
    for (let first = arrivals[0]; first !== undefined && first.at <= now; first = arrivals[0]) {
      arrivals.shift();
      delivered = first.end;
      if (first.asked) sender.acknowledge(first.end, first.pn, [], now);
    }
    for (let t = sender.next(8_000, now, pull); t !== undefined; t = sender.next(8_000, now, pull)) {
      freeAt = Math.max(freeAt, now) + t.bytes.length / rate;
      if (now > fromMs) waits.push(freeAt - now);
      lastAt = Math.max(lastAt, freeAt + rttMs(now));
      arrivals.push({ at: lastAt, pn: t.pn, end: t.offset + t.bytes.length, asked: t.askAck });
    }
    if (now === fromMs) half = delivered;
  }
  waits.sort((a, b) => a - b);
  return { rate: (delivered - half) / (forMs - fromMs), queueMs: waits[Math.floor(waits.length / 2)] ?? 0 };
}

/** A number from 0 to 1 for each ms, the same in each run. */
function dice(): () => number {
  let state = 1;
  return () => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647;
}

const roll = dice();
const later = (before: number, after: number) => (now: number): number => (now < FOR_MS / 4 ? before : after);
const about = (least: number, jitter: number) => (): number => least + jitter * roll();

describe('the window', () => {
  it.each<[string, number, number, (now: number) => number]>([
    ['short and quick', 20_000, 2, () => 2],
    ['quick', 20_000, 60, () => 60],
    ['slow', 1_000, 100, () => 100],
    ['long', 8_000, 200, () => 200],
    ['short, with jitter', 8_000, 13, about(3, 10)],
    ['with jitter', 2_000, 60, about(40, 20)],
    ['twice as long from some moment on', 8_000, 80, later(40, 80)],
    ['ten times as long from some moment on', 8_000, 200, later(20, 200)],
    ['slow, three times as long from some moment on', 1_000, 60, later(20, 60)],
    ['shorter from some moment on', 8_000, 40, later(80, 40)],
  ])('fills a path, and queues little there: %s', (_name, rate, rtt, rttMs) => {
    const reached = through({ rate, rttMs });
    expect(reached.rate).toBeGreaterThan(0.8 * rate);
    expect(reached.queueMs).toBeLessThan(Math.max(2.5 * QUEUE_MS, rtt / 2, (2 * QUEUE_LEAST_BYTES) / rate));
  });

  it('is soon full on a long path, also after a time of little to send', () => {
    const shape = { rate: 8_000, rttMs: () => 200 };
    expect(through(shape, () => Infinity, 0, 10_000).rate).toBeGreaterThan(0.65 * shape.rate);
    // Fifteen seconds of 2 kB/s, then a copy.
    expect(through(shape, (now) => (now <= 15_000 ? 2 : Infinity), 15_000, 25_000).rate).toBeGreaterThan(0.65 * shape.rate);
  });

  it('is measured anew where it is full, and what was before is what a loss halves', () => {
    const path = new Path();
    path.measured(100, 1_000, true, 1);
    expect(path.renew(800_000, true, 100, 900)).toBeUndefined();
    path.measured(100, 1_000, false, 1_200);
    expect(path.renew(800_000, false, 100, 1_200)).toBeUndefined();
    // Half of what the path holds without a queue.
    expect(path.renew(800_000, true, 100, 1_200)).toEqual({ window: 50_000 });
    expect(path.draining).toBe(true);
    path.measured(90, 1_000, true, 1_350);
    expect(path.renew(50_000, true, 100, 1_350)).toBeUndefined();
    path.measured(90, 1_000, true, 1_450);
    expect(path.renew(50_000, true, 100, 1_450)).toEqual({ threshold: 800_000 });
    expect(path.cancelDrain()).toBeUndefined();
    expect(path.renew(700_000, true, 100, 20_000)).toEqual({ window: 45_000 });
    expect(path.cancelDrain()).toBe(700_000);
    expect(path.draining).toBe(false);
  });
});
