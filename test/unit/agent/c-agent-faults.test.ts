import { describe, expect, test } from 'vitest';
import { waitFor } from '../../support/wait.js';
import { QUIET, agent, logIn, platform, sessions } from './c-agent-lab.js';
import { Platform } from './platform.js';
import { ScriptedSessions } from './scripted.js';
import { Scope } from '../../support/scope.js';

describe('faults', () => {
  test('a silent death stops both directions without a frame, and a new connect cures it', async () => {
    await logIn({ silentDeathRate: 1 });
    platform.command('rm -rf x\r');
    await waitFor('the death', () => agent.stats().faults['silentDeathRate'] === 1);
    const [dead] = sessions.all;
    dead!.print('never seen');
    platform.command('more text');
    await platform.settled();
    expect(dead!.hungUp).toBe(true);
    expect(platform.leg.frames.map((frame) => frame.operation)).toEqual(['connect_response']);
    platform.connect();
    await waitFor('the second login', () => agent.stats().logins === 2);
    sessions.last.print('alive');
    await platform.shows('alive');
  });

  test('single keys never cause a silent death', async () => {
    await logIn({ silentDeathRate: 1 });
    for (let count = 0; count < 20; count++) platform.command('k');
    await waitFor('the keys', () => sessions.last.typed.length === 20);
    expect(agent.stats().faults).toEqual({});
  });

  test('typing may hang until the session is gone, and then goes on with what waited', async () => {
    await logIn({});
    agent.inject('hang');
    platform.command('typed, and held there');
    platform.connect();
    const [first] = sessions.all;
    await waitFor('the text', () => first!.typed.length === 1);
    first!.print('output still comes');
    await platform.shows('output still comes');
    expect(agent.stats().logins).toBe(1);
    expect(first!.hungUp).toBe(false);
    first!.end('lost');
    await waitFor('the second login', () => agent.stats().logins === 2);
  });

  test('the connect after a silent death may crash the process', async () => {
    await logIn({ recoveryCrashRate: 1 });
    agent.inject('silent-death');
    platform.connect();
    await waitFor('the restart', () => platform.legs.length === 2);
    expect(agent.stats().crashes).toBe(1);
  });

  test('the same seed and commands give the same deaths', async () => {
    const deaths = async (seed: number): Promise<number[]> => {
      const own = new Scope();
      const peer = await Platform.start(own);
      const source = new ScriptedSessions();
      const one = await peer.agent(own, {
        target: { source },
        profile: 'c-agent',
        seed,
        faults: { ...QUIET, silentDeathRate: 0.2 },
      });
      const found: number[] = [];
      peer.connect();
      for (let count = 0; count < 40; count++) {
        peer.command('12345678');
        await peer.settled();
        if ((one.stats().faults['silentDeathRate'] ?? 0) > found.length) {
          found.push(count);
          peer.connect();
        }
      }
      await own.end();
      return found;
    };
    const first = await deaths(5);
    expect(first.length).toBeGreaterThan(0);
    expect(await deaths(5)).toEqual(first);
  });

  test('a flood of commands crashes the process', async () => {
    await logIn({ floodFrames: 10, floodMs: 60_000, floodMinBytes: 100 });
    const { leg } = platform;
    for (let count = 0; count < 11; count++) platform.command('x'.repeat(100));
    await waitFor('the crash', () => leg.closed);
    expect(sessions.last.typed.length).toBe(10);
  });

  test('a stall holds output until the next command', async () => {
    await logIn({ stallRate: 1 });
    platform.command('one');
    await platform.settled();
    sessions.last.print('held');
    await platform.settled();
    expect(platform.output.length).toBe(0);
    agent.inject('stall'); // so that the next command both ends this stall and draws another
    platform.command('');
    await platform.settled();
    platform.connect();
    await waitFor('the second login', () => sessions.all.length === 2);
    sessions.last.print('fresh');
    await platform.shows('fresh');
  });

  test('an injected stall is over with the next command, even an empty one', async () => {
    await logIn();
    agent.inject('stall');
    sessions.last.print('held');
    await platform.settled();
    expect(platform.output.length).toBe(0);
    platform.command('');
    await platform.shows('held');
  });

  test('a stall for good survives commands and ends with a connect', async () => {
    await logIn();
    agent.inject('stall-for-good');
    sessions.last.print('held');
    platform.command('');
    await platform.settled();
    expect(platform.output.length).toBe(0);
    platform.connect();
    await waitFor('the second login', () => sessions.all.length === 2);
    sessions.last.print('fresh');
    await platform.shows('fresh');
  });
});

describe('the end of the shell', () => {
  test('is told by a disconnect 408 in about six of seven cases', async () => {
    await logIn({ exitNoticeRate: 1 });
    sessions.last.print('logout');
    sessions.last.end('exited');
    await platform.has('disconnect');
    expect(platform.of('disconnect')[0]).toEqual({
      operation: 'disconnect',
      requestId: 'SSH_timeout_disconnect',
      status: '408',
      message: 'SSH idles for too long, the session will be closed',
    });
    expect(platform.output.toString()).toBe('logout');
  });

  test('is not told in the others', async () => {
    await logIn({ exitNoticeRate: 0 });
    sessions.last.end('exited');
    await waitFor('the end', () => agent.stats().shellsEnded === 1);
    await platform.settled();
    expect(platform.of('disconnect')).toEqual([]);
  });

  test('makes the next connect be answered, and then nothing ever', async () => {
    await logIn();
    sessions.last.end('exited');
    await waitFor('the end', () => agent.stats().shellsEnded === 1);
    platform.connect();
    await platform.has('connect_response', 2);
    platform.connect();
    platform.leg.socket.ping();
    const { leg } = platform;
    leg.socket.close(1011);
    await waitFor('the close', () => leg.closed);
    expect(platform.of('connect_response').length).toBe(2);
    expect(leg.pongs).toBe(0);
    expect(sessions.all.length).toBe(1);
    expect(platform.legs.length).toBe(1); // it does not come back either
    agent.inject('crash');
    await waitFor('the restarted process', () => platform.legs.length === 2);
  });

  test('makes a command crash the process, sometimes', async () => {
    await logIn({ deadlockCrashRate: 1 });
    sessions.last.end('exited');
    await waitFor('the end', () => agent.stats().shellsEnded === 1);
    platform.command('x');
    await waitFor('the restart', () => platform.legs.length === 2);
  });

  test('a killed sshd session gives no frame, and a new connect works', async () => {
    await logIn();
    sessions.last.end('lost');
    await waitFor('the end', () => agent.stats().shellsEnded === 1);
    await platform.settled();
    expect(platform.of('disconnect')).toEqual([]);
    platform.connect();
    await waitFor('the second login', () => agent.stats().logins === 2);
  });
});
