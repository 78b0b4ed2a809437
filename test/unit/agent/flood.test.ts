import { expect, test } from 'vitest';
import { Flood } from '../../../src/agent/flood.js';
import { PROFILES } from '../../../src/agent/profiles.js';

const behaviour = { ...PROFILES['c-agent'], floodFrames: 3, floodMs: 60_000, floodMinBytes: 10 };

test('more commands than allowed within the time are a flood', () => {
  const flood = new Flood(behaviour);
  expect([1, 2, 3, 4].map(() => flood.overflows(10, 0))).toEqual([false, false, false, true]);
});

test('commands that each follow some output are not', () => {
  const flood = new Flood(behaviour);
  for (let output = 1; output < 100; output++) expect(flood.overflows(10, output)).toBe(false);
});

test('short commands are not', () => {
  const flood = new Flood(behaviour);
  for (let count = 0; count < 100; count++) expect(flood.overflows(9, 0)).toBe(false);
});

test('floodFrames 0 never calls it a flood', () => {
  const flood = new Flood({ ...behaviour, floodFrames: 0 });
  for (let count = 0; count < 100; count++) expect(flood.overflows(5000, 0)).toBe(false);
});
