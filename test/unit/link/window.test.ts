import { describe, expect, it } from 'vitest';
import { Sender } from '../../../src/link/sender.js';
import { QUEUE_LEAST_BYTES, QUEUE_MS } from '../../../src/link/wire.js';

interface Outcome {
  /** Bytes per ms. */
  rate: number;
  /** Median of the time that packets waited in the path, in ms. */
  queueMs: number;
}

/** A sender with always more to send, on a path that passes `rate` bytes a ms and is `rttMs` long otherwise. */
function through(rate: number, rttMs: number, forMs: number): Outcome {
  const sender = new Sender();
  const arrivals: { at: number; pn: number; end: number; asked: boolean }[] = [];
  const waits: number[] = [];
  let freeAt = 0;
  let delivered = 0;
  for (let now = 1; now <= forMs; now += 1) {
    for (let first = arrivals[0]; first !== undefined && first.at <= now; first = arrivals[0]) {
      arrivals.shift();
      delivered = first.end;
      if (first.asked) sender.acknowledge(first.end, first.pn, [], now);
    }
    for (let t = sender.next(8_000, now, (max) => Buffer.alloc(max)); t !== undefined; t = sender.next(8_000, now, (max) => Buffer.alloc(max))) {
      freeAt = Math.max(freeAt, now) + t.bytes.length / rate;
      if (now > forMs / 2) waits.push(freeAt - now);
      arrivals.push({ at: freeAt + rttMs, pn: t.pn, end: t.offset + t.bytes.length, asked: t.askAck });
    }
  }
  waits.sort((a, b) => a - b);
  return { rate: delivered / forMs, queueMs: waits[Math.floor(waits.length / 2)] ?? 0 };
}

describe('the window', () => {
  it.each([
    [20_000, 2],
    [20_000, 60],
    [1_000, 100],
    [8_000, 200],
  ])('fills a path of %i bytes a ms and %i ms, and queues little', (rate, rttMs) => {
    const { rate: reached, queueMs } = through(rate, rttMs, 20_000);
    expect(reached).toBeGreaterThan(0.75 * rate);
    expect(queueMs).toBeLessThan(Math.max(2 * QUEUE_MS, rttMs / 2, (2 * QUEUE_LEAST_BYTES) / rate));
  });
});
