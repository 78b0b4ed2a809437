import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Fault } from '../../../src/base/errors.js';
import type { Channel, ChannelEvents, OpenRequest } from '../../../src/mux/device.js';
import { encodeMessage } from '../../../src/mux/message.js';
import { Mux } from '../../../src/mux/mux.js';
import { CREDIT_TO_BRIDGE_BYTES, CREDIT_TO_DEVICE_BYTES, MSG, SLICE_BYTES } from '../../../src/mux/wire.js';
import { Mirror } from './mirror.js';

const CAT: OpenRequest = { kind: 'exec', command: Buffer.from('cat'), pty: undefined, env: {} };

/** What a channel told, in order; data joined. */
class Heard implements ChannelEvents {
  readonly events: string[] = [];
  readonly chunks: Buffer[] = [];
  channel: Channel | undefined;
  waiting = 0;
  fault: Fault | undefined;
  drained = 0;
  #say(event: string): void {
    if (this.events.includes('closed') || this.events.includes('refused')) throw new Error(`${event} after the end`);
    if (this.events.at(-1) !== event) this.events.push(event);
  }
  opened(): void {
    this.#say('opened');
  }
  refused(): void {
    this.#say('refused');
  }
  data(_stream: 'out' | 'err', bytes: Buffer): void {
    this.#say('data');
    this.chunks.push(Buffer.from(bytes));
    this.waiting += bytes.length;
  }
  drain(): void {
    this.drained += 1;
  }
  outcome(): void {
    this.#say('outcome');
  }
  eof(): void {
    this.#say('eof');
  }
  closed(fault: Fault | undefined): void {
    this.#say('closed');
    this.fault = fault;
  }
  get bytes(): Buffer {
    return Buffer.concat(this.chunks);
  }
}

function pair(): { mux: Mux; mirror: Mirror; ended: Fault[]; open(): Heard; turn(max?: number, echo?: number): boolean } {
  const ended: Fault[] = [];
  const mux = new Mux({ wake: () => undefined, info: () => undefined, ended: (fault) => ended.push(fault) });
  const mirror = new Mirror();
  return {
    mux, mirror, ended,
    open: () => {
      const heard = new Heard();
      heard.channel = mux.open(CAT, heard);
      return heard;
    },
    /** One exchange; false when nothing moved. */
    turn: (max = 12_000, echo = 100_000) => {
      const up = mux.pull(max);
      if (up !== undefined) mirror.take(up);
      const down = mirror.give(echo);
      if (down.length > 0) mux.push(down);
      return up !== undefined || down.length > 0;
    },
  };
}

/** Bytes that do not compress, the same each time. */
function noise(size: number, seed: number): Buffer {
  const bytes = Buffer.alloc(size);
  let state = seed + 1;
  for (let at = 0; at < size; at += 1) {
    state = (state * 48_271) % 2_147_483_647;
    bytes[at] = state >>> 16;
  }
  return bytes;
}

function settle(turn: () => boolean): void {
  for (let n = 0; turn(); n += 1) if (n > 100_000) throw new Error('it never comes to rest');
}

