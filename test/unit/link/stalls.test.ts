import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { silentLog } from '../../../src/base/log.js';
import type { Carrier } from '../../../src/link/carrier.js';
import { Link } from '../../../src/link/link.js';
import { directionKey, encodeAck, encodeData, PacketReader, type Packet } from '../../../src/link/packet.js';
import { FLAG_STUCK } from '../../../src/link/wire.js';

beforeEach(() => {
  vi.useFakeTimers();
  // A clock at 0 would look like a time that was never set.
  vi.advanceTimersByTime(1_000);
});
afterEach(() => {
  vi.useRealTimers();
});

/** A link whose other end is the test. */
function scene(): { link: Link; carrier: Carrier; sent: Packet[]; got: Buffer[]; give: Buffer[]; data(pn: number, offset: number, bytes: Buffer): void; ack(recv: number, pn: number, flags?: number, ranges?: { start: number; end: number }[]): void } {
  const secret = randomBytes(32);
  const down = directionKey(secret, 'down');
  const reader = new PacketReader(directionKey(secret, 'up'));
  const sent: Packet[] = [];
  const got: Buffer[] = [];
  const give: Buffer[] = [];
  const link = new Link(secret, { pull: (max) => give.shift()?.subarray(0, max), push: (bytes) => got.push(Buffer.from(bytes)), bye: () => undefined }, silentLog());
  const carrier: Carrier = {
    maxWrite: 4000, buffered: 0, onText: () => undefined, onLost: () => undefined,
    write: (text) => {
      reader.push(Buffer.from(text), (packet) => sent.push(packet));
    },
  };
  return {
    link, carrier, sent, got, give,
    data: (pn, offset, bytes) => {
      link.receive(Buffer.from(encodeData(down, pn, 0, offset, bytes)));
    },
    ack: (recv, pn, flags = 0, ranges = []) => {
      link.receive(Buffer.from(encodeAck(down, flags, recv, pn, ranges)));
    },
  };
}

async function pass(ms: number): Promise<void> {
  await vi.advanceTimersByTimeAsync(ms);
}

it('a silenced link sends nothing any more that could start something, also over a new carrier', async () => {
  const { link, carrier, ack, give, sent } = scene();
  void link.attach(carrier);
  await pass(10);
  ack(0, 0);
  give.push(Buffer.from('open'), Buffer.from('more'));
  link.wake();
  await pass(10);
  expect(sent.some(({ type }) => type === 'data')).toBe(true);
  link.silence();
  link.detach();
  sent.length = 0;
  give.push(Buffer.from('again'));
  void link.attach(carrier);
  link.wake();
  await pass(60_000);
  link.bye('over');
  expect(new Set(sent.map(({ type }) => type))).toEqual(new Set(['ack', 'bye']));
});

describe('what the link counts as owed', () => {
  it('is nothing on a path where all is answered', async () => {
    const { link, carrier, ack, data } = scene();
    void link.attach(carrier);
    await pass(10);
    expect(link.owedMs()).toBeGreaterThan(0);
    ack(0, 0);
    expect(link.owedMs()).toBe(0);
    data(1, 0, Buffer.from('abc'));
    await pass(5_000);
    expect(link.owedMs()).toBe(0);
    expect(link.progress).toBe(3);
  });

  it('grows while bytes are missing before others that come, however many come', async () => {
    const { link, carrier, ack, data, got } = scene();
    void link.attach(carrier);
    await pass(10);
    ack(0, 0);
    for (let n = 0; n < 20; n += 1) {
      data(2 + n, 100 + n, Buffer.from('x'));
      await pass(100);
    }
    expect(link.owedMs()).toBeGreaterThan(1_900);
    expect(link.struggling).toBe(false);
    // A new text stream starts the count anew, and the link knows that it is in the same trouble.
    link.detach();
    void link.attach(carrier);
    await pass(10);
    ack(0, 0);
    expect(link.owedMs()).toBeLessThan(200);
    expect(link.struggling).toBe(true);
    await pass(1_000);
    expect(link.owedMs()).toBeGreaterThan(900);
    data(40, 0, Buffer.alloc(100));
    expect(link.owedMs()).toBe(0);
    expect(link.struggling).toBe(false);
    expect(Buffer.concat(got)).toHaveLength(120);
  });

  it('grows while the device says that its bytes do not arrive, until some do', async () => {
    const { link, carrier, ack, data } = scene();
    void link.attach(carrier);
    await pass(10);
    ack(0, 0, FLAG_STUCK);
    await pass(1_000);
    ack(0, 0, FLAG_STUCK);
    expect(link.owedMs()).toBeGreaterThan(900);
    expect(link.struggling).toBe(true);
    data(1, 0, Buffer.from('abc'));
    expect(link.owedMs()).toBe(0);
    expect(link.struggling).toBe(false);
  });

  it('grows while one of our packets never passes, though those behind it do', async () => {
    const { link, carrier, ack, give, sent } = scene();
    void link.attach(carrier);
    await pass(10);
    ack(0, 0);
    give.push(Buffer.alloc(1_000, 1));
    link.wake();
    await pass(10);
    for (let n = 0; n < 30; n += 1) {
      give.push(Buffer.from('k'));
      link.wake();
      await pass(100);
      const last = Math.max(...sent.map((packet) => (packet.type === 'data' ? packet.pn : 0)));
      const ends = sent.flatMap((packet) => (packet.type === 'data' ? [packet.offset + packet.payload.length] : []));
      ack(0, last, 0, [{ start: 1_000, end: Math.max(...ends) }]);
    }
    expect(link.owedMs()).toBeGreaterThan(2_500);
  });
});

describe('towards an agent that races with itself', () => {
  const races = { frameGapMs: 0, windowBytes: 65_536, polled: false, races: true, frameChars: 4_000 };

  it('what comes within a few milliseconds travels in one frame', async () => {
    const { link, carrier, sent, give, ack } = scene();
    void link.attach({ ...carrier, manners: races });
    await pass(10);
    ack(0, 0);
    await pass(10);
    sent.length = 0;
    give.push(Buffer.from('a command'));
    link.wake();
    await pass(4);
    expect(sent).toEqual([]);
    give.push(Buffer.from('and the end of its input'));
    link.wake();
    await pass(4);
    expect(sent.map(({ type }) => type)).toEqual(['data', 'data']);
  });

  it('output that asks for nothing is acknowledged when its burst is likely over', async () => {
    const { link, carrier, sent, ack, data } = scene();
    void link.attach({ ...carrier, manners: races });
    await pass(10);
    ack(0, 0);
    await pass(10);
    sent.length = 0;
    data(1, 0, Buffer.alloc(8_000));
    await pass(400);
    expect(sent).toEqual([]);
    await pass(200);
    expect(sent.map(({ type }) => type)).toEqual(['ack']);
  });
});
