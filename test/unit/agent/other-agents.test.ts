import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { AgentHandle } from '../../../src/agent/agent.js';
import type { Behaviour } from '../../../src/agent/behaviour.js';
import type { ProfileName } from '../../../src/agent/profiles.js';
import { Scope } from '../../support/scope.js';
import { waitFor } from '../../support/wait.js';
import { Platform } from './platform.js';
import { ScriptedSessions } from './scripted.js';

let scope: Scope;
let platform: Platform;
let sessions: ScriptedSessions;
let agent: AgentHandle;

beforeEach(async () => {
  scope = new Scope();
  platform = await Platform.start(scope);
  sessions = new ScriptedSessions();
});
afterEach(() => scope.end());

async function begin(profile: ProfileName, faults: Partial<Behaviour> = {}): Promise<void> {
  agent = await platform.agent(scope, { target: { source: sessions }, profile, faults: { reconnectStepMs: 10, ...faults } });
}

async function logIn(profile: ProfileName, faults: Partial<Behaviour> = {}): Promise<void> {
  await begin(profile, faults);
  platform.connect();
  await waitFor('the login', () => agent.stats().logins === 1);
}

describe('the sound agent', () => {
  test('answers connect at once, in compact JSON', async () => {
    await logIn('sound');
    expect(platform.leg.raw[0]!.toString()).toBe(
      `{"operation_type":"connect_response","tunnel_service_type":"ssh","request_id":"${platform.id}","data":""}`,
    );
  });

  test('never cuts a character, and keeps NULs', async () => {
    await logIn('sound');
    const text = `x${'你'.repeat(1000)}\0é`;
    for (const byte of Buffer.from(text)) sessions.last.print(Buffer.of(byte));
    await waitFor('all', () => platform.output.length === Buffer.byteLength(text));
    expect(platform.output.toString('utf8')).toBe(text);
    for (const frame of platform.of('command_response')) expect(frame.data.toString('utf8')).not.toContain('\ufffd');
  });

  test('stops reading the shell while the receiver lags, and loses nothing', async () => {
    await logIn('sound');
    platform.leg.socket.pause();
    const size = 16 * 1024 * 1024;
    sessions.last.print('x'.repeat(size));
    await waitFor('the first output', () => agent.stats().outputFrames > 0);
    expect(sessions.last.unread).toBeGreaterThan(0);
    platform.leg.socket.resume();
    await waitFor('all', () => platform.leg.raw.length * 2048 >= size);
    await waitFor('the end', () => sessions.last.unread === 0);
    expect(agent.stats().outputFramesLost).toBe(0);
  });

  test('tells the end of the shell and takes the next connect', async () => {
    await logIn('sound');
    sessions.last.end('exited');
    await platform.has('disconnect');
    platform.connect();
    await waitFor('the second login', () => agent.stats().logins === 2);
  });

  test('ends the session at the application’s disconnect', async () => {
    await logIn('sound');
    platform.send('disconnect', null);
    await waitFor('the hangup', () => sessions.last.hungUp);
  });

  test('ignores what it cannot read', async () => {
    await logIn('sound');
    for (const junk of ['', 'x', '{}', '[]', '{"operation_type":1}']) platform.raw(junk);
    platform.command('fine');
    await waitFor('the text', () => sessions.last.typed.includes('fine'));
  });

  test('ends a session that takes none of more than 16 MiB of typed text', async () => {
    await logIn('sound');
    sessions.last.untaken = 16 * 1024 * 1024 + 1;
    platform.command('x');
    await platform.has('disconnect');
    expect(sessions.last.hungUp).toBe(true);
  });

  test('gives up a platform that is silent for too long, and opens the tunnel anew', async () => {
    await begin('sound', { keepaliveMs: 10, deadPeerMs: 50 });
    platform.leg.socket.pause(); // no pong comes
    await waitFor('the second leg', () => platform.legs.length === 2);
  });
});

describe('the second generation of the C agent', () => {
  test('reads output only until the shell was idle, and then not before the next command', async () => {
    sessions.banner = 'at once';
    await logIn('c-agent-g2', { readWindowMs: 5, outputReorderRate: 0, oneMessagePerRead: false });
    await platform.shows('at once');
    await waitFor('output that stays unread', () => {
      sessions.last.print('late');
      return sessions.last.unread > 0;
    });
    const before = platform.output.length;
    await platform.settled();
    expect(platform.output.length).toBe(before);
    expect(sessions.last.unread).toBe(4);
    platform.command('');
    await waitFor('the late output', () => sessions.last.unread === 0);
  });

  test('may send two pieces of output in the wrong order, losing none', async () => {
    await logIn('c-agent-g2', { outputReorderRate: 1, oneMessagePerRead: false });
    sessions.last.print('first.');
    sessions.last.print('second.');
    sessions.last.print('third.');
    await platform.shows('third.');
    expect(platform.output.toString()).toBe('second.first.third.');
  });

  test('may type two waiting commands in the wrong order', async () => {
    await begin('c-agent-g2', { commandReorderRate: 1, oneMessagePerRead: false });
    platform.connect(); // while it is handled, the others come to wait
    platform.command('a');
    platform.command('b');
    await waitFor('both', () => sessions.all.length === 1 && sessions.last.typed.length === 2);
    expect(sessions.last.typed).toEqual(['b', 'a']);
  });
});

