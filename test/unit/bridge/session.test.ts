import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Fault } from '../../../src/base/errors.js';
import { silentLog } from '../../../src/base/log.js';
import { DeviceSession, type TierChoice } from '../../../src/bridge/session.js';
import type { Frame } from '../../../src/protocol/frames.js';
import { platform, type Platform } from '../login/platform.js';
import { FAILS, FakeBackend, GONE, UNSUPPORTED } from './fake-backend.js';

beforeEach(() => {
  vi.useFakeTimers();
  // A clock at 0 would look like a time that was never set.
  vi.advanceTimersByTime(1_000);
});
afterEach(() => {
  vi.useRealTimers();
});

/** What the agent on the other side does with logins, and the shell with the boot line. */
interface Device {
  mode: 'well' | 'refuses' | 'mute';
  shell: 'posix' | 'none' | 'dead';
  logins: number;
}

interface Scene extends Platform {
  device: Device;
  session: DeviceSession;
  backends: FakeBackend[];
  ended: Fault[];
  /** What the log says of a helper that was not told, without the words. */
  warnings(): unknown[];
}

function scene(options: { tier?: TierChoice; graceMs?: number; prepare?: (backend: FakeBackend, nth: number) => void } = {}): Scene {
  const all = platform();
  all.peer.open();
  all.peer.deviceUp();
  const device: Device = { mode: 'well', shell: 'posix', logins: 0 };
  const backends: FakeBackend[] = [];
  all.peer.onFrame = (frame) => {
    all.sent.push(frame);
    setTimeout(() => {
      answer(all, device, frame);
    }, 5);
  };
  const log = silentLog();
  const warn = vi.fn();
  vi.spyOn(log, 'child').mockReturnValue({ ...log, info: () => undefined, debug: () => undefined, warn } as never);
  const session = new DeviceSession({
    login: all.login,
    credential: { user: 'pi', password: 'secret' },
    tier: options.tier ?? 'auto',
    graceMs: options.graceMs ?? 600_000,
    backend: () => {
      const backend = new FakeBackend();
      backends.push(backend);
      options.prepare?.(backend, backends.length);
      return backend;
    },
    log,
  });
  const ended: Fault[] = [];
  session.onEnd = (fault) => ended.push(fault);
  const warnings = (): unknown[] => warn.mock.calls.filter(([, words]) => String(words).includes('could not be told')).map(([facts]) => facts as unknown);
  return { ...all, device, session, backends, ended, warnings };
}

function answer(all: Platform, device: Device, frame: Frame): void {
  if (device.mode === 'mute' || all.login.tunnelState !== 'open') return;
  if (frame.operation === 'connect') {
    if (device.mode === 'refuses') all.disconnect('400');
    else {
      device.logins += 1;
      all.answer();
      all.print('$ ');
    }
  } else if (frame.operation === 'command' && device.shell !== 'dead') {
    const [, a, b] = /w=(\w+);w=\$\{w\}(\w+)/.exec(frame.data) ?? [];
    if (a === undefined || b === undefined) return;
    all.print(device.shell === 'none' ? 'unknown command\r\n' : `@${a}${b},python3,@`);
  }
}

async function ready(all: Scene): Promise<FakeBackend> {
  const started = all.session.start();
  await vi.advanceTimersByTimeAsync(500);
  await started;
  expect(await all.session.device).toBe(all.backends.at(-1));
  return all.backends.at(-1) as FakeBackend;
}

async function stall(backend: FakeBackend): Promise<void> {
  const before = backend.detached.length;
  backend.owed = 100_000;
  for (let n = 0; backend.detached.length === before && n < 100; n += 1) await vi.advanceTimersByTimeAsync(10);
  backend.owed = 0;
}

