/** The programs of the sh tier on a device, driven by damaged and by odd lines between correct ones. */
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { seeded } from '../support/lossy-carrier.js';
import { LIVE, ShFront } from './sh-front.js';
import { Lines, sealed } from './sh-lines.js';

/** Steps between two looks at everything; the device starts some ten processes for each. */
const BATCH = 8;
const SECONDS = process.env['FUZZ_SECONDS'];
const BATCHES = SECONDS === undefined ? 12 : Infinity;
const SEED = Number(process.env['FUZZ_SEED'] ?? 1);
/** One batch in so many ends with the loss of the login. */
const LOSSES = 6;

async function fuzz(kind: 'dash' | 'busybox', lines: 'damaged' | 'odd', seed: number): Promise<number> {
  const random = seeded(seed);
  const front = await ShFront.start(kind, `s${Math.floor(random() * 2 ** 48).toString(16).padStart(12, '0')}`);
  const canary = join(front.device.home, 'canary');
  const world = { tag: front.tag, sum: front.sum, live: LIVE, next: 0, canary, random };
  const source = new Lines(world);
  const deadline = performance.now() + Number(SECONDS ?? 0) * 1_000;
  const last: string[] = [];
  let steps = 0;
  try {
    for (let batch = 1; batch <= BATCHES && (SECONDS === undefined || performance.now() < deadline); batch += 1) {
      last.length = 0;
      for (let n = 0; n < BATCH; n += 1) {
        world.next = front.lines + 1;
        const step = source[lines]();
        last.push(JSON.stringify(step.kind === 'typed' ? step.text.toString('latin1') : step));
        if (step.kind === 'typed') front.type(step.text);
        else if (step.kind === 'line') front.submit(step.body);
        else front.block(step.channel, step.slot, Buffer.from('odd'));
        steps += 1;
      }
      if (batch % LOSSES === 0) {
        front.drop();
        await front.attach();
      }
      await front.echoes(Buffer.from(Array.from({ length: 1 + Math.floor(random() * (random() < 0.2 ? 20_000 : 300)) }, () => Math.floor(random() * 256))));
      front.unharmed(canary);
    }
    await front.end();
    front.unharmed(canary);
    return steps;
  } catch (error) {
    throw new Error(`${kind}, ${lines} lines, seed ${seed}: ${error instanceof Error ? error.message : String(error)}; the last lines:\n${last.join('\n')}`, { cause: error });
  } finally {
    await front.remove();
  }
}

/** Whole lines that once did harm. `q`: typed under that number; without: in its turn among the correct lines. */
const ONCE: readonly { what: string; body: string; q?: string }[] = [
  { what: 'ended the front: no such channel', body: 'O 99' },
  { what: 'ended the front, or made it spin: words are missing', body: 'k 1', q: '0' },
  { what: 'the same in the account of a stream', body: `k 5 131072 2 ${LIVE} o 0`, q: '0' },
  { what: 'made the front spin: more arrived than was ever sent', body: `k 5 131072 2 ${LIVE} o 999999999 999999999`, q: '0' },
  { what: 'muted the front: text to calculate with', body: 'k abc 131072 2', q: '0' },
  { what: 'muted the front: an octal number that is none', body: 'k 08 131072 2', q: '0' },
  { what: 'muted the front: no window', body: 'k 0 0 2', q: '0' },
  { what: 'counted as the next line: a number that no shell can compare', body: `c ${LIVE}`, q: '99999999999999999999999' },
  { what: 'removed the whole state', body: 'c' },
  { what: 'removed another channel', body: `z 99/../${LIVE}` },
  { what: 'removed what is beside the state directory', body: 'c ../decoy' },
  { what: 'ended a process of somebody else', body: 's ../decoy KILL' },
  { what: 'emptied files of somebody else', body: 'k 5 131072 2 ../decoy o 1 9', q: '0' },
  { what: 'moved something else into the state directory', body: 'x 100 a ../decoy' },
  { what: 'moved a channel', body: `x 101 a ${LIVE}` },
  { what: 'made something beside the state directory', body: 'x ../made p exit' },
  { what: 'ended every channel: pieces of output of no size', body: 'n 0' },
  { what: 'swallowed the lines that followed: more than a block has', body: `d ${LIVE} 0 999999999 1` },
  { what: 'was sent for ever: a block for no slot', body: `d ${LIVE}` },
  { what: 'was sent for ever: pieces without a number', body: `D ${LIVE} 0` },
  { what: 'was sent for ever: more pieces than a block has', body: `D ${LIVE} 0 999999999 1` },
];

describe.runIf(process.platform === 'linux')('fuzzing the front of the sh tier', () => {
  describe.each(['dash', 'busybox'] as const)('in %s', (kind) => {
    it('what once did harm does none', async () => {
      const front = await ShFront.start(kind, 's0123456789ab');
      try {
        for (const { what, body, q } of ONCE) {
          if (q === undefined) front.submit(body);
          else front.type(Buffer.from(sealed(front, q, body)));
          try {
            await front.echoes(Buffer.alloc(3_000, body));
            front.unharmed(join(front.device.home, 'canary'));
          } catch (cause) {
            throw new Error(`${body} ${what}`, { cause });
          }
        }
        await front.end();
      } finally {
        await front.remove();
      }
    });

    it.each(['damaged', 'odd'] as const)('%s lines harm nothing, and end with nothing left', { timeout: Number(SECONDS ?? 0) * 1_000 + 240_000 }, async (lines) => {
      const steps = await fuzz(kind, lines, SEED);
      expect(steps).toBeGreaterThan(0);
      if (SECONDS !== undefined) process.stdout.write(`sh front in ${kind}, ${lines} lines: ${steps}\n`);
    });
  });
});
