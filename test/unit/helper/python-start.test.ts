import { expect, test } from 'vitest';
import { silentLog } from '../../../src/base/log.js';
import { PythonBackend } from '../../../src/helper/python-backend.js';
import type { Carrier, Manners } from '../../../src/link/carrier.js';

/** What bash 5.2 may have read beyond the line that it executes. */
const BASH_AHEAD = 4095;
/** Stage 1 takes a line that is longer for a program. */
const SHORT = 99;
const RACES: Manners = { frameGapMs: 0, windowBytes: 65_536, frameChars: 8_000, polled: false, races: true };
/** The least of any agent, in bytes of JSON. */
const MAX_WRITE = RACES.frameChars;

/** What the start types behind the line of stage 1. */
async function typed(facts: Record<string, string>, manners?: Manners): Promise<string> {
  const frames: string[] = [];
  const carrier: Carrier = {
    maxWrite: MAX_WRITE,
    buffered: 0,
    ...(manners !== undefined && { manners }),
    write: (text) => {
      expect(JSON.stringify(text).length - 2).toBeLessThanOrEqual(MAX_WRITE);
      frames.push(text);
    },
    onText: () => undefined,
    onLost: () => undefined,
  };
  const abort = new AbortController();
  const attached = new PythonBackend({ graceSeconds: 600, log: silentLog() }).attach(
    carrier,
    {
      facts: { python3: 'yes', ...facts },
      run: (line) => {
        carrier.write(`\n word ${line}\n`);
      },
    },
    abort.signal,
  );
  abort.abort();
  await expect(attached).rejects.toThrow('given up');
  const text = frames.join('');
  return text.slice(text.indexOf('\n', text.indexOf('python3 -I -c')) + 1);
}

test.each([
  ['the program', undefined],
  ['the guard', RACES],
])('what a boot sh that is bash may read ahead is nothing of %s', async (_, manners) => {
  const text = await typed({ bash: 'yes' }, manners);
  const first = text.search(/.{99}/);
  expect(first).toBeGreaterThan(0);
  const before = text.slice(0, first);
  expect(before.length).toBeGreaterThan(BASH_AHEAD);
  for (const line of before.split('\n')) expect(line.length).toBeLessThan(SHORT);
  // What is left of the last line that bash took must not become a part of the program.
  expect(before.slice(BASH_AHEAD)).toContain('\n');
});

test('other shells read no further than the line, and get nothing to read', async () => {
  expect(await typed({})).toMatch(/^\n{0,2}[^\n]{99}/);
});
