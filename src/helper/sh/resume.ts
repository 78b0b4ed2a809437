import type { Carrier } from '../../link/carrier.js';
import { RecordScanner } from './scanner.js';
import { Uplink } from './uplink.js';
import type { ShRecord } from './wire.js';

export interface Question {
  tag: string;
  /** Characters that a front in the middle of a block may wait for. */
  owedChars: number;
  waitMs: number;
  /** Other records than the answer. */
  take: (record: ShRecord) => void;
}

/** Asks the front in the terminal of before which line it did last; undefined when none answers. */
export async function askFront(carrier: Carrier, { tag, owedChars, waitMs, take }: Question, signal: AbortSignal): Promise<number | undefined> {
  return await new Promise((resolve) => {
    const settle = (last: number | undefined): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', none);
      resolve(last);
    };
    const none = (): void => {
      settle(undefined);
    };
    const timer = setTimeout(none, waitMs);
    const scanner = new RecordScanner(tag, (record) => {
      if (record.type === 'A') settle(record.value);
      else take(record);
    });
    carrier.onLost = none;
    carrier.onText = (bytes) => {
      scanner.feed(bytes);
    };
    signal.addEventListener('abort', none);
    if (signal.aborted) none();
    // What was on its way is lost, the rest of a block too: empty lines are no harm where it was not.
    const text = `${'\n'.repeat(owedChars)}\n${Uplink.blindNote(tag, 'h')}`;
    for (let at = 0; at < text.length; at += carrier.maxWrite) carrier.write(text.slice(at, at + carrier.maxWrite));
  });
}
