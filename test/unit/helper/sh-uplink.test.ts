import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { checksum } from '../../../src/helper/sh/checksum.js';
import { Uplink } from '../../../src/helper/sh/uplink.js';
import { seeded } from '../../support/lossy-carrier.js';

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

  it('count what the device has for the first time, whoever tells of it', () => {
    wire.uplink.resume(0);
    for (const body of ['one', 'two', 'three']) wire.line(body);
    expect(wire.uplink.arrived).toBe(0);
    wire.uplink.acknowledged(1);
    wire.uplink.acknowledged(1);
    expect(wire.uplink.arrived).toBe(1);
    wire.uplink.pause();
    wire.uplink.resume(1);
    expect(wire.uplink.arrived).toBe(1);
    wire.uplink.pause();
    wire.uplink.resume(3);
    expect(wire.uplink.arrived).toBe(3);
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

  it('go piece by piece when a block never gets through, and are done once, whichever copy arrives', () => {
    const bytes = Buffer.alloc(1_300, 'x');
    const done = vi.fn();
    wire.uplink.resume(0);
    wire.uplink.submit({ kind: 'block', channel: 7, slot: 2, bytes }, done);
    wire.line('behind');
    const tries = (): string[] => {
      wire.lines = [];
      vi.advanceTimersByTime(1_000);
      // The device talks all the time.
      wire.uplink.heard();
      vi.advanceTimersByTime(100);
      return wire.lines.map((line) => line.split(' ').slice(3).join(' ').replace(/ \d+ \d+$/, ''));
    };
    for (let n = 0; n < 12 && !tries().some((line) => line.startsWith('v ')); n += 1);
    expect(wire.uplink.frameChars).toBeLessThan(1_500);
    const piece = (): string => wire.lines.at(-1)?.split(' ').slice(1).join(' ') ?? '';
    expect(piece()).toMatch(/^0 \d+ v 1=0 0 684 \d+$/);
    wire.uplink.pieceArrived(1, 0);
    wire.uplink.pieceArrived(1, 0);
    expect(piece()).toMatch(/^0 \d+ v 1=1 0 684 \d+$/);
    wire.uplink.pieceArrived(1, 1);
    wire.uplink.pieceArrived(1, 2);
    expect(piece()).toBe(`1 ${checksum('cksum', Buffer.from(`1 D 7 2 3 ${checksum('cksum', bytes)}`))} D 7 2 3 ${checksum('cksum', bytes)}`);
    // Nothing went behind it, and none of the pieces is trusted when they are not right.
    wire.uplink.damaged(0);
    expect(piece()).toMatch(/ v 1=0 /);
    wire.uplink.acknowledged(1);
    expect(done).toHaveBeenCalledTimes(1);
    expect(wire.numbers().at(-1)).toBe(2);
    // The next one is as small as what got through.
    expect(wire.uplink.blockBytes).toBe(512);
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

  it('are not sent any more once the session is over, and notes are', () => {
    wire.uplink.resume(0);
    wire.line('x 1 p text');
    wire.uplink.abandon();
    wire.lines = [];
    wire.uplink.resume(0);
    wire.uplink.note('b');
    vi.advanceTimersByTime(60_000);
    expect(wire.numbers()).toEqual([0]);
  });

  it('carry every byte once where blocks hardly pass, and copies of them come late', () => {
    fc.assert(
      fc.property(fc.integer(), fc.array(fc.integer({ min: 1, max: 3_000 }), { minLength: 1, maxLength: 6 }), (seed, sizes) => {
        const dice = seeded(seed);
        const chance = (percent: number): boolean => dice() * 100 < percent;
        const device = new FakeFront();
        const late: string[] = [];
        let path: string[] = [];
        const uplink: Uplink = new Uplink(TAG, {
          write: (text) => {
            path.push(...(text.match(/^stag .*\n(?:[A-Za-z0-9+/=]{4,}\n)?/gm) ?? []));
          },
          room: () => undefined,
        });
        uplink.resume(0);
        const blocks = sizes.map((size, index) => Buffer.alloc(size, index + 1));
        for (const bytes of blocks) uplink.submit({ kind: 'block', channel: 1, slot: 0, bytes });
        for (let round = 0; round < 3_000 && !uplink.idle; round += 1) {
          const now = path;
          path = [];
          while (late.length > 0 && chance(20)) now.push(late.shift() ?? '');
          for (const text of now) {
            const large = text.length > 1_000;
            if (chance(large ? 90 : 20)) {
              if (chance(50)) late.push(text);
              continue;
            }
            device.take(text, uplink, () => chance(20));
          }
          uplink.heard();
          vi.advanceTimersByTime(1_000);
        }
        uplink.pause();
        expect(device.input.map((b) => [b[0], b.length])).toEqual(blocks.map((b) => [b[0], b.length]));
      }),
      { numRuns: 60 },
    );
  });
});

/** The front's part in front.sh: what it does with blocks, and with pieces of them. */
class FakeFront {
  readonly input: Buffer[] = [];
  #last = 0;
  readonly #aside = new Map<string, Buffer>();

  take(text: string, uplink: Uplink, lost: () => boolean): void {
    const [head = '', data = ''] = text.split('\n');
    const [, number, , kind, name = '', , count, sum] = head.split(' ');
    const q = Number(number);
    const bytes = Buffer.from(data, 'base64');
    if (q === 0) {
      if (Number(name.split('=')[0]) <= this.#last) {
        if (!lost()) uplink.acknowledged(this.#last);
        return;
      }
      this.#aside.set(name, bytes);
      const [line, index] = name.split('=').map(Number);
      if (!lost()) uplink.pieceArrived(Number(line), Number(index));
      return;
    }
    if (q === this.#last + 1) {
      const whole = kind === 'd' ? bytes : Buffer.concat(Array.from({ length: Number(count) }, (_, index) => this.#aside.get(`${q}=${index}`) ?? Buffer.alloc(0)));
      if (checksum('cksum', whole) === sum) {
        this.input.push(whole);
        this.#last = q;
      } else if (!lost()) {
        uplink.damaged(this.#last);
        return;
      }
    } else if (q > this.#last && !lost()) {
      uplink.outOfStep(this.#last);
      return;
    }
    if (q <= this.#last && !lost()) uplink.acknowledged(this.#last);
  }
}
