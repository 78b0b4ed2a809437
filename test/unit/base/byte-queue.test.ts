import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ByteQueue } from '../../../src/base/byte-queue.js';
import { heldBytes, MiB } from '../../security/memory.js';

describe('the queue of bytes', () => {
  it('gives what was put in, in order, whatever the pieces', () => {
    const step = fc.oneof(
      fc.record({ push: fc.uint8Array({ maxLength: 20 }) }),
      fc.record({ take: fc.nat({ max: 30 }), back: fc.boolean() }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const queue = new ByteQueue();
        let waiting = Buffer.alloc(0);
        for (const each of steps) {
          if ('push' in each) {
            queue.push(Buffer.from(each.push));
            waiting = Buffer.concat([waiting, each.push]);
          } else {
            const taken = Buffer.concat(queue.take(each.take));
            expect(taken).toEqual(waiting.subarray(0, each.take));
            if (each.back) queue.unshift(taken);
            else waiting = waiting.subarray(taken.length);
          }
          expect(queue.length).toBe(waiting.length);
        }
        expect(Buffer.concat(queue.take(Infinity))).toEqual(waiting);
      }),
    );
  });

  it('keeps what came byte by byte in few pieces', () => {
    const queue = new ByteQueue();
    // With one piece each, as many would take minutes to get out again.
    for (let n = 0; n < 800_000; n += 1) queue.push(Buffer.of(n & 0xff));
    let at = 0;
    let most = 0;
    while (queue.length > 0) {
      const parts = queue.take(7_000);
      most = Math.max(most, parts.length);
      const bytes = Buffer.concat(parts);
      expect(bytes[0]).toBe(at & 0xff);
      at += bytes.length;
    }
    expect(at).toBe(800_000);
    expect(most).toBeLessThanOrEqual(1_025);
    queue.push(Buffer.of(1));
    queue.clear();
    expect([queue.length, queue.take(5)]).toEqual([0, []]);
  });

  it('keeps of what it is given a view of the view alone', () => {
    const queue = new ByteQueue();
    const before = heldBytes();
    // A byte in a packet of 256 kB, and one in the space that Node has for small buffers.
    for (let n = 0; n < 500; n += 1) queue.push(Buffer.alloc(256 * 1024, n).subarray(7, 8));
    for (let n = 0; n < 500; n += 1) {
      queue.push(Buffer.from([n & 0xff]));
      Buffer.allocUnsafe(4_000);
    }
    expect(heldBytes() - before).toBeLessThan(MiB);
    expect(Buffer.concat(queue.take(Infinity))).toEqual(Buffer.from([...Array(500).keys(), ...Array(500).keys()]));
  });
});
