import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { DelayLine } from '../../../src/relay/line.js';

describe('DelayLine', () => {
  let out: string[];
  let line: DelayLine;

  beforeEach(() => {
    vi.useFakeTimers();
    out = [];
    line = new DelayLine(({ bytes }) => out.push(bytes.toString()));
  });
  afterEach(() => {
    line.close();
    vi.useRealTimers();
  });

  function push(text: string, delayMs: number, until?: Promise<unknown>): void {
    line.push({ bytes: Buffer.from(text), binary: false }, delayMs, until);
  }

  it('lets frames without delay out at once', () => {
    push('a', 0);
    expect(out).toEqual(['a']);
    expect(line.bytes).toBe(0);
  });

  it('lets any number of frames out together after one delay', () => {
    for (let index = 0; index < 5_000; index++) push('x', 100);
    vi.advanceTimersByTime(99);
    expect(out.length).toBe(0);
    expect(line.bytes).toBe(5_000);
    vi.advanceTimersByTime(2);
    expect(out.length).toBe(5_000);
    expect(line.bytes).toBe(0);
  });

  it('keeps the order when a later frame has a shorter delay', () => {
    push('a', 100);
    push('b', 10);
    push('c', 0);
    vi.advanceTimersByTime(50);
    expect(out).toEqual([]);
    vi.advanceTimersByTime(51);
    expect(out).toEqual(['a', 'b', 'c']);
  });

  it('holds a frame and all behind it until the promise settles, even by rejection', async () => {
    let fail: (error: Error) => void = () => undefined;
    push('a', 0, new Promise((_resolve, reject) => (fail = reject)));
    push('b', 0);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(out).toEqual([]);
    fail(new Error('over'));
    await vi.advanceTimersByTimeAsync(1);
    expect(out).toEqual(['a', 'b']);
  });

  it('keeps a steady stream in order', async () => {
    const sent: string[] = [];
    for (let index = 0; index < 6_000; index++) {
      sent.push(`${index},`);
      push(`${index},`, 20);
      if (index % 10 === 0) await vi.advanceTimersByTimeAsync(1);
    }
    await vi.advanceTimersByTimeAsync(30);
    expect(out).toEqual(sent);
  });

  it('lets nothing out once it is closed', () => {
    push('a', 10);
    line.close();
    push('b', 0);
    vi.advanceTimersByTime(100);
    expect(out).toEqual([]);
    expect(line.bytes).toBe(0);
  });
});