describe('the mux against a device that echoes', () => {
  it('brings every byte of every channel back in order, however the link cuts and whoever waits', () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('write' as const), channel: fc.nat(5), size: fc.integer({ min: 1, max: 150_000 }) }),
      fc.record({ kind: fc.constant('turn' as const), max: fc.integer({ min: 300, max: 20_000 }), echo: fc.integer({ min: 1, max: 80_000 }) }),
      fc.record({ kind: fc.constant('consume' as const), channel: fc.nat(5) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
        const { open, turn, mirror, ended } = pair();
        const channels = Array.from({ length: 6 }, () => ({ heard: open(), sent: [] as Buffer[] }));
        let salt = 0;
        for (const one of steps) {
          const target = 'channel' in one ? channels[one.channel] : undefined;
          if (one.kind === 'turn') turn(one.max, one.echo);
          else if (one.kind === 'write') {
            salt += 1;
            const bytes = salt % 2 === 0 ? noise(one.size, salt) : Buffer.alloc(one.size, salt & 255);
            target?.sent.push(bytes);
            target?.heard.channel?.write(bytes);
          } else if (target !== undefined) {
            target.heard.channel?.consumed(target.heard.waiting);
            target.heard.waiting = 0;
          }
        }
        for (const { heard } of channels) heard.channel?.end();
        for (let n = 0; mirror.open > 0 || n === 0; n += 1) {
          settle(turn);
          for (const { heard } of channels) {
            heard.channel?.consumed(heard.waiting);
            heard.waiting = 0;
          }
          if (n > 1000) throw new Error('it never ends');
        }
        settle(turn);
        for (const { heard, sent } of channels) {
          expect(heard.bytes.equals(Buffer.concat(sent))).toBe(true);
          expect(heard.events.filter((event) => event !== 'data')).toEqual(['opened', 'outcome', 'eof', 'closed']);
          expect(heard.fault).toBeUndefined();
        }
        expect(ended).toEqual([]);
      }),
      { numRuns: 60 },
    );
  });

  it('holds one channel back without holding the others', () => {
    const { open, turn } = pair();
    const [slow, quick] = [open(), open()];
    slow.channel?.write(Buffer.alloc(3 * CREDIT_TO_DEVICE_BYTES, 1));
    settle(turn);
    // Nobody consumes: the device may have sent its credit and no more.
    expect(slow.waiting).toBe(CREDIT_TO_DEVICE_BYTES);
    quick.channel?.write(Buffer.from('hello'));
    settle(turn);
    expect(quick.bytes.toString()).toBe('hello');
  });

  it('asks a writer to wait and calls it when there is room', async () => {
    const { open, turn } = pair();
    const heard = open();
    expect(heard.channel?.write(Buffer.alloc(1000))).toBe(true);
    expect(heard.channel?.write(Buffer.alloc(300 * 1024))).toBe(false);
    settle(() => {
      heard.channel?.consumed(heard.waiting);
      heard.waiting = 0;
      return turn();
    });
    await new Promise((resolve) => setImmediate(resolve));
    expect(heard.drained).toBe(1);
  });

  it('lets a keystroke wait for one slice of the others and not for their queue', () => {
    const { open, mux, turn, mirror } = pair();
    const bulk = [open(), open()];
    const typed = open();
    settle(turn);
    for (const heard of bulk) heard.channel?.write(noise(CREDIT_TO_BRIDGE_BYTES, 1));
    typed.channel?.write(Buffer.from('x'));
    mirror.log.length = 0;
    while (!mirror.log.some(({ length }) => length === 1)) {
      const bytes = mux.pull(SLICE_BYTES + 100);
      if (bytes === undefined) throw new Error('the keystroke is not sent');
      mirror.take(bytes);
    }
    const before = mirror.log.filter(({ length }) => length > 1).reduce((sum, { length }) => sum + length, 0);
    // One slice of each of the other two, and what else fits the frame that carries it.
    expect(before).toBeLessThan(3 * SLICE_BYTES);
  });

  it('compresses what compresses, in messages larger than a frame, and leaves the rest as it is', () => {
    const { open, turn, mirror } = pair();
    const [text, random] = [open(), open()];
    settle(turn);
    mirror.log.length = 0;
    const words = Buffer.from(noise(100_000, 3).toString('hex'));
    text.channel?.write(words);
    random.channel?.write(noise(100_000, 4));
    text.channel?.write(Buffer.from('short'));
    settle(turn);
    // The bridge numbers its channels from 1.
    const sent = (number: number): [Set<number>, number] => {
      const messages = mirror.log.filter(({ channel, type }) => channel === number && type !== MSG.CREDIT);
      return [new Set(messages.map(({ type }) => type)), messages.reduce((sum, { length }) => sum + length, 0)];
    };
    expect(text.bytes.equals(Buffer.concat([words, Buffer.from('short')]))).toBe(true);
    expect(random.bytes.length).toBe(100_000);
    const [types, bytes] = sent(1);
    expect(types).toContain(MSG.ZDATA);
    expect(bytes).toBeLessThan(0.65 * words.length);
    expect(Math.max(...mirror.log.map(({ length }) => length))).toBeGreaterThan(12_000);
    expect(sent(2)).toEqual([new Set([MSG.DATA]), 100_000]);
  });

  it('sends control messages before data that waits', () => {
    const { open, mux, turn, mirror } = pair();
    const heard = open();
    settle(turn);
    heard.channel?.write(Buffer.alloc(100_000));
    heard.channel?.signal('INT');
    mirror.log.length = 0;
    const bytes = mux.pull(2000);
    if (bytes !== undefined) mirror.take(bytes);
    expect(mirror.log[0]?.type).toBe(MSG.SIGNAL);
  });

  it('gives back what a closed channel still receives, and says no more of it', () => {
    const { open, turn } = pair();
    const heard = open();
    heard.channel?.write(Buffer.alloc(10_000, 1));
    turn();
    heard.channel?.close();
    settle(turn);
    expect(heard.events).toEqual(['opened', 'data', 'closed']);
  });
});

describe('the mux and a device that breaks the rules', () => {
  it('ends the session when more output comes than was allowed', () => {
    const { open, mux, ended, turn } = pair();
    const heard = open();
    turn();
    const chunk = encodeMessage(MSG.DATA, 1, Buffer.alloc(65_536));
    for (let n = 0; n <= CREDIT_TO_DEVICE_BYTES / 65_536; n += 1) mux.push(chunk);
    expect(ended.map(({ code }) => code)).toEqual(['PROTOCOL']);
    expect(heard.fault?.code).toBe('PROTOCOL');
    // And nothing works afterwards: told by refusal, not by silence.
    const late = open();
    return Promise.resolve().then(() => expect(late.events).toEqual(['refused']));
  });

  it('never throws and never calls a channel after its end, whatever comes', () => {
    const message = fc.tuple(fc.integer({ min: 0, max: 20 }), fc.integer({ min: 0, max: 4 }), fc.oneof(fc.uint8Array({ maxLength: 60 }), fc.json().map((text) => Buffer.from(text))));
    fc.assert(
      fc.property(fc.array(message, { maxLength: 40 }), (messages) => {
        const { open, mux } = pair();
        const heard = [open(), open(), open()];
        for (const [type, channel, payload] of messages) mux.push(encodeMessage(type, channel, Buffer.from(payload)));
        for (const one of heard) expect(one.events.filter((event) => event === 'closed').length).toBeLessThanOrEqual(1);
      }),
      { numRuns: 300 },
    );
  });

  it('tells every open channel why the helper ended', () => {
    const { open, mux, ended } = pair();
    const heard = [open(), open()];
    mux.bye('nobody came back');
    for (const one of heard) expect(one.fault?.message).toMatch(/nobody came back/);
    expect(ended).toHaveLength(1);
  });

  it('counts as open what only listens: its connections are waited for as well', () => {
    const { mux, open } = pair();
    const events = { listening: () => undefined, refused: () => undefined, incoming: () => new Heard(), closed: () => undefined };
    const { id } = mux.listen({ kind: 'tcp', host: '127.0.0.1', port: 0 }, events);
    expect(mux.size).toBe(1);
    open();
    expect(mux.size).toBe(2);
    mux.push(encodeMessage(MSG.CLOSE, id));
    expect(mux.size).toBe(1);
  });
});
