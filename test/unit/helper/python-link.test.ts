import { describe, expect, it } from 'vitest';
import { helperText } from '../../../src/helper/python/program.js';
import { PYTHON, runPython } from '../../support/py/run.js';

const check = async (name: string, seed = 1): Promise<unknown> => await runPython('link_sim.py', helperText(), [name, String(seed)], 110_000);
const ack = (recv: number, pn: number, ranges: number[] = [], reply = 0): object => ({ reply, recv, pn, ranges });

describe.skipIf(PYTHON === undefined)('the link of the python helper', () => {
  it('reads packets cut anywhere, amid foreign text', async () => {
    expect(await check('splits')).toEqual({ cuts: 474, good: 474, bytewise: true });
  });

  it('never delivers a byte that was not sent, and recovers from any damage', async () => {
    expect(await check('damage', 7)).toEqual({ wrong: 0, complete: 300 });
  });

  it('drops what no packet may be, and bounds what it keeps', async () => {
    expect(await check('bounds')).toEqual({
      longest: 16_382,
      tooLong: 0,
      fits: true,
      held: true,
      kept: 0,
      nonsense: 0,
      acked: [5, 0, 0],
      byes: ['\ufffd\ufffd'],
      near: [2 ** 32 + 5, 2 ** 32 - 1, 7, 0],
      merged: ['abcdefghijklmno', [[20, 'uv']]],
    });
  });

  it('acknowledges when asked, at gaps and repeats, with its own data, and late otherwise', async () => {
    expect(await check('acks')).toEqual({
      attach: [ack(0, 0, [], 1)],
      notYet: [],
      due: 0.02,
      delayed: [ack(3, 1)],
      asked: [ack(6, 2)],
      gap: [ack(6, 6, [20, 23, 30, 33])],
      repeat: [ack(6, 7, [20, 23, 30, 33])],
      piggyback: [ack(7, 8, [20, 23, 30, 33]), 'data'],
      reply: [ack(7, 8, [20, 23, 30, 33])],
      ackOfAck: [],
      idle: null,
      ranges: 32,
    });
  });

  it('fills a path by its window, and queues little there, also when the path becomes longer or jitters', async () => {
    const found = (await check('window')) as { share: number; queue: number; trip: number; rate: number }[];
    for (const { share, queue, trip, rate } of found) {
      expect(share).toBeGreaterThan(0.8);
      // Or as long as the least window takes.
      expect(queue).toBeLessThan(Math.max(0.015, trip / 2, (64 * 1024) / rate));
    }
    expect(found).toHaveLength(8);
  }, 100_000);

  it('sends again at once what did not arrive, when the bridge is back at the same terminal and asks, and says so until it arrives', async () => {
    expect(await check('back')).toEqual({ waits: 30, nothing: 0, acks: [2, 2, 0], again: ['output'], more: 0, next: 2 });
  });

  it('waits less for a sign of life with each hang where answers are quick, until one comes late or none', async () => {
    expect(await check('hangs')).toEqual({ ended: Array(9).fill([7]), waits: [1.5, 1.2, 0.96, 0.77, 1.5, 1.2, 0.96, 0.77, 0.61], late: 1.5 });
  });

  it.each([1, 2, 3])('moves both streams exactly once over lossy, slow and replaced paths, within its window (seed %i)', async (seed) => {
    expect(await check('transfers', seed)).toMatchObject({ runs: 40, bad: [] });
  });
});
