import { describe, expect, it } from 'vitest';
import { Backoff } from '../../../src/tunnel/backoff.js';

function ladder(random: number): number[] {
  const backoff = new Backoff(1_000, 30_000, () => random);
  return Array.from({ length: 7 }, () => backoff.next());
}

describe('Backoff', () => {
  it('doubles from the first step to the last, with up to half of it as jitter', () => {
    expect(ladder(0)).toEqual([1_000, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000]);
    expect(ladder(1)).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
  });

  it('begins again after a reset', () => {
    const backoff = new Backoff(1_000, 30_000, () => 1);
    backoff.next();
    backoff.next();
    backoff.reset();
    expect(backoff.next()).toBe(1_000);
  });
});
