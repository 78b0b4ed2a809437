import { describe, expect, it, vi } from 'vitest';
import { Fault } from '../../../src/base/errors.js';
import { GONE } from './fake-backend.js';
import { ready, scene, stall, useClock, type Scene } from './scene.js';

useClock();

describe('leaving a device', () => {
  const LEAVES = new Fault('DEVICE_LOST', 'The bridge is shutting down.');

  /** Whether the session has gone within so many ms. */
  async function gone(all: Scene, ms: number): Promise<boolean> {
    let over = false;
    void all.session.gone().then(() => (over = true));
    for (let n = 0; n < ms && !over; n += 50) await vi.advanceTimersByTimeAsync(50);
    return over;
  }

  it('needs no login where the helper confirms its end', async () => {
    const all = scene();
    const backend = await ready(all);
    all.session.leave(LEAVES);
    expect(all.ended).toEqual([LEAVES]);
    expect(await gone(all, 100)).toBe(true);
    expect(backend.shutdowns).toEqual([LEAVES]);
    expect(all.device.logins).toBe(1);
    expect(all.warnings()).toEqual([]);
  });

  it('takes a new login where the old one does not carry the goodbye, and tells clients before', async () => {
    const all = scene({ prepare: (backend) => (backend.confirms = [undefined, false, true]) });
    const backend = await ready(all);
    all.session.leave(LEAVES);
    expect(all.ended).toEqual([LEAVES]);
    expect(await gone(all, 7_000)).toBe(true);
    expect(backend.shutdowns).toHaveLength(3);
    expect(all.device.logins).toBe(2);
    expect(all.warnings()).toEqual([]);
  });

  it('is done where the helper is gone already', async () => {
    const all = scene({
      prepare: (backend) => {
        backend.confirms = [undefined, false];
        backend.answers = [() => Promise.resolve(), GONE];
      },
    });
    await ready(all);
    all.session.leave(LEAVES);
    expect(await gone(all, 7_000)).toBe(true);
    expect(all.warnings()).toEqual([]);
  });

  it('is given up after 7 s, and the log says how long the helper stays', async () => {
    const all = scene({ prepare: (backend) => (backend.confirms = [undefined]) });
    await ready(all);
    all.device.mode = 'mute';
    all.session.leave(LEAVES);
    expect(await gone(all, 6_000)).toBe(false);
    expect(await gone(all, 1_500)).toBe(true);
    expect(all.warnings()).toEqual([{ seconds: 600 }]);
  });

  it('logs in no second time for a password that is refused now', async () => {
    const all = scene({ prepare: (backend) => (backend.confirms = [false]) });
    await ready(all);
    all.device.mode = 'refuses';
    all.session.leave(LEAVES);
    expect(await gone(all, 7_000)).toBe(true);
    expect(all.connects()).toBe(2);
    expect(all.warnings()).toEqual([{ seconds: 600 }]);
  });

  it('waits for a helper that is just starting, and gives it its leave', async () => {
    let attached: () => void = () => undefined;
    const all = scene({ tier: 'python', prepare: (backend) => (backend.answers = [() => new Promise((resolve) => (attached = resolve))]) });
    const started = all.session.start();
    const refused = expect(all.session.device).rejects.toBe(LEAVES);
    await vi.advanceTimersByTimeAsync(500);
    await started;
    expect(all.backends[0]?.attaches).toBe(1);
    all.session.leave(LEAVES);
    await refused;
    expect(await gone(all, 1_000)).toBe(false);
    expect(all.backends[0]?.shutdowns).toEqual([]);
    attached();
    expect(await gone(all, 100)).toBe(true);
    expect(all.backends[0]?.shutdowns).toEqual([LEAVES]);
    expect(all.device.logins).toBe(1);
  });

  it('starts no helper that had not begun', async () => {
    const all = scene();
    all.device.shell = 'dead';
    const started = all.session.start();
    all.session.device.catch(() => undefined);
    await vi.advanceTimersByTimeAsync(500);
    await started;
    all.session.leave(LEAVES);
    expect(await gone(all, 100)).toBe(true);
    expect(all.backends[0]?.attaches).toBe(0);
    expect(all.device.logins).toBe(1);
  });

  it('interrupts a repair, and takes a login of its own', async () => {
    const all = scene({ prepare: (backend) => (backend.confirms = [false, false, true]) });
    const backend = await ready(all);
    all.device.mode = 'mute';
    await stall(backend);
    await vi.advanceTimersByTimeAsync(1_000);
    all.device.mode = 'well';
    all.session.leave(LEAVES);
    expect(await gone(all, 7_000)).toBe(true);
    expect(all.session.counters.recoveries).toBe(0);
    expect(all.device.logins).toBe(2);
  });

  it('does not log in for a session that was given up', async () => {
    const all = scene({ prepare: (backend) => (backend.confirms = [false]) });
    await ready(all);
    all.session.end(new Fault('DEVICE_LOST', 'The device could not be reached again.'));
    expect(await gone(all, 3_000)).toBe(true);
    expect(all.device.logins).toBe(1);
    expect(all.warnings()).toEqual([{ seconds: 600 }]);
  });
});
