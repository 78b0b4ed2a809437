import { describe, expect, it } from 'vitest';
import { fuzz, mutate } from './engine.js';
import { planted } from './planted.js';

describe('the fuzzer', () => {
  it('finds a defect behind three branches, by what each of them uncovers', async () => {
    const target = { name: 'planted', seeds: [Buffer.from('aaaaaaaa')], watch: /test\/fuzz\/planted/, run: planted };
    await expect(fuzz(target, { runs: 2_000_000, ms: 20_000, seed: 1 })).rejects.toThrow(/^planted failed on [A-Za-z0-9+/=]+: reached$/);
  });

  it('says which input took too long', async () => {
    const run = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 20));
    const target = { name: 'slow', seeds: [Buffer.from('x')], watch: /nothing/, run };
    await expect(fuzz(target, { runs: 1, ms: 1, seed: 1, slowMs: 5 })).rejects.toThrow(/^slow took \d+ ms on eA==$/);
  });

  it('repeats itself for the same seed', () => {
    const random = (): (() => number) => {
      let n = 0;
      return () => ((n += 7) % 97) / 97;
    };
    const input = Buffer.from('some input 42');
    const make = (next: () => number): string => Array.from({ length: 50 }, () => mutate(input, [input], ['w'], next).toString('hex')).join();
    expect(make(random())).toBe(make(random()));
  });
});
