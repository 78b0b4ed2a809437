/** A device session with a platform and a device that answer as a test wants, on a clock of the test's own. */
import { afterEach, beforeEach, expect, vi } from 'vitest';
import { Fault } from '../../../src/base/errors.js';
import { silentLog } from '../../../src/base/log.js';
import { DeviceSession, type TierChoice } from '../../../src/bridge/session.js';
import type { Frame } from '../../../src/protocol/frames.js';
import { platform, type Platform } from '../login/platform.js';
import { FakeBackend } from './fake-backend.js';

/** Gives the tests of a file a clock of their own. */
export function useClock(): void {
  beforeEach(() => {
    vi.useFakeTimers();
    // A clock at 0 would look like a time that was never set.
    vi.advanceTimersByTime(1_000);
  });
  afterEach(() => {
    vi.useRealTimers();
  });
}

/** What the agent on the other side does with logins, and the shell with the boot line. */
interface Device {
  mode: 'well' | 'refuses' | 'mute';
  /** `busy`: the terminal echoes, and the shell takes what was typed so much later. */
  shell: 'posix' | 'none' | 'dead' | 'busy';
  busyMs: number;
  logins: number;
}

export interface Scene extends Platform {
  device: Device;
  session: DeviceSession;
  backends: FakeBackend[];
  ended: Fault[];
  /** What the log says of a helper that was not told, without the words. */
  warnings(): unknown[];
}

export function scene(options: { tier?: TierChoice; graceMs?: number; prepare?: (backend: FakeBackend, nth: number) => void } = {}): Scene {
  const all = platform();
  all.peer.open();
  all.peer.deviceUp();
  const device: Device = { mode: 'well', shell: 'posix', busyMs: 0, logins: 0 };
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

export function answer(all: Platform, device: Device, frame: Frame): void {
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
    if (device.shell === 'busy') {
      const { logins } = device;
      all.print(frame.data);
      setTimeout(() => {
        if (device.logins === logins) all.print(`@${a}${b},python3,@`);
      }, device.busyMs);
      return;
    }
    all.print(device.shell === 'none' ? 'unknown command\r\n' : `@${a}${b},python3,@`);
  }
}

export async function ready(all: Scene): Promise<FakeBackend> {
  const started = all.session.start();
  await vi.advanceTimersByTimeAsync(500);
  await started;
  expect(await all.session.device).toBe(all.backends.at(-1));
  return all.backends.at(-1) as FakeBackend;
}

export async function stall(backend: FakeBackend): Promise<void> {
  const before = backend.detached.length;
  backend.owed = 100_000;
  for (let n = 0; backend.detached.length === before && n < 100; n += 1) await vi.advanceTimersByTimeAsync(10);
  backend.owed = 0;
}
