import { describe, expect, test } from 'vitest';
import { waitFor } from '../../support/wait.js';
import { agent, begin, logIn, platform, sessions } from './c-agent-lab.js';

describe('logging in', () => {
  test('the connect_response comes before authentication, pretty-printed and without a data key', async () => {
    await begin();
    platform.connect('user', 'wrong');
    await platform.has('disconnect');
    expect(platform.leg.raw[0]!.toString()).toBe(
      `{\n\t"operation_type":\t"connect_response",\n\t"tunnel_service_type":\t"ssh",\n\t"request_id":\t"${platform.id}"\n}`,
    );
  });

  test('a refused login is a disconnect 400 with the id of the connect, and the next connect works', async () => {
    await begin();
    platform.connect('user', 'wrong');
    await platform.has('disconnect');
    expect(platform.of('disconnect')[0]).toEqual({
      operation: 'disconnect',
      requestId: platform.id,
      status: '400',
      message: 'WssClientListenerOnMsg: Create SSH channel failed',
    });
    platform.connect();
    await waitFor('the login', () => agent.stats().logins === 1);
  });

  test('a silent shell gives no sign of the login', async () => {
    await logIn();
    await platform.settled();
    expect(platform.leg.frames.map((frame) => frame.operation)).toEqual(['connect_response']);
  });

  test('the terminal is xterm with 128 columns and 30 rows', async () => {
    await logIn();
    expect(sessions.last.terminal).toEqual({ term: 'xterm', cols: 128, rows: 30 });
  });

  test('a new connect destroys the old session without a word', async () => {
    await logIn();
    const [first] = sessions.all;
    platform.connect();
    await waitFor('the second login', () => sessions.all.length === 2);
    await platform.settled();
    expect(first!.hungUp).toBe(true);
    expect(platform.of('disconnect')).toEqual([]);
  });

  test('a command before any connect is ignored', async () => {
    await begin();
    platform.command('ls\r');
    await platform.settled();
    expect(agent.stats().commands).toBe(0);
  });
});

describe('request ids', () => {
  test('output bears the id of the last command, whoever caused it', async () => {
    await logIn();
    const second = 'b'.repeat(36);
    platform.command('x', second);
    await platform.settled();
    sessions.last.print('late output of the first');
    await platform.has('command_response');
    expect(platform.of('command_response')[0]!.requestId).toBe(second);
  });

  test('36 bytes are copied into output, the connect_response echoes all', async () => {
    const long = 'c'.repeat(40);
    await begin();
    sessions.banner = 'hello';
    platform.connect('user', 'right', long);
    await platform.shows('hello');
    expect(platform.of('connect_response')[0]!.requestId).toBe(long);
    expect(platform.of('command_response')[0]!.requestId).toBe('c'.repeat(36));
  });
});

describe('output', () => {
  test('comes in chunks of at most 2,048 bytes', async () => {
    await logIn();
    sessions.last.print('x'.repeat(5000));
    await waitFor('all', () => platform.output.length === 5000);
    expect(platform.of('command_response').map((frame) => frame.data.length)).toEqual([2048, 2048, 904]);
  });

  test('is cut inside characters, leaving invalid UTF-8 in text messages', async () => {
    await logIn();
    const text = 'x' + '你'.repeat(1000);
    sessions.last.print(text);
    await waitFor('all', () => platform.output.length === 3001);
    const [first] = platform.of('command_response');
    expect(first!.data.toString('utf8')).toContain('\ufffd');
    expect(platform.output.toString('utf8')).toBe(text);
  });

  test('loses the rest of a chunk behind a NUL', async () => {
    await logIn();
    sessions.last.print('kept\0lost');
    sessions.last.print('next');
    await platform.shows('next');
    expect(platform.output.toString()).toBe('keptnext');
  });

  test('may bear garbage behind a chunk of exactly 2,048 bytes', async () => {
    await logIn({ trailingGarbageRate: 1 });
    sessions.last.print('x'.repeat(2048));
    sessions.last.print('short');
    await platform.shows('short');
    const [full, short] = platform.of('command_response');
    expect(full!.data.length).toBeGreaterThan(2048);
    expect(full!.data.subarray(0, 2048).toString()).toBe('x'.repeat(2048));
    expect(short!.data.toString()).toBe('short');
  });

  test('is dropped, frame by frame, when the receiver lags', async () => {
    await logIn({ sendBufferBytes: 64 * 1024 });
    platform.leg.socket.pause();
    const frames = 8192;
    sessions.last.print('x'.repeat(frames * 2048));
    await waitFor('a lost frame', () => (agent.stats().faults['laggingReceiver'] ?? 0) > 0);
    await waitFor('all to be read', () => sessions.last.unread === 0);
    const lost = agent.stats().outputFramesLost;
    platform.leg.socket.resume();
    await waitFor('what was not lost', () => platform.of('command_response').length === frames - lost);
    sessions.last.print('whole again');
    await platform.shows('whole again');
  });

  test('a flood of control characters makes frames beyond the 10 KB limit', async () => {
    await logIn();
    sessions.last.print(Buffer.alloc(2048, 1));
    await platform.has('command_response');
    expect(platform.leg.raw.at(-1)!.length).toBeGreaterThan(12_000);
  });
});

