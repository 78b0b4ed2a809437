import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { INJECTIONS, startAgent } from '../../../src/agent/agent.js';
import { Fault } from '../../../src/base/errors.js';
import { Scope } from '../../support/scope.js';
import { waitFor } from '../../support/wait.js';
import { Platform } from './platform.js';
import { ScriptedSessions } from './scripted.js';

let scope: Scope;
let platform: Platform;
let sessions: ScriptedSessions;

beforeEach(async () => {
  scope = new Scope();
  platform = await Platform.start(scope);
  sessions = new ScriptedSessions();
});
afterEach(() => scope.end());

describe('starting', () => {
  test('sends the token in its header, and nowhere else', async () => {
    await platform.agent(scope, { target: { source: sessions } });
    expect(platform.headers[0]!['tunnel_access_token']).toBe('device token');
    expect(JSON.stringify({ ...platform.headers[0], tunnel_access_token: '' })).not.toContain('device token');
  });

  test.each([
    [401, 'refused the device token (HTTP 401)'],
    [403, 'refused the device token (HTTP 403)'],
    [404, 'knows no such tunnel (HTTP 404)'],
  ])('HTTP %i is final and says why', async (status, words) => {
    platform.refuseWith = status;
    const agent = startAgent({ tunnelUri: platform.uri, token: 'bad token', target: { source: sessions } });
    await expect(agent.opened).rejects.toMatchObject({ code: 'TUNNEL', message: expect.stringContaining(words) });
    expect((await agent.ended)?.message).not.toContain('bad token');
  });

  test('an address that cannot be reached is tried again as often as the profile says', async () => {
    const agent = startAgent({
      tunnelUri: 'ws://127.0.0.1:1/v5/iot/tunnels/t/device-connect',
      token: 't',
      target: { source: sessions },
      faults: { reconnectTries: 2, reconnectStepMs: 1 },
    });
    await expect(agent.opened).rejects.toMatchObject({
      code: 'TUNNEL',
      message: '127.0.0.1:1 cannot be reached (ECONNREFUSED)',
    });
  });

  test.each(['http://x/', 'nonsense', 'ws://'])('%s is not a tunnel URI', async (tunnelUri) => {
    const agent = startAgent({ tunnelUri, token: 't', target: { source: sessions } });
    await expect(agent.opened).rejects.toMatchObject({ code: 'USAGE' });
  });

  test('a token that no header can hold is refused without being shown', async () => {
    const agent = startAgent({ tunnelUri: platform.uri, token: 'to\nken', target: { source: sessions } });
    const fault = await agent.ended;
    expect(fault).toMatchObject({ code: 'USAGE' });
    expect(fault!.message).not.toContain('ken\n');
  });

  test('a wrong switch is refused at once', () => {
    expect(() => startAgent({ tunnelUri: platform.uri, token: 't', target: { source: sessions }, faults: { crashRate: 7 } })).toThrow(
      'device fault crashRate must be a chance from 0 to 1, not 7',
    );
  });

  test('what the session source finds wrong ends the agent before the tunnel is opened', async () => {
    sessions.checkFault = new Fault('LOCAL', 'no shell here');
    const agent = startAgent({ tunnelUri: platform.uri, token: 't', target: { source: sessions } });
    await expect(agent.opened).rejects.toThrow('no shell here');
    expect(platform.legs).toEqual([]);
  });
});