describe('the first generation of the C agent', () => {
  test('has a terminal of 80 columns and 24 rows', async () => {
    await logIn('c-agent-g1');
    expect(sessions.last.terminal).toEqual({ term: 'xterm', cols: 80, rows: 24 });
  });

  test('loses a chunk whose frame exceeds 2,304 bytes', async () => {
    await logIn('c-agent-g1', { readWindowMs: 100 });
    sessions.last.print('\n'.repeat(2048));
    sessions.last.print('x'.repeat(2048));
    await platform.shows('xxx');
    expect(platform.output.toString()).toBe('x'.repeat(2048));
    expect(agent.stats().faults).toMatchObject({ frameBufferBytes: 1 });
  });

  test('handles no command while it reads', async () => {
    await logIn('c-agent-g1', { readWindowMs: 60_000, oneMessagePerRead: false });
    platform.command('waits');
    sessions.last.print('output');
    await platform.shows('output');
    expect(sessions.last.typed).toEqual([]);
  });
});

describe('the C# agent', () => {
  test('answers connect after the login, with the first output in it', async () => {
    sessions.banner = 'Welcome';
    await begin('csharp-agent', { bannerTwiceRate: 0 });
    platform.connect();
    await platform.has('connect_response');
    expect(platform.of('connect_response')[0]!.data.toString()).toBe('Welcome');
    expect(sessions.last.terminal).toEqual({ term: 'iotda', cols: 128, rows: 30 });
  });

  test('may send the first output in a command_response before as well', async () => {
    sessions.banner = 'Welcome';
    await begin('csharp-agent', { bannerTwiceRate: 1 });
    platform.connect();
    await platform.has('connect_response');
    expect(platform.leg.frames.map((frame) => frame.operation)).toEqual(['command_response', 'connect_response']);
    expect(platform.output.toString()).toBe('Welcome');
  });

  test('closes with 1011 and a text when the login fails, and does not come back', async () => {
    await begin('csharp-agent');
    platform.connect('user', 'wrong');
    await waitFor('the close', () => platform.leg.closed);
    expect(platform.leg.closed).toEqual({ code: 1011, reason: 'the device refused this user name and password: check both' });
    expect(platform.leg.frames).toEqual([]);
    expect(await agent.ended).toMatchObject({ code: 'TUNNEL' });
  });

  test('ignores a second connect', async () => {
    await logIn('csharp-agent', { firstOutputMs: 0 });
    await platform.has('connect_response');
    platform.connect();
    await platform.settled();
    expect(platform.of('connect_response').length).toBe(1);
    expect(sessions.all.length).toBe(1);
  });

  test('puts the id of the connect on all output', async () => {
    await logIn('csharp-agent');
    platform.command('x', 'd'.repeat(36));
    await platform.settled();
    sessions.last.print('output');
    await platform.shows('output');
    expect(platform.of('command_response')[0]!.requestId).toBe(platform.id);
  });

  test('replaces a character cut between chunks by U+FFFD, and keeps NULs', async () => {
    await logIn('csharp-agent', { readBytes: 4 });
    await platform.has('connect_response');
    sessions.last.print('\0xx你y');
    await platform.shows('y');
    expect(platform.output.toString()).toBe('\0xx\ufffd\ufffd\ufffdy');
  });

  test('says nothing at the end of the shell, and closes with 1011 at the next command', async () => {
    await logIn('csharp-agent');
    await platform.has('connect_response');
    sessions.last.end('exited');
    await waitFor('the end', () => agent.stats().shellsEnded === 1);
    await platform.settled();
    expect(platform.of('disconnect')).toEqual([]);
    platform.command('x');
    await waitFor('the close', () => platform.leg.closed);
    expect(platform.leg.closed!.code).toBe(1011);
  });

  test('closes with 1000 at the application’s disconnect', async () => {
    await logIn('csharp-agent');
    platform.send('disconnect', null);
    await waitFor('the close', () => platform.leg.closed);
    expect(platform.leg.closed!.code).toBe(1000);
  });

  test('closes with 1011 at a message that is not JSON', async () => {
    await begin('csharp-agent');
    platform.raw('hello');
    await waitFor('the close', () => platform.leg.closed);
    expect(platform.leg.closed!.code).toBe(1011);
  });

  test('sends a pong that nobody asked for, at an interval', async () => {
    await begin('csharp-agent', { keepaliveMs: 10 });
    await waitFor('two pongs', () => platform.leg.pongs >= 2);
    expect(platform.leg.pings).toBe(0);
  });
});
