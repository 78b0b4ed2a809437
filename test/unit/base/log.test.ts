import { describe, expect, it } from 'vitest';
import { LineBudget } from '../../../src/base/log.js';

describe('the budget of lines in the log', () => {
  it('lets a burst through, then so many a second, and tells how many it left out', () => {
    const lines = new LineBudget(3, 2);
    const start = performance.now();
    const at = (ms: number): unknown => lines.take(start + ms);
    expect([at(0), at(0), at(0), at(0), at(10)]).toEqual([{}, {}, {}, undefined, undefined]);
    expect(at(600)).toEqual({ leftOut: 2 });
    expect(at(700)).toBeUndefined();
    // Never more than the burst, however long nothing was said.
    expect([at(60_000), at(60_000), at(60_000), at(60_000)]).toEqual([{ leftOut: 1 }, {}, {}, undefined]);
  });
});