describe('commands', () => {
  test('with empty data are harmless', async () => {
    await logIn();
    platform.command('');
    await platform.settled();
    expect(sessions.last.typed).toEqual([]);
    expect(agent.stats().commands).toBe(1);
  });

  test('the application’s disconnect is ignored', async () => {
    await logIn();
    platform.send('disconnect', null);
    platform.command('still here');
    await waitFor('the text', () => sessions.last.typed.includes('still here'));
  });

  test('a message without tunnel_service_type crashes the agent, and a restarted one takes its place', async () => {
    await logIn();
    const { leg } = platform;
    platform.raw(JSON.stringify({ operation_type: 'command', request_id: platform.id, data: 'x' }));
    await waitFor('the crash', () => leg.closed);
    expect(leg.closed).toEqual({ code: 1006, reason: '' });
    expect(sessions.last.hungUp).toBe(true);
    await waitFor('the restart', () => platform.legs.length === 2);
    expect(platform.headers.map((headers) => headers['tunnel_access_token'])).toEqual(['device token', 'device token']);
  });

  test('a crashed agent stays dead with restartMs -1', async () => {
    await begin({ restartMs: -1 });
    platform.raw('{}');
    expect(await agent.ended).toMatchObject({ code: 'DEVICE_LOST' });
    expect(agent.stats().crashes).toBe(1);
  });

  test('an empty message makes the agent close its WebSocket', async () => {
    await begin();
    platform.raw('');
    await waitFor('the close', () => platform.leg.closed);
  });

  test('of two in one read, the second waits until more bytes arrive', async () => {
    await logIn({ oneMessagePerRead: true });
    const { socket } = platform.leg;
    const frame = (text: string): string =>
      JSON.stringify({ operation_type: 'command', tunnel_service_type: 'ssh', request_id: platform.id, data: text });
    // Corked, both go out in one write and arrive in one read.
    const raw = (socket as unknown as { _socket: { cork(): void; uncork(): void } })._socket;
    raw.cork();
    socket.send(frame('first'));
    socket.send(frame('second'));
    raw.uncork();
    await waitFor('the first', () => sessions.last.typed.includes('first'));
    expect(sessions.last.typed).toEqual(['first']);
    platform.command('');
    await waitFor('the second', () => sessions.last.typed.includes('second'));
  });

  test('of more bytes than a read may be taken for fragments and lost', async () => {
    await logIn({ fragmentLossRate: 1, fragmentBytes: 1400 });
    platform.command('x'.repeat(1400));
    platform.command('short');
    await waitFor('the short one', () => sessions.last.typed.includes('short'));
    expect(sessions.last.typed).toEqual(['short']);
  });

  test('a shell that does not read blocks the agent, connect included', async () => {
    await logIn();
    const [blocked] = sessions.all;
    blocked!.untaken = 100_000;
    platform.command('more');
    await waitFor('the text', () => blocked!.typed.includes('more'));
    platform.connect();
    const pongs = platform.leg.pongs;
    platform.leg.socket.ping();
    await waitFor('the message to be there', () => platform.leg.socket.bufferedAmount === 0);
    expect(sessions.all.length).toBe(1);
    expect(platform.leg.pongs).toBe(pongs);
    blocked!.untaken = 0;
    blocked!.onChange();
    await waitFor('the second login', () => sessions.all.length === 2);
  });
});

describe('the WebSocket', () => {
  test.each([1000, 1002, 4000])('closed with %i is not opened again', async (code) => {
    await logIn();
    platform.leg.socket.close(code);
    const fault = await agent.ended;
    expect(fault?.code).toBe(code === 1000 ? undefined : 'TUNNEL');
    expect(platform.legs.length).toBe(1);
    expect(sessions.last.hungUp).toBe(true);
  });

  test.each(['terminated', 1011])('%s is opened again, and the session is lost', async (how) => {
    await logIn();
    if (typeof how === 'number') platform.leg.socket.close(how);
    else platform.leg.socket.terminate();
    await waitFor('the second leg', () => platform.legs.length === 2);
    expect(sessions.last.hungUp).toBe(true);
    platform.connect();
    await waitFor('the second login', () => agent.stats().logins === 2);
  });

  test('is tried ten more times when it cannot be opened', async () => {
    await begin({ reconnectStepMs: 1 });
    platform.refuseWith = 503;
    platform.leg.socket.terminate();
    expect(await agent.ended).toMatchObject({ code: 'TUNNEL', message: expect.stringContaining('HTTP 503') });
    expect(platform.legs.length).toBe(1);
  });

  test('gets a ping at an interval', async () => {
    await begin({ keepaliveMs: 10 });
    await waitFor('two pings', () => platform.leg.pings >= 2);
  });
});
