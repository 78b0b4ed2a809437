import { describe, expect, it } from 'vitest';
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

/** What a sender with always more to send gets out of the path, in the second half of a minute. */
function through({ rate, rttMs }: Shape): Outcome {
  const sender = new Sender();
  const arrivals: { at: number; pn: number; end: number; asked: boolean }[] = [];
  const waits: number[] = [];
  let freeAt = 0;
  let lastAt = 0;
  let delivered = 0;
  let half = 0;
  for (let now = 1; now <= FOR_MS; now += 1) {
    for (let first = arrivals[0]; first !== undefined && first.at <= now; first = arrivals[0]) {
      arrivals.shift();
      delivered = first.end;
      if (first.asked) sender.acknowledge(first.end, first.pn, [], now);
    }
    for (let t = sender.next(8_000, now, (max) => Buffer.alloc(max)); t !== undefined; t = sender.next(8_000, now, (max) => Buffer.alloc(max))) {
      freeAt = Math.max(freeAt, now) + t.bytes.length / rate;
      if (now > FOR_MS / 2) waits.push(freeAt - now);
      lastAt = Math.max(lastAt, freeAt + rttMs(now));
      arrivals.push({ at: lastAt, pn: t.pn, end: t.offset + t.bytes.length, asked: t.askAck });
    }
    if (now === FOR_MS / 2) half = delivered;
  }
  waits.sort((a, b) => a - b);
  return { rate: (delivered - half) / (FOR_MS / 2), queueMs: waits[Math.floor(waits.length / 2)] ?? 0 };
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
});
