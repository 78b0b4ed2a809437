import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { checksum } from '../../../src/helper/sh/checksum.js';
import { Uplink } from '../../../src/helper/sh/uplink.js';

const TAG = 'stag';

class Wire {
  lines: string[] = [];
  rooms = 0;
  readonly uplink = new Uplink(TAG, {
    write: (text) => {
      this.lines.push(...text.split('\n').filter((line) => line.startsWith(`${TAG} `)));
    },
    room: () => {
      this.rooms += 1;
    },
  });

  /** Numbers of the lines written since the last call. */
  numbers(): number[] {
    const numbers = this.lines.map((line) => Number(line.split(' ')[1]));
    this.lines = [];
    return numbers;
  }

  line(body: string, done?: () => void, failed?: () => void): void {
    this.uplink.submit({ kind: 'line', body }, done, failed);
  }
}

describe('the lines up', () => {
  let wire: Wire;

  beforeEach(() => {
    vi.useFakeTimers();
    wire = new Wire();
  });

  afterEach(() => {
    wire.uplink.pause();
    vi.useRealTimers();
  });

  it('are numbered, with a checksum over number and body', () => {
    wire.uplink.resume(0);
    wire.line('x 1 p text');
    expect(wire.lines).toEqual([`${TAG} 1 ${checksum('cksum', Buffer.from('1 x 1 p text'))} x 1 p text`]);
  });

  it('wait for a device, and go on from what it has done', () => {
    wire.line('one');
    wire.line('two');
    wire.line('three');
    expect(wire.numbers()).toEqual([]);
    wire.uplink.resume(1);
    expect(wire.numbers()).toEqual([2, 3]);
    wire.uplink.pause();
    wire.uplink.resume(2);
    expect(wire.numbers()).toEqual([3]);
  });

  it('are sent again from the gap when the device is out of step, once for all its complaints', () => {
    wire.uplink.resume(0);
    for (const body of ['one', 'two', 'three', 'four']) wire.line(body);
    expect(wire.numbers()).toEqual([1, 2, 3, 4]);
    wire.uplink.acknowledged(1);
    wire.uplink.outOfStep(1);
    wire.uplink.outOfStep(1);
    expect(wire.numbers()).toEqual([2, 3, 4]);
    wire.uplink.acknowledged(4);
    expect(wire.uplink.idle).toBe(true);
  });

  it('are sent again after silence, ever more slowly', () => {
    wire.uplink.resume(0);
    wire.line('one');
    wire.numbers();
    vi.advanceTimersByTime(1_100);
    expect(wire.numbers()).toEqual([1]);
    vi.advanceTimersByTime(1_100);
    expect(wire.numbers()).toEqual([]);
    vi.advanceTimersByTime(1_000);
    expect(wire.numbers()).toEqual([1]);
  });

  it('tell when they are done, and when the device cannot do one', () => {
    const done = vi.fn();
    const failed = vi.fn();
    wire.uplink.resume(0);
    wire.line('x 1 p text', done, failed);
    wire.line('x 2 p text', done);
    wire.uplink.impossible(1);
    wire.uplink.impossible(1);
    expect(failed).toHaveBeenCalledTimes(1);
    expect(wire.lines.some((line) => line.startsWith(`${TAG} 1 `) && line.endsWith(' y'))).toBe(true);
    wire.uplink.acknowledged(2);
    expect(done).toHaveBeenCalledTimes(1);
  });

  it('keep within the window, and within the narrower one of a gentle carrier', () => {
    wire.uplink.resume(0, 20_000);
    expect(wire.uplink.blockBytes).toBeLessThanOrEqual(7_500);
    for (let index = 0; index < 4; index += 1) wire.uplink.submit({ kind: 'block', channel: 1, slot: index, bytes: Buffer.alloc(6_000) });
    expect(wire.numbers()).toEqual([1, 2]);
    expect(wire.uplink.roomy).toBe(false);
    wire.uplink.acknowledged(1);
    expect(wire.numbers()).toEqual([3]);
    expect(wire.rooms).toBe(1);
  });

  it('grow blocks while they get through and shrink them when one is damaged', () => {
    wire.uplink.resume(0);
    const before = wire.uplink.blockBytes;
    wire.uplink.submit({ kind: 'block', channel: 1, slot: 0, bytes: Buffer.alloc(6_000) });
    wire.uplink.acknowledged(1);
    expect(wire.uplink.blockBytes).toBe(before * 2);
    wire.uplink.submit({ kind: 'block', channel: 1, slot: 1, bytes: Buffer.alloc(6_000) });
    wire.uplink.damaged(1);
    expect(wire.uplink.blockBytes).toBeLessThan(before * 2);
  });

  it('show since when the device owes an answer, and a nudge does not hide it', () => {
    wire.uplink.resume(0);
    expect(wire.uplink.owedSince).toBeUndefined();
    wire.line('one');
    const since = wire.uplink.owedSince;
    vi.advanceTimersByTime(3_000);
    wire.uplink.nudge();
    expect(wire.uplink.owedSince).toBe(since);
    wire.uplink.acknowledged(1);
    expect(wire.uplink.owedSince).toBeUndefined();
  });

  it('reach a device that takes only the next number exactly once and in order, whatever is lost', () => {
    fc.assert(
      fc.property(fc.infiniteStream(fc.boolean()), fc.integer({ min: 1, max: 40 }), (lose, count) => {
        const dice = lose[Symbol.iterator]();
        const lost = (): boolean => dice.next().value as boolean;
        const link = new Wire();
        const taken: string[] = [];
        link.uplink.resume(0);
        for (let index = 0; index < count; index += 1) link.line(`body ${index}`);
        for (let round = 0; round < 2_000 && !link.uplink.idle; round += 1) {
          for (const line of link.lines.splice(0)) {
            const [, number, , ...body] = line.split(' ');
            if (lost()) continue;
            if (Number(number) === taken.length + 1) taken.push(body.join(' '));
            if (lost()) continue;
            if (Number(number) > taken.length) link.uplink.outOfStep(taken.length);
            else link.uplink.acknowledged(taken.length);
          }
          vi.advanceTimersByTime(5_000);
        }
        link.uplink.pause();
        expect(taken).toEqual(Array.from({ length: count }, (_, index) => `body ${index}`));
      }),
      { numRuns: 30 },
    );
  });
});
