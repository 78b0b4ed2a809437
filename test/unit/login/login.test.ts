import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Fault } from '../../../src/base/errors.js';
import type { Carrier } from '../../../src/link/carrier.js';
import { DEVICE_WAIT_MS, LOGIN_DEADLINE_MS, RELOGIN_DEADLINE_MS, SILENT_SHELL_MS } from '../../../src/login/login.js';
import { CREDENTIAL, loggedIn, platform, turn, up } from './platform.js';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** How a promise stands. */
async function outcome(promise: Promise<unknown>): Promise<string> {
  let state = 'pending';
  promise.then(() => (state = 'accepted'), (error: unknown) => (state = error instanceof Fault ? error.code : String(error)));
  await turn();
  return state;
}

describe('a login', () => {
  it('is sent when the device is there, and not before', async () => {
    const all = platform();
    void all.login.open(CREDENTIAL, false, all.never);
    all.peer.open();
    await turn();
    expect(all.connects()).toBe(0);
    all.peer.deviceUp();
    await turn();
    expect(all.connect()).toMatchObject({ username: 'pi', password: 'secret' });
  });

  it('to a C agent is accepted by the first output, not by connect_response', async () => {
    const all = up();
    const opening = all.login.open(CREDENTIAL, false, all.never);
    await turn();
    all.answer();
    expect(await outcome(opening)).toBe('pending');
    all.print('$ ');
    expect(await outcome(opening)).toBe('accepted');
  });

  it('to a C# agent is accepted by connect_response with output, even when output came before', async () => {
    const all = up();
    const opening = all.login.open(CREDENTIAL, false, all.never);
    await turn();
    all.print('Welcome\r\n');
    expect(await outcome(opening)).toBe('pending');
    all.answer('');
    expect(await outcome(opening)).toBe('accepted');
    const heard: string[] = [];
    (await opening).onText = (bytes) => heard.push(bytes.toString());
    expect(heard.join('')).toBe('Welcome\r\n');
  });

  it('is refused by disconnect 400, and by any disconnect before an answer after which the device stays away', async () => {
    for (const [before, status] of [[true, '400'], [false, '400'], [false, '1011']] as const) {
      const all = up();
      const opening = all.login.open(CREDENTIAL, false, all.never);
      await turn();
      if (before) all.answer();
      all.disconnect(status);
      expect(await outcome(opening)).toBe(status === '400' ? 'DENIED' : 'pending');
      if (status !== '400') await vi.advanceTimersByTimeAsync(3_000);
      expect(await outcome(opening)).toBe('DENIED');
    }
  });

  it('is not refused by the late refusal of the login before it', async () => {
    const all = up();
    const first = all.login.open(CREDENTIAL, true, all.never);
    void outcome(first);
    await turn();
    const { requestId } = all.connect();
    await vi.advanceTimersByTimeAsync(LOGIN_DEADLINE_MS);
    expect(await outcome(first)).toBe('DEVICE_LOST');
    const second = all.login.open(CREDENTIAL, true, all.never);
    await turn();
    all.peer.deliver({ operation: 'disconnect', requestId, status: '400', message: 'late' });
    expect(await outcome(second)).toBe('pending');
    all.answer();
    all.print('$ ');
    expect(await outcome(second)).toBe('accepted');
  });

  it('is not accepted by the late answer to another credential, but by one to its own', async () => {
    const all = up();
    const late = (requestId: string): void => {
      all.peer.deliver({ operation: 'connect_response', requestId, data: Buffer.from('device:~$ ') });
      all.print('device:~$ ', requestId);
    };
    const open = (password: string): { opening: Promise<Carrier> } => {
      const opening = all.login.open({ user: 'pi', password }, false, all.never);
      void outcome(opening);
      return { opening };
    };
    const right = open('secret');
    await turn();
    const before = all.connect().requestId;
    await vi.advanceTimersByTimeAsync(LOGIN_DEADLINE_MS);
    expect(await outcome(right.opening)).toBe('DEVICE_LOST');
    const wrong = open('guess');
    await turn();
    late(before);
    expect(await outcome(wrong.opening)).toBe('pending');
    all.peer.deliver({ operation: 'disconnect', requestId: before, status: '400', message: 'late' });
    expect(await outcome(wrong.opening)).toBe('pending');
    const mine = all.connect().requestId;
    await vi.advanceTimersByTimeAsync(LOGIN_DEADLINE_MS);
    expect(await outcome(wrong.opening)).toBe('DEVICE_LOST');
    const again = open('guess');
    await turn();
    late(mine);
    expect(await outcome(again.opening)).toBe('accepted');
  });

  it('finds the session of one that was answered when its time was over, if the credential is the same', async () => {
    const all = up();
    const opening = all.login.open(CREDENTIAL, false, all.never);
    void outcome(opening);
    await turn();
    const { requestId } = all.connect();
    await vi.advanceTimersByTimeAsync(LOGIN_DEADLINE_MS);
    expect(await outcome(opening)).toBe('DEVICE_LOST');
    all.answer('motd ');
    all.print('device:~$ ');
    // The C# agent has a session now, and ignores every other login.
    const carrier = await all.login.open(CREDENTIAL, false, all.never);
    let text = '';
    carrier.onText = (bytes) => (text += bytes.toString());
    all.print('more');
    carrier.write('ls');
    expect({ connects: all.connects(), text, sent: all.sent.at(-1) }).toMatchObject({ connects: 1, text: 'motd device:~$ more', sent: { operation: 'command', requestId, data: 'ls' } });
    // A session that is in use is nobody else's, and each is found once.
    const next = all.login.open(CREDENTIAL, true, all.never);
    void outcome(next);
    await turn();
    expect(all.connects()).toBe(2);
  });

  it.each([
    ['was another credential’s', 'guess', 'device:~$ ', 0],
    ['was a C agent’s', CREDENTIAL.password, undefined, 0],
    ['proves nothing', CREDENTIAL.password, '', 0],
    ['was answered long ago', CREDENTIAL.password, 'device:~$ ', 60_000],
  ])('is a login of its own where the late answer %s', async (_what, password, data, agoMs) => {
    const all = up();
    const opening = all.login.open(CREDENTIAL, false, all.never);
    void outcome(opening);
    await turn();
    await vi.advanceTimersByTimeAsync(LOGIN_DEADLINE_MS);
    all.answer(data);
    await vi.advanceTimersByTimeAsync(agoMs);
    expect(await outcome(all.login.open({ user: 'pi', password }, false, all.never))).toBe('pending');
    expect(all.connects()).toBe(2);
  });

  it('is a login of its own where the answer of a session that is over comes again', async () => {
    const all = up();
    await loggedIn(all, 'device:~$ ');
    all.disconnect('408');
    all.answer('device:~$ ');
    expect(await outcome(all.login.open(CREDENTIAL, true, all.never))).toBe('pending');
    expect(all.connects()).toBe(2);
  });

  it('is not refused by an agent that is restarted meanwhile, but by one that closes each time', async () => {
    const all = up();
    const login = async (): Promise<{ opening: Promise<unknown> }> => {
      const opening = all.login.open(CREDENTIAL, false, all.never);
      void outcome(opening);
      await turn();
      all.disconnect('1006');
      await vi.advanceTimersByTimeAsync(300);
      return { opening };
    };
    const first = await login();
    all.peer.deviceUp();
    expect(await outcome(first.opening)).toBe('DEVICE_LOST');
    const second = await login();
    expect(await outcome(second.opening)).toBe('DENIED');
  });

  it('that worked before finds no SSH server when the refusal comes at once, and is refused when it takes a moment', async () => {
    const all = up();
    await loggedIn(all);
    const again = async (afterMs: number): Promise<string> => {
      const opening = all.login.open(CREDENTIAL, true, all.never);
      const end = outcome(opening);
      await turn();
      all.answer();
      await vi.advanceTimersByTimeAsync(afterMs);
      all.disconnect('400');
      await end;
      return await outcome(opening);
    };
    for (let times = 0; times < 20; times += 1) expect(await again(times % 2)).toBe('DEVICE_LOST');
    // Not for ever: frames that come together may be late ones.
    expect(await again(1)).toBe('DENIED');
    expect(await again(100)).toBe('DENIED');
  });

  it('is not refused by the late end of the shell before it, nor accepted by late packets of it', async () => {
    const all = up();
    const opening = all.login.open(CREDENTIAL, false, all.never);
    await turn();
    all.answer();
    all.disconnect('408', 'SSH idles for too long, the session will be closed');
    all.print(':AAAA;:BBBB');
    expect(await outcome(opening)).toBe('pending');
    all.print('$ ');
    expect(await outcome(opening)).toBe('accepted');
  });

  it('wakes a shell that prints nothing', async () => {
    const all = up();
    void all.login.open(CREDENTIAL, false, all.never);
    await turn();
    await vi.advanceTimersByTimeAsync(SILENT_SHELL_MS + 1);
    expect(all.sent.some((frame) => frame.operation === 'command')).toBe(false);
    all.answer();
    await vi.advanceTimersByTimeAsync(SILENT_SHELL_MS);
    expect(all.sent.at(-1)).toMatchObject({ operation: 'command', data: '\r', requestId: all.connect().requestId });
  });

  it('is given up at its deadline: a first one late, a repeated one early and then less early', async () => {
    const all = up();
    const first = all.login.open(CREDENTIAL, false, all.never);
    void outcome(first);
    await vi.advanceTimersByTimeAsync(LOGIN_DEADLINE_MS - 1);
    expect(await outcome(first)).toBe('pending');
    await vi.advanceTimersByTimeAsync(1);
    expect(await outcome(first)).toBe('DEVICE_LOST');
    for (const deadline of [2 * RELOGIN_DEADLINE_MS, 4 * RELOGIN_DEADLINE_MS, LOGIN_DEADLINE_MS, LOGIN_DEADLINE_MS]) {
      const again = all.login.open(CREDENTIAL, true, all.never);
      void outcome(again);
      await vi.advanceTimersByTimeAsync(deadline - 1);
      expect(await outcome(again)).toBe('pending');
      await vi.advanceTimersByTimeAsync(1);
      expect(await outcome(again)).toBe('DEVICE_LOST');
    }
    await loggedIn(all);
    const after = all.login.open(CREDENTIAL, true, all.never);
    void outcome(after);
    await vi.advanceTimersByTimeAsync(RELOGIN_DEADLINE_MS);
    expect(await outcome(after)).toBe('DEVICE_LOST');
  });

  it('is given up when its caller does, and when the tunnel is lost or over', async () => {
    const all = up();
    const abort = new AbortController();
    const given = all.login.open(CREDENTIAL, false, abort.signal);
    await turn();
    abort.abort();
    expect(await outcome(given)).toBe('DEVICE_LOST');
    const lost = all.login.open(CREDENTIAL, false, all.never);
    await turn();
    all.peer.lose();
    expect(await outcome(lost)).toBe('DEVICE_LOST');
    const over = all.login.open(CREDENTIAL, false, all.never);
    all.peer.end(new Fault('TUNNEL', 'the tunnel is gone'));
    expect(await outcome(over)).toBe('TUNNEL');
    expect(await outcome(all.login.open(CREDENTIAL, false, all.never))).toBe('TUNNEL');
  });

  it('is not sent for a caller who has given up while it waited for the device', async () => {
    const all = platform();
    const abort = new AbortController();
    const given = all.login.open(CREDENTIAL, false, abort.signal);
    all.peer.open();
    await turn();
    // Both in one turn.
    all.peer.deviceUp();
    abort.abort();
    expect(await outcome(given)).toBe('DEVICE_LOST');
    expect(all.connects()).toBe(0);
    expect(await outcome(all.login.open(CREDENTIAL, false, abort.signal))).toBe('DEVICE_LOST');
    expect(all.connects()).toBe(0);
  });

  it('that was sent to an agent before it went is not waited for', async () => {
    const all = up();
    all.peer.lose();
    all.peer.open();
    all.peer.deviceUp({ assumed: true });
    const opening = all.login.open(CREDENTIAL, true, all.never);
    await turn();
    expect(all.connects()).toBe(1);
    // Only now the agent is there: it never saw the connect.
    all.peer.deviceUp();
    expect(await outcome(opening)).toBe('DEVICE_LOST');
  });

  it('does not wait for ever for a device that does not come', async () => {
    const all = platform();
    all.peer.open();
    const opening = all.login.open(CREDENTIAL, false, all.never);
    const failed = expect(opening).rejects.toMatchObject({ code: 'DEVICE_LOST', message: /has not come/ });
    await vi.advanceTimersByTimeAsync(DEVICE_WAIT_MS);
    await failed;
  });

  it('blames the way to the platform, not the device, when the tunnel cannot be opened', async () => {
    const all = platform();
    const opening = all.login.open(CREDENTIAL, false, all.never);
    const failed = expect(opening).rejects.toMatchObject({ code: 'DEVICE_LOST', message: 'The tunnel cannot be opened: no connection to host (ECONNREFUSED).' });
    all.peer.lose('no connection to host (ECONNREFUSED)');
    await vi.advanceTimersByTimeAsync(DEVICE_WAIT_MS);
    await failed;
  });
});
