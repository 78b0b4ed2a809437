import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Dice } from '../../../src/agent/dice.js';

const draws = (dice: Dice, name: string, count: number): boolean[] => Array.from({ length: count }, () => dice.roll(name, 0.5));

test('the same seed gives the same draws, another seed gives others', () => {
  expect(draws(new Dice(7), 'a', 200)).toEqual(draws(new Dice(7), 'a', 200));
  expect(draws(new Dice(7), 'a', 200)).not.toEqual(draws(new Dice(8), 'a', 200));
});

test('draws of one fault do not move those of another', () => {
  const alone = draws(new Dice(3), 'a', 100);
  const dice = new Dice(3);
  const mixed = Array.from({ length: 100 }, () => {
    dice.roll('b', 0.5);
    return dice.roll('a', 0.5);
  });
  expect(mixed).toEqual(alone);
});

test('a rate of 0 never strikes and a rate of 1 always does', () => {
  fc.assert(
    fc.property(fc.integer(), (seed) => {
      const dice = new Dice(seed);
      return !dice.roll('never', 0) && dice.roll('always', 1);
    }),
  );
});

test('a rate strikes about as often as it says', () => {
  const dice = new Dice(1);
  let hits = 0;
  for (let count = 0; count < 100_000; count++) if (dice.roll('a', 0.01)) hits++;
  expect(hits).toBeGreaterThan(800);
  expect(hits).toBeLessThan(1200);
});

test('picks stay below their bound', () => {
  fc.assert(
    fc.property(fc.integer(), fc.integer({ min: 1, max: 1000 }), (seed, below) => {
      const pick = new Dice(seed).pick('a', below);
      return Number.isInteger(pick) && pick >= 0 && pick < below;
    }),
  );
});
