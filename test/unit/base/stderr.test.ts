import { describe, expect, it, vi } from 'vitest';
import { PatientWriter, WAITING_LIMIT_BYTES } from '../../../src/base/stderr.js';
import { useClock } from '../bridge/scene.js';

useClock();

/** A reader that takes so many bytes until it is asked for more. */
function reader(room: number) {
  const all = { room, text: '', fails: undefined as string | undefined };
  const writer = new PatientWriter((bytes) => {
    if (all.fails !== undefined) throw Object.assign(new Error(all.fails), { code: all.fails });
    if (all.room === 0) throw Object.assign(new Error('again'), { code: 'EAGAIN' });
    const taken = bytes.subarray(0, all.room);
    all.room -= taken.length;
    all.text += taken.toString();
    return taken.length;
  });
  return { all, writer };
}

describe('the writer of the log', () => {
  it('writes at once, and the rest when the reader goes on', async () => {
    const { all, writer } = reader(7);
    writer.write('one\n');
    expect(all.text).toBe('one\n');
    writer.write('two\n');
    writer.write('three\n');
    expect(all.text).toBe('one\ntwo');
    all.room = 4;
    await vi.advanceTimersByTimeAsync(50);
    expect(all.text).toBe('one\ntwo\nthr');
    all.room = Infinity;
    await vi.advanceTimersByTimeAsync(50);
    expect(all.text).toBe('one\ntwo\nthree\n');
    expect(vi.getTimerCount()).toBe(0);
  });

  it('keeps a bounded amount, leaves whole lines out and says how many', async () => {
    const { all, writer } = reader(0);
    const line = `${'x'.repeat(999)}\n`;
    const kept = Math.floor(WAITING_LIMIT_BYTES / line.length);
    for (let n = 0; n < kept + 25; n += 1) writer.write(line);
    all.room = Infinity;
    await vi.advanceTimersByTimeAsync(50);
    expect(all.text).toBe(line.repeat(kept));
    writer.write('again\n');
    expect(all.text.slice(kept * line.length)).toBe('iotda-ssh: 25 lines were left out here: nobody read them.\nagain\n');
    writer.write('and again\n');
    expect(all.text.endsWith('again\nand again\n')).toBe(true);
  });

  it('does not mind that its reader has gone, or that the disk is full', () => {
    const { all, writer } = reader(Infinity);
    all.fails = 'ENOSPC';
    writer.write('lost\n');
    all.fails = undefined;
    writer.write('there is room again\n');
    all.fails = 'EPIPE';
    writer.write('nobody reads\n');
    all.fails = undefined;
    writer.write('nobody ever will\n');
    expect(all.text).toBe('there is room again\n');
  });
});
