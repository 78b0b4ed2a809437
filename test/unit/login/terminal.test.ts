import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Fault } from '../../../src/base/errors.js';
import { CREDENTIAL, loggedIn, turn, up, type Platform } from './platform.js';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

describe('the terminal of a login', () => {
  it('types one frame a write and hears output of any request id', async () => {
    const all = up();
    const carrier = await loggedIn(all);
    const heard: string[] = [];
    carrier.onText = (bytes) => heard.push(bytes.toString());
    carrier.write('abc\n');
    expect(all.sent.at(-1)).toMatchObject({ operation: 'command', data: 'abc\n', requestId: all.connect().requestId });
    all.print('out', 'z'.repeat(36));
    expect(heard.join('')).toBe('device:~$ out');
  });

  it('is lost once, with the reason, by each way to lose it; and types nothing afterwards', async () => {
    const ways: [(all: Platform) => void, string][] = [
      [(all) => { all.disconnect('408'); }, 'DEVICE_LOST'],
      [(all) => { all.disconnect('1006'); }, 'DEVICE_LOST'],
      [(all) => { all.peer.deviceUp({ repeated: true }); }, 'DEVICE_LOST'],
      [(all) => { all.peer.lose(); }, 'TUNNEL'],
      [(all) => { all.peer.end(new Fault('TUNNEL', 'over')); }, 'TUNNEL'],
      [(all) => { all.login.reset('test'); }, 'TUNNEL'],
      [(all) => { void all.login.open(CREDENTIAL, true, all.never).catch(() => undefined); }, 'DEVICE_LOST'],
    ];
    for (const [way, code] of ways) {
      const all = up();
      const carrier = await loggedIn(all);
      const lost: unknown[] = [];
      carrier.onLost = (cause) => lost.push(cause instanceof Fault ? cause.code : cause);
      way(all);
      await turn();
      all.disconnect('408');
      expect(lost).toEqual([code]);
      const before = all.sent.length;
      carrier.write('late');
      expect(all.sent.slice(before).filter((frame) => frame.operation === 'command')).toEqual([]);
    }
  });

  it('tells its owner of an end that came in the same segment as the login', async () => {
    const all = up();
    const opening = all.login.open(CREDENTIAL, false, all.never);
    await turn();
    all.answer('nologin: This account is currently not available.');
    all.disconnect('408');
    const carrier = await opening;
    const lost: unknown[] = [];
    carrier.onLost = () => lost.push('the first owner, who is gone by now');
    carrier.onLost = (cause) => lost.push(cause instanceof Fault ? cause.code : cause);
    expect(lost).toEqual([]);
    await turn();
    expect(lost).toEqual(['DEVICE_LOST']);
  });
});

describe('resuming a terminal', () => {
  it('types into the same session after our own connection was lost, where the agent ignores a second login', async () => {
    const all = up();
    const old = await loggedIn(all, 'Welcome\r\n');
    const id = all.connect().requestId;
    const lost: unknown[] = [];
    old.onLost = (cause) => lost.push(cause);
    all.peer.lose();
    const resuming = all.login.resume(all.never);
    all.peer.open();
    all.peer.deviceUp();
    const carrier = await resuming;
    expect(lost).toHaveLength(1);
    carrier?.write('hello');
    expect(all.sent.at(-1)).toMatchObject({ operation: 'command', data: 'hello', requestId: id });
    expect(all.connects()).toBe(1);
  });

  it('is not tried with a C agent, nor when the session is known to be gone', async () => {
    const c = up();
    await loggedIn(c);
    c.peer.lose();
    expect(await c.login.resume(c.never)).toBeUndefined();
    const other = up();
    await loggedIn(other, 'Welcome\r\n');
    other.disconnect('1006');
    expect(await other.login.resume(other.never)).toBeUndefined();
    const repeated = up();
    await loggedIn(repeated, 'Welcome\r\n');
    repeated.peer.deviceUp({ repeated: true });
    expect(await repeated.login.resume(repeated.never)).toBeUndefined();
  });
});
