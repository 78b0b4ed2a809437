import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { INPUT_QUEUE_BYTES, ShChannel } from '../../../src/helper/sh/channel.js';
import { INPUT_SLOTS } from '../../../src/helper/sh/wire.js';
import type { ChannelEvents, Outcome } from '../../../src/mux/device.js';

interface Scene {
  channel: ShChannel;
  /** A write was answered by false, and no drain has come since. */
  waiting: boolean;
  write: (bytes: number) => void;
  /** The device takes one piece of at most so many bytes, if there is any. */
  take: (most: number) => boolean;
}

function scene(): Scene {
  const all: Scene = { channel: undefined as never, waiting: false, write: () => undefined, take: () => false };
  const nothing = (): void => undefined;
  const events: ChannelEvents = {
    opened: nothing, refused: nothing, data: nothing, outcome: nothing, eof: nothing, closed: nothing,
    drain: () => (all.waiting = false),
  };
  all.channel = new ShChannel(1, events, { submit: nothing, wake: nothing, granted: nothing, finished: nothing }, 'process');
  let taken = 0;
  all.write = (bytes) => {
    if (!all.channel.write(Buffer.alloc(bytes, 'x'))) all.waiting = true;
  };
  all.take = (most) => {
    const item = all.channel.nextInput(most, true);
    if (item === undefined) return false;
    taken += 1;
    all.channel.taken(taken);
    return true;
  };
  return all;
}

describe('standard input of the sh tier', () => {
  it('asks for more once it has drained, also when something was written between full and half full', () => {
    const all = scene();
    all.write(INPUT_QUEUE_BYTES);
    expect(all.waiting).toBe(true);
    all.take(INPUT_QUEUE_BYTES / 4);
    // The client's window is not used up: it goes on.
    all.write(1);
    expect(all.waiting).toBe(true);
    while (all.take(8_192));
    expect(all.waiting).toBe(false);
  });

  it('leaves nobody waiting for a drain that does not come', () => {
    const step = fc.oneof(
      fc.record({ write: fc.integer({ min: 1, max: INPUT_QUEUE_BYTES / 2 }) }),
      fc.record({ take: fc.integer({ min: 1, max: 40 * 1024 }) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 4 * INPUT_SLOTS }), (steps) => {
        const all = scene();
        for (const each of steps) {
          if ('write' in each) all.write(each.write);
          else all.take(each.take);
        }
        while (all.take(24 * 1024));
        expect(all.waiting).toBe(false);
      }),
      { numRuns: 1000 },
    );
  });
});

describe('the end by a signal', () => {
  it.each([
    ['Linux 6.1.0 x86_64', 10, 'USR1'],
    ['Linux 6.1.0 x86_64', 16, 'SIG@openssh.com'],
    [undefined, 12, 'USR2'],
    // SIGBUS and SIGSYS there.
    ['Linux 5.15.134 mips', 10, 'SIG@openssh.com'],
    ['Linux 5.15.134 mips64', 12, 'SIG@openssh.com'],
    ['Linux 5.15.134 mips', 16, 'USR1'],
    ['Linux 5.15.134 mips', 17, 'USR2'],
    ['Linux 5.15.134 mips', 15, 'TERM'],
  ])('on %s, number %d is %s', (system, number, name) => {
    const outcomes: Outcome[] = [];
    const nothing = (): void => undefined;
    const events: ChannelEvents = {
      opened: nothing, refused: nothing, data: nothing, eof: nothing, closed: nothing, drain: nothing,
      outcome: (outcome) => outcomes.push(outcome),
    };
    const channel = new ShChannel(1, events, { system, submit: nothing, wake: nothing, granted: nothing, finished: nothing }, 'process');
    channel.exited({ status: 128 + number, signal: number, out: 0, err: 0 }, 0);
    expect(outcomes).toEqual([{ kind: 'signal', signal: name, coreDumped: false, message: '' }]);
  });
});