describe('a device session at its start', () => {
  it('takes the first tier that runs', async () => {
    const all = scene({ prepare: (backend, nth) => (backend.answers = nth === 1 ? [UNSUPPORTED] : []) });
    await ready(all);
    expect(all.backends).toHaveLength(2);
    expect(all.ended).toEqual([]);
  });

  it('goes straight to the plain terminal where no shell runs', async () => {
    const all = scene();
    all.device.shell = 'none';
    const started = all.session.start();
    await vi.advanceTimersByTimeAsync(20_000);
    await started;
    await all.session.device;
    // python once, then raw: the sh tier needs the same shell.
    expect(all.device.logins).toBe(2);
  });

  it('does not take a session that died for a device without a shell', async () => {
    const all = scene();
    all.device.shell = 'dead';
    const started = all.session.start();
    await vi.advanceTimersByTimeAsync(4_000);
    await started;
    all.device.shell = 'posix';
    await vi.advanceTimersByTimeAsync(10_000);
    await all.session.device;
    expect(all.backends).toHaveLength(1);
    expect(all.device.logins).toBe(2);
  });

  it('logs in anew when a try fails, and gives up after four', async () => {
    const all = scene({ prepare: (backend) => (backend.answers = [FAILS]) });
    const started = all.session.start();
    all.session.device.catch(() => undefined);
    await vi.advanceTimersByTimeAsync(1_000);
    await started;
    expect(all.peer.resets).toBe(1);
    all.peer.open();
    all.peer.deviceUp();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(all.ended.map(({ code }) => code)).toEqual(['DEVICE_LOST']);
    expect(all.backends[0]?.attaches).toBe(4);
    await expect(all.session.device).rejects.toMatchObject({ code: 'DEVICE_LOST' });
  });

  it('ends within two minutes when the start neither works nor fails', async () => {
    const all = scene({ tier: 'python', prepare: (backend) => (backend.answers = [() => new Promise(() => undefined)]) });
    const started = all.session.start();
    await vi.advanceTimersByTimeAsync(119_000);
    await started;
    expect(all.ended).toEqual([]);
    await vi.advanceTimersByTimeAsync(2_000);
    expect(all.ended.map(({ message }) => message)).toEqual(['The helper did not start on the device within 120 s.']);
    let gone = false;
    void all.session.gone().then(() => (gone = true));
    await vi.advanceTimersByTimeAsync(3_000);
    expect(gone).toBe(true);
  });

  it('tells the refusal of a credential at once', async () => {
    const all = scene();
    all.device.mode = 'refuses';
    const started = all.session.start();
    const failed = expect(started).rejects.toMatchObject({ code: 'DENIED' });
    await vi.advanceTimersByTimeAsync(100);
    await failed;
  });
});

