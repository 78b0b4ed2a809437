import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it, vi } from 'vitest';
import { Deadline } from '../../../src/base/deadline.js';

describe('a deadline', () => {
  it('passes though nobody but its listeners knows it and garbage is collected', async () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const parent = new AbortController();
    const passed = new Promise<void>((resolve) => {
      new Deadline(60, parent.signal).signal.addEventListener('abort', () => {
        resolve();
      });
    });
    for (let n = 0; n < 5; n += 1) {
      collect();
      await new Promise((resolve) => setImmediate(resolve));
    }
    await passed;
  });

  it('ends with its parent, and says that it was not the time', () => {
    const parent = new AbortController();
    const deadline = new Deadline(60_000, parent.signal);
    parent.abort('reason');
    expect([deadline.signal.aborted, deadline.signal.reason, deadline.passed]).toEqual([true, 'reason', false]);
    expect(new Deadline(60_000, parent.signal).signal.aborted).toBe(true);
  });

  it('does nothing any more once cleared', () => {
    vi.useFakeTimers();
    const deadline = new Deadline(1_000);
    deadline.clear();
    vi.advanceTimersByTime(2_000);
    vi.useRealTimers();
    expect([deadline.passed, deadline.signal.aborted]).toEqual([false, false]);
  });
});
