import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { Pacer } from '../../../src/login/pacer.js';
import type { Frame } from '../../../src/protocol/frames.js';
import type { Tunnel } from '../../../src/tunnel/tunnel.js';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

function scene(gapMs: number): { pacer: Pacer; sent: { data: string; at: number }[]; type(data: string): void } {
  const began = performance.now();
  const sent: { data: string; at: number }[] = [];
  const tunnel = {
    buffered: 0,
    send: (frame: Frame) => {
      sent.push({ data: frame.operation === 'command' ? frame.data : '?', at: Math.round(performance.now() - began) });
      return true;
    },
  };
  const pacer = new Pacer(tunnel as unknown as Tunnel, () => gapMs);
  return {
    pacer,
    sent,
    type: (data) => {
      pacer.send({ operation: 'command', requestId: 'x'.repeat(36), data });
    },
  };
}

it('sends a burst of frames one by one and in order, the first at once', () => {
  const { sent, type, pacer } = scene(5);
  for (const data of ['a', 'bb', 'ccc']) type(data);
  expect(pacer.buffered).toBe(5);
  vi.advanceTimersByTime(100);
  expect(sent).toEqual([{ data: 'a', at: 0 }, { data: 'bb', at: 5 }, { data: 'ccc', at: 10 }]);
  expect(pacer.buffered).toBe(0);
});

it('sends at once when the last frame is long ago', () => {
  const { sent, type } = scene(5);
  type('a');
  vi.advanceTimersByTime(7);
  type('b');
  expect(sent).toEqual([{ data: 'a', at: 0 }, { data: 'b', at: 7 }]);
});

it('does not hold an agent up that needs no gap', () => {
  const { sent, type } = scene(0);
  for (const data of ['a', 'b', 'c']) type(data);
  expect(sent.map(({ at }) => at)).toEqual([0, 0, 0]);
});

it('forgets what waits for a session that is gone', () => {
  const { sent, type, pacer } = scene(5);
  type('a');
  type('b');
  pacer.clear();
  vi.advanceTimersByTime(100);
  expect(sent.map(({ data }) => data)).toEqual(['a']);
  expect(pacer.buffered).toBe(0);
});

it('holds no more than its bound', () => {
  const { type, pacer } = scene(5);
  for (let i = 0; i < 300; i += 1) type('x'.repeat(9_000));
  expect(pacer.buffered).toBeLessThanOrEqual(1024 * 1024);
});