describe('ending', () => {
  test('close ends the session, the WebSocket with 1000, and the agent', async () => {
    const agent = await platform.agent(scope, { target: { source: sessions } });
    platform.connect();
    await waitFor('the login', () => agent.stats().logins === 1);
    await agent.close();
    expect(sessions.last.hungUp).toBe(true);
    expect(await agent.ended).toBeUndefined();
    await waitFor('the close', () => platform.leg.closed?.code === 1000);
  });

  test('an aborted signal closes it', async () => {
    const abort = new AbortController();
    const agent = await platform.agent(scope, { target: { source: sessions }, signal: abort.signal });
    abort.abort();
    expect(await agent.ended).toBeUndefined();
  });

  test('a signal aborted before the start opens nothing', async () => {
    const agent = startAgent({ tunnelUri: platform.uri, token: 't', target: { source: sessions }, signal: AbortSignal.abort() });
    await expect(agent.opened).rejects.toMatchObject({ code: 'TUNNEL' });
    expect(platform.legs).toEqual([]);
  });

  test('close while it waits to connect again does not wait', async () => {
    const agent = await platform.agent(scope, { target: { source: sessions }, faults: { reconnectStepMs: 3_600_000 } });
    platform.leg.socket.terminate();
    await waitFor('the loss', () => !agent.inject('stall'));
    await agent.close();
  });

  test('a token refused by close code 1002 is told so', async () => {
    const agent = await platform.agent(scope, { target: { source: sessions } });
    platform.leg.socket.close(1002);
    expect(await agent.ended).toMatchObject({ code: 'TUNNEL', message: expect.stringContaining('refused the device token') });
  });

  test('close code 4000 says that another agent took over', async () => {
    const agent = await platform.agent(scope, { target: { source: sessions } });
    platform.leg.socket.close(4000);
    expect(await agent.ended).toMatchObject({ message: expect.stringContaining('another agent') });
  });
});

describe('injecting', () => {
  test('a freeze stops everything, pongs included, until the thaw', async () => {
    const agent = await platform.agent(scope, { target: { source: sessions } });
    platform.connect();
    await waitFor('the login', () => agent.stats().logins === 1);
    agent.inject('freeze');
    sessions.last.print('frozen');
    platform.leg.socket.ping();
    platform.command('typed');
    await waitFor('the bytes to leave', () => platform.leg.socket.bufferedAmount === 0);
    expect(platform.output.length).toBe(0);
    expect(platform.leg.pongs).toBe(0);
    expect(sessions.last.typed).toEqual([]);
    agent.inject('thaw');
    await platform.shows('frozen');
    await waitFor('the text', () => sessions.last.typed.includes('typed'));
    await waitFor('the pong', () => platform.leg.pongs === 1);
  });

  test('a freeze with a duration thaws by itself', async () => {
    const agent = await platform.agent(scope, { target: { source: sessions } });
    platform.connect();
    await waitFor('the login', () => agent.stats().logins === 1);
    agent.inject('freeze', { ms: 20 });
    sessions.last.print('frozen');
    await platform.shows('frozen');
  });

  test('the next output can be lost, altered or doubled, and the next command lost', async () => {
    const agent = await platform.agent(scope, { target: { source: sessions } });
    platform.connect();
    await waitFor('the login', () => agent.stats().logins === 1);
    agent.inject('drop-next-output');
    agent.inject('garble-next-output');
    agent.inject('duplicate-next-output');
    agent.inject('drop-next-command');
    for (const text of ['one.', 'two.', 'three.', 'four.']) sessions.last.print(text);
    await platform.shows('four.');
    expect(platform.output.toString()).toBe('twA.three.three.four.');
    platform.command('a');
    platform.command('b');
    await waitFor('a command', () => sessions.last.typed.length > 0);
    expect(sessions.last.typed).toEqual(['b']);
  });

  test('a dropped WebSocket ends abnormally and is opened again', async () => {
    const agent = await platform.agent(scope, { target: { source: sessions }, faults: { reconnectStepMs: 1 } });
    const { leg } = platform;
    agent.inject('drop-ws');
    await waitFor('the drop', () => leg.closed?.code === 1006);
    await waitFor('the second leg', () => platform.legs.length === 2);
  });

  test('a killed session and an ended shell are told by the sound agent', async () => {
    const agent = await platform.agent(scope, { target: { source: sessions } });
    for (const [index, fault] of (['kill-session', 'end-shell'] as const).entries()) {
      platform.connect();
      await waitFor('the login', () => agent.stats().logins === index + 1);
      agent.inject(fault);
      await platform.has('disconnect', index + 1);
      expect(sessions.last.hungUp).toBe(true);
    }
  });

  test('each injection is counted', async () => {
    const agent = await platform.agent(scope, { target: { source: sessions }, faults: { restartMs: 3_600_000 } });
    const harmless = INJECTIONS.filter((name) => name !== 'crash' && name !== 'drop-ws');
    for (const name of [...harmless, 'crash'] as const) expect(agent.inject(name)).toBe(true);
    for (const name of harmless) expect(agent.stats().faults[name]).toBe(1);
    await waitFor('the crash', () => !agent.inject('stall')); // no tunnel: nothing to inject into
  });
});
