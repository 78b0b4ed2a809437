import { describe, expect, it } from 'vitest';
import { LastWord } from '../../../src/base/last-word.js';

describe('a last word', () => {
  it('is said once, to whoever listens, and soon to whoever comes later', async () => {
    const word = new LastWord<string>();
    const heard: string[] = [];
    word.listener = (text) => heard.push(`first: ${text}`);
    expect(word.said).toBe(false);
    word.say('gone');
    word.say('gone again');
    expect(heard).toEqual(['first: gone']);
    word.listener = (text) => heard.push(`second: ${text}`);
    expect(heard).toHaveLength(1);
    await Promise.resolve();
    expect(heard).toEqual(['first: gone', 'second: gone']);
    expect(word.said).toBe(true);
  });

  it('is not said to who has gone before he was told', async () => {
    const word = new LastWord<string>();
    word.say('gone');
    const heard: string[] = [];
    word.listener = () => heard.push('first');
    word.listener = () => heard.push('second');
    await Promise.resolve();
    expect(heard).toEqual(['second']);
  });
});
