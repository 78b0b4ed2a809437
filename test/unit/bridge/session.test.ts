import { describe, expect, it, vi } from 'vitest';
import { Fault } from '../../../src/base/errors.js';
import { LOGIN_DEADLINE_MS } from '../../../src/login/login.js';
import { FAILS, GONE, UNSUPPORTED, type FakeBackend } from './fake-backend.js';
import { answer, ready, scene, stall, useClock, type Scene } from './scene.js';

useClock();

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

  it('waits longer for a shell that is busy with its start-up files, and takes it for none after 90 s', async () => {
    const busy = scene();
    busy.device.shell = 'busy';
    busy.device.busyMs = 25_000;
    const started = busy.session.start();
    await vi.advanceTimersByTimeAsync(41_000);
    await started;
    await busy.session.device;
    expect(busy.device.logins).toBe(2);
    expect(busy.backends).toHaveLength(1);
    const never = scene();
    never.device.shell = 'busy';
    never.device.busyMs = 1_000_000;
    const begun = never.session.start();
    await vi.advanceTimersByTimeAsync(46_000);
    never.peer.open();
    never.peer.deviceUp();
    await vi.advanceTimersByTimeAsync(46_000);
    await begun;
    await never.session.device;
    // python once, then raw.
    expect(never.backends).toHaveLength(2);
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

  it('logs in anew when a try fails, and gives up after six', async () => {
    const all = scene({ prepare: (backend) => (backend.answers = [FAILS]) });
    const started = all.session.start();
    all.session.device.catch(() => undefined);
    await vi.advanceTimersByTimeAsync(1_000);
    await started;
    for (const resets of [1, 2]) {
      expect(all.peer.resets).toBe(resets);
      all.peer.open();
      all.peer.deviceUp();
      await vi.advanceTimersByTimeAsync(1_000);
    }
    expect(all.ended.map(({ code }) => code)).toEqual(['DEVICE_LOST']);
    expect(all.backends[0]?.attaches).toBe(6);
    await expect(all.session.device).rejects.toMatchObject({ code: 'DEVICE_LOST' });
  });

  it('counts no try in which the agent connects anew', async () => {
    const all = scene({ tier: 'python' });
    all.device.shell = 'dead';
    const started = all.session.start();
    for (let nth = 1; nth <= 9; nth += 1) {
      for (let n = 0; all.device.logins < nth && n < 1_000; n += 1) await vi.advanceTimersByTimeAsync(10);
      await vi.advanceTimersByTimeAsync(100);
      all.peer.deviceUp({ repeated: true });
    }
    await started;
    expect(all.device.logins).toBe(9);
    expect(all.peer.resets).toBe(0);
    expect(all.ended).toEqual([]);
    all.device.shell = 'posix';
    all.session.end(new Fault('DEVICE_LOST', 'The test is over.'));
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

  it('replaces the tunnel before the second login, since it may be half open', async () => {
    const all = scene();
    all.device.mode = 'mute';
    const started = all.session.start();
    await vi.advanceTimersByTimeAsync(LOGIN_DEADLINE_MS + 100);
    expect(all.peer.resets).toBe(1);
    all.device.mode = 'well';
    all.peer.open();
    all.peer.deviceUp();
    await vi.advanceTimersByTimeAsync(500);
    await started;
    await all.session.device;
    expect(all.device.logins).toBe(1);
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

  it('has the boot sh watch the first start behind an agent that may hang, and leaves later ones to the helper', async () => {
    const all = scene();
    const backend = await ready(all);
    await stall(backend);
    await vi.advanceTimersByTimeAsync(6_000);
    expect(backend.attaches).toBe(2);
    const bootLines = all.sent.flatMap((frame) => (frame.operation === 'command' && frame.data.includes('/bin/sh -c') ? [frame.data] : []));
    expect(bootLines.map((line) => line.includes('Iwatch=$!'))).toEqual([true, false]);
  });

  it('gives the shell of a device that has become slow more time with each login', async () => {
    const all = scene({ graceMs: 60_000 });
    const backend = await ready(all);
    all.device.shell = 'busy';
    all.device.busyMs = 14_000;
    await stall(backend);
    for (let n = 0; backend.attaches < 2 && n < 60; n += 1) {
      await vi.advanceTimersByTimeAsync(1_000);
      if (all.login.tunnelState !== 'open') all.peer.open();
      all.peer.deviceUp({ repeated: false });
    }
    expect(backend.attaches).toBe(2);
    expect(all.ended).toEqual([]);
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

  it('leaves the tunnel alone while the agent shows itself by connecting anew', async () => {
    const all = scene();
    const backend = await ready(all);
    all.device.mode = 'mute';
    await stall(backend);
    for (let nth = 1; nth <= 6; nth += 1) {
      const before = all.connects();
      for (let n = 0; all.connects() === before && n < 1_000; n += 1) await vi.advanceTimersByTimeAsync(10);
      // It comes back in the middle of a login, which is lost.
      all.peer.deviceUp({ repeated: true });
    }
    expect(all.peer.resets).toBe(0);
    all.device.mode = 'well';
    await vi.advanceTimersByTimeAsync(12_000);
    expect(backend.attaches).toBe(2);
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

describe('a fight for a lost session', () => {
  it.each([
    ['at once, where nothing arrives in them', 0, 30],
    ['after a while, where something does', 100, 60],
  ])('logs in ever more slowly to a device whose sessions do not last: %s', async (_, arrives, most) => {
    const all = scene();
    const backend = await ready(all);
    const attach = backend.attach.bind(backend);
    let dying = true;
    backend.attach = async (...args) => {
      await attach(...args);
      setTimeout(() => {
        backend.progress += arrives;
        if (dying) all.disconnect('408');
      }, 500);
    };
    const before = all.device.logins;
    all.disconnect('408');
    await vi.advanceTimersByTimeAsync(60_000);
    const minute = all.device.logins - before;
    expect(minute).toBeGreaterThan(10);
    expect(minute).toBeLessThan(most);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(all.device.logins - before - minute).toBeLessThan(15);
    expect(all.ended).toEqual([]);
    // One that lasts puts it right.
    dying = false;
    await vi.advanceTimersByTimeAsync(20_000);
    const then = all.device.logins;
    all.disconnect('408');
    await vi.advanceTimersByTimeAsync(400);
    expect(all.device.logins).toBe(then + 1);
  });

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
