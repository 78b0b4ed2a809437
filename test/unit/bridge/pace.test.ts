import { expect, it, vi } from 'vitest';
import { RepairPace } from '../../../src/bridge/pace.js';
import { useClock } from './scene.js';

useClock();

/** The longest pause among so many sessions that live for so long and get so much across. */
function pauseOf(sessions: number, livedMs: number, bytes: number): number {
  const pace = new RepairPace();
  let progress = 0;
  let longest = 0;
  for (let n = 0; n < sessions; n += 1) {
    pace.right(progress);
    vi.advanceTimersByTime(livedMs);
    progress += bytes;
    longest = Math.max(longest, pace.lost(progress));
  }
  return longest;
}

it('slows down where sessions do not last, sooner where nothing arrives in them', () => {
  expect(pauseOf(20, 1_000, 100)).toBe(0);
  expect(pauseOf(40, 1_000, 100)).toBe(5_000);
  expect(pauseOf(4, 1_000, 0)).toBeGreaterThan(0);
});

it('does not where they last, or were worth their logins', () => {
  expect(pauseOf(200, 5_000, 0)).toBe(0);
  expect(pauseOf(200, 1_000, 100_000)).toBe(0);
});