describe('a device session under faults', () => {
  it('logs in again and goes on with the same helper after each kind of loss', async () => {
    const ways: ((all: Scene, backend: FakeBackend) => unknown)[] = [
      (_all, backend) => stall(backend),
      (all) => { all.disconnect('408'); },
      (all) => { all.disconnect('1006'); all.peer.deviceUp(); },
      (all) => { all.peer.deviceUp({ repeated: true }); },
      (all) => { all.peer.lose(); all.peer.open(); all.peer.deviceUp(); },
    ];
    for (const way of ways) {
      const all = scene();
      const backend = await ready(all);
      await way(all, backend);
      await vi.advanceTimersByTimeAsync(6_000);
      expect(backend.detached).toHaveLength(1);
      expect(backend.attaches).toBe(2);
      expect(all.backends).toHaveLength(1);
      expect(all.session.counters.recoveries).toBe(1);
      expect(all.ended).toEqual([]);
    }
  });

  it('replaces the tunnel after two logins in vain, and goes on trying', async () => {
    const all = scene();
    const backend = await ready(all);
    all.device.mode = 'mute';
    await stall(backend);
    await vi.advanceTimersByTimeAsync(12_000);
    expect(all.peer.resets).toBe(1);
    all.peer.open();
    all.peer.deviceUp();
    all.device.mode = 'well';
    await vi.advanceTimersByTimeAsync(20_000);
    expect(all.session.counters.recoveries).toBe(1);
    expect(all.ended).toEqual([]);
  });

  it('tries again when a credential that worked is refused, but not for ever', async () => {
    const all = scene();
    const backend = await ready(all);
    all.device.mode = 'refuses';
    await stall(backend);
    await vi.advanceTimersByTimeAsync(2_000);
    all.device.mode = 'well';
    await vi.advanceTimersByTimeAsync(5_000);
    expect(all.session.counters.recoveries).toBe(1);
    all.device.mode = 'refuses';
    const before = all.connects();
    await stall(backend);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(all.ended.map(({ code }) => code)).toEqual(['DENIED']);
    // Devices lock accounts after a few wrong passwords.
    expect(all.connects() - before).toBe(4);
  });

  it('does not end because a session died under the boot line', async () => {
    const all = scene();
    const backend = await ready(all);
    all.device.shell = 'none';
    await stall(backend);
    await vi.advanceTimersByTimeAsync(10_000);
    all.device.shell = 'posix';
    await vi.advanceTimersByTimeAsync(30_000);
    expect(all.ended).toEqual([]);
    expect(all.session.counters.recoveries).toBe(1);
  });

  it('ends with one sentence when the helper is gone', async () => {
    const all = scene({ prepare: (backend) => (backend.answers = [() => Promise.resolve(), GONE]) });
    const backend = await ready(all);
    await stall(backend);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(all.ended.map(({ message }) => message)).toEqual(['the helper is gone']);
    expect(backend.shutdowns).toHaveLength(1);
  });

  it('ends when the platform ends the tunnel or the helper says farewell', async () => {
    const all = scene();
    const backend = await ready(all);
    backend.onEnd(new Fault('DEVICE_LOST', 'the helper ended'));
    expect(all.ended.map(({ message }) => message)).toEqual(['the helper ended']);
    const other = scene();
    await ready(other);
    other.login.onEnded = (fault) => {
      other.session.end(fault);
    };
    other.peer.end(new Fault('TUNNEL', 'the token expired'));
    expect(other.ended.map(({ message }) => message)).toEqual(['the token expired']);
  });

  it('resumes the old terminal first when only our own connection was lost', async () => {
    const all = scene({ prepare: (backend) => (backend.resume = () => Promise.resolve(true)) });
    // Another family than the C agent's: its connect_response has data.
    all.answer = () => { all.peer.deliver({ operation: 'connect_response', requestId: all.connect().requestId, data: Buffer.from('Welcome\r\n') }); };
    all.peer.onFrame = (frame) => {
      all.sent.push(frame);
      setTimeout(() => { answer(all, all.device, frame); }, 5);
    };
    const backend = await ready(all);
    all.peer.lose();
    all.peer.open();
    all.peer.deviceUp();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(all.session.counters.recoveries).toBe(1);
    expect(all.connects()).toBe(1);
    expect(backend.attaches).toBe(1);
  });
});

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

describe('a fight for a lost session', () => {
  it('ends with the grace time, whatever the agent does', async () => {
    const all = scene({ graceMs: 100_000 });
    await ready(all);
    all.device.mode = 'mute';
    all.disconnect('408');
    for (let n = 0; n < 99; n += 1) {
      await vi.advanceTimersByTimeAsync(1_000);
      if (all.login.tunnelState !== 'open') {
        all.peer.open();
        all.peer.deviceUp();
      }
    }
    expect(all.ended).toEqual([]);
    await vi.advanceTimersByTimeAsync(2_000);
    expect(all.ended.map(({ message }) => message)).toEqual([expect.stringMatching(/could not be reached again within 100 s: The agent on the device did not log in/)]);
  });

  it('ends too when every login works and nothing ever arrives behind it', async () => {
    const all = scene({ graceMs: 60_000 });
    const backend = await ready(all);
    const began = performance.now();
    for (let n = 0; all.ended.length === 0 && n < 1_000; n += 1) {
      backend.owed += 250;
      await vi.advanceTimersByTimeAsync(250);
      if (backend.detached.length > 0 && backend.owed > 20_000) backend.owed = 250;
    }
    expect(all.session.counters.recoveries).toBeGreaterThan(2);
    expect(all.ended.map(({ code }) => code)).toEqual(['DEVICE_LOST']);
    expect(performance.now() - began).toBeLessThan(120_000);
  });
});
