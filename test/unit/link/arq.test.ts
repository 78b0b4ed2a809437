import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { pnAfter, Receiver } from '../../../src/link/receiver.js';
import { Sender } from '../../../src/link/sender.js';

/** Moves `total` bytes through a lossy, ordered path under a clock of its own; returns what arrived. */
function transfer(total: number, loss: { data: number; ack: number; replaceEvery: number }, dice: () => number): Buffer {
  const source = Buffer.from(Array.from({ length: total }, (_, i) => (i * 31 + (i >> 8)) & 255));
  const sender = new Sender();
  const receiver = new Receiver();
  const arrived: Buffer[] = [];
  let taken = 0;
  let now = 1;
  let sent = 0;
  const pull = (max: number): Buffer | undefined => {
    expect(Number.isInteger(max)).toBe(true);
    const bytes = source.subarray(taken, taken + Math.min(max, 1 + Math.floor(dice() * 1400)));
    taken += bytes.length;
    return bytes.length > 0 ? bytes : undefined;
  };
  for (let step = 0; step < 200_000; step += 1) {
    now += 1;
    const t = now >= sender.timeoutAt ? sender.timeout(1000, now) : sender.next(1400, now, pull);
    if (t !== undefined) {
      sent += 1;
      if (loss.replaceEvery > 0 && sent % loss.replaceEvery === 0) sender.reset();
      else if (dice() >= loss.data) {
        receiver.take(t.pn, t.offset, Buffer.from(t.bytes), (bytes) => arrived.push(bytes));
        if (dice() >= loss.ack) sender.acknowledge(receiver.recv, receiver.pn, receiver.ranges(), now);
      }
    } else if (sender.timeoutAt !== Infinity) now = Math.max(now, sender.timeoutAt);
    if (sender.unackedBytes === 0 && taken === total) break;
  }
  expect(sender.unackedBytes).toBe(0);
  expect(sender.owedSince).toBe(0);
  expect(sender.inFlightBytes).toBe(0);
  expect(receiver.earlyBytes).toBe(0);
  const result = Buffer.concat(arrived);
  expect(result.equals(source)).toBe(true);
  return result;
}

function seeded(seed: number): () => number {
  let state = seed >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state >>>= 0;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state / 2 ** 32;
  };
}

describe('sender and receiver', () => {
  it('deliver every byte once and in order whatever is lost and however often the stream is replaced', () => {
    fc.assert(
      fc.property(
        fc.integer(),
        fc.integer({ min: 1, max: 60_000 }),
        fc.double({ min: 0, max: 0.4, noNaN: true }),
        fc.double({ min: 0, max: 0.6, noNaN: true }),
        fc.constantFrom(0, 7, 50),
        (seed, total, data, ack, replaceEvery) => {
          transfer(total, { data, ack, replaceEvery }, seeded(seed));
        },
      ),
      { numRuns: 60 },
    );
  });

  it('resends nothing on a clean path', () => {
    const sender = new Sender();
    const receiver = new Receiver();
    for (let now = 1; now < 100; now += 1) {
      const t = sender.next(1000, now, (max) => Buffer.alloc(Math.min(max, 1000)));
      expect(t).toBeDefined();
      if (t === undefined) return;
      receiver.take(t.pn, t.offset, t.bytes, () => undefined);
      sender.acknowledge(receiver.recv, receiver.pn, receiver.ranges(), now);
    }
    expect(sender.retransmittedBytes).toBe(0);
  });

  it('never has more in flight than the window', () => {
    const sender = new Sender();
    for (let now = 1; sender.next(9000, now, (max) => Buffer.alloc(max)) !== undefined; now += 1) {
      expect(sender.inFlightBytes).toBeLessThanOrEqual(sender.windowBytes);
    }
    expect(sender.inFlightBytes).toBe(sender.windowBytes);
  });

  it('ignore an acknowledgement of bytes that were never sent', () => {
    const sender = new Sender();
    sender.next(100, 1, () => Buffer.alloc(100));
    expect(sender.acknowledge(1_000_000, 1, [], 2)).toBe(false);
    expect(sender.unackedBytes).toBe(100);
  });
});

describe('receiver', () => {
  it('puts any order and overlap of pieces together', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(400), fc.integer({ min: 1, max: 80 })), { maxLength: 60 }), (pieces) => {
        const source = Buffer.from(Array.from({ length: 480 }, (_, i) => i & 255));
        const receiver = new Receiver();
        const arrived: Buffer[] = [];
        [...pieces, [0, 480] as [number, number]].forEach(([start, length], i) => {
          receiver.take(i + 1, start, source.subarray(start, start + length), (bytes) => arrived.push(bytes));
        });
        expect(Buffer.concat(arrived).equals(source)).toBe(true);
        expect(receiver.earlyBytes).toBe(0);
      }),
    );
  });

  it('holds nothing beyond its bound', () => {
    const receiver = new Receiver();
    expect(receiver.take(1, 9 * 1024 * 1024, Buffer.alloc(10), () => undefined)).toBe('gap');
    expect(receiver.earlyBytes).toBe(0);
  });

  it('compares packet numbers across their wrap', () => {
    expect(pnAfter(1, 0xffff_ffff)).toBe(true);
    expect(pnAfter(0xffff_ffff, 1)).toBe(false);
    expect(pnAfter(5, 5)).toBe(false);
  });
});

describe('acknowledgements', () => {
  const asked = (sparing: boolean): boolean[] => {
    const sender = new Sender();
    sender.reset(undefined, sparing);
    const found: boolean[] = [];
    for (let t = sender.next(2048, 1, (max) => Buffer.alloc(max)); t !== undefined; t = sender.next(2048, 1, (max) => Buffer.alloc(max))) found.push(t.askAck);
    return found;
  };

  it('are asked for at each quarter of the window', () => {
    expect(asked(false)).toEqual([false, true, false, true, false, true, false, true]);
  });

  it('are asked for at the end of the window only, of an agent that races', () => {
    expect(asked(true)).toEqual([...Array<boolean>(31).fill(false), true]);
  });
});
