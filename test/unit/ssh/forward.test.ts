import type { Client, ClientChannel } from 'ssh2';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FakeChannel } from './fake-device.js';
import { finished, sendRaw, startHarness, until, type Harness } from './harness.js';
import { pack } from '../../../src/ssh/wire.js';

let harness: Harness;
beforeEach(async () => { harness = await startHarness(); });
afterEach(() => harness.close());

function forwardOut(client: Client, host: string, port: number): Promise<ClientChannel> {
  return new Promise((resolve, reject) => {
    client.forwardOut('127.0.0.1', 1, host, port, (error, channel) => (error === undefined ? resolve(channel) : reject(error)));
  });
}

function forwardIn(client: Client, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    client.forwardIn(host, port, (error, chosen) => (error === undefined ? resolve(chosen) : reject(error)));
  });
}

describe('direct-tcpip', () => {
  it('is confirmed when the device is connected, and carries both half-closes', async () => {
    const client = await harness.connect();
    const channel = await forwardOut(client, 'db', 5432);
    const device = harness.gateway.device.channels[0] as FakeChannel;
    expect(device.request).toEqual({ kind: 'tcp', host: 'db', port: 5432 });
    channel.end('question');
    await until(() => device.calls.includes('end'), 'the end of the question arrived');
    expect(device.input).toBe('question');
    const result = finished(channel);
    device.events.data('out', Buffer.from('answer'));
    device.events.eof();
    device.events.closed(undefined);
    expect((await result).out.toString()).toBe('answer');
  });

  it.each([
    ['connect-failed', 2], ['prohibited', 1], ['unsupported', 1], ['resource', 4],
  ] as const)('that the device refuses as %s has reason %i', async (code, reason) => {
    const client = await harness.connect();
    harness.gateway.device.onOpen = (channel) => channel.events.refused({ code, message: 'Connection refused' });
    await expect(forwardOut(client, 'db', 1)).rejects.toMatchObject({ reason, message: expect.stringContaining('Connection refused') });
  });

  it('delivers the last bytes of a client that closes at once', async () => {
    const client = await harness.connect();
    const channel = await forwardOut(client, 'db', 1);
    const device = harness.gateway.device.channels[0] as FakeChannel;
    channel.write('last words');
    channel.close();
    await until(() => device.calls.includes('closeOutput'), 'reading was given up');
    expect(device.input).toBe('last words');
    expect(device.calls).toEqual(['end', 'closeOutput']);
  });

  it('is let go when the client is lost in the middle', async () => {
    const client = await harness.connect();
    await forwardOut(client, 'db', 1);
    const device = harness.gateway.device.channels[0] as FakeChannel;
    client.destroy();
    await until(() => device.calls.includes('close'), 'the socket is closed');
  });
});

describe('tcpip-forward', () => {
  it('is answered before a session that is asked for behind it is there', async () => {
    const client = await harness.connect();
    const { listeners, channels } = harness.gateway.device;
    const told: string[] = [];
    client.forwardIn('', 2222, (error) => { told.push(error === undefined ? 'listening' : 'refused'); });
    const session = new Promise((resolve) => client.exec('x', (_error, channel) => {
      told.push('session');
      channel.resume().on('close', resolve);
    }));
    await until(() => listeners.length === 1, 'the device listens');
    // What was asked for behind the session has come to the device, so the session has been read.
    client.forwardOut('127.0.0.1', 1, 'db', 1, () => undefined);
    await until(() => channels.length > 0, 'the next request to come');
    expect([told, channels.map(({ request }) => request.kind)]).toEqual([[], ['tcp']]);
    listeners[0]?.events.listening({ port: 2222 });
    await until(() => channels.length === 2, 'the program to start');
    expect(told).toEqual(['listening', 'session']);
    channels[1]?.events.opened();
    channels[1]?.events.outcome({ kind: 'status', status: 0 });
    channels[1]?.events.eof();
    channels[1]?.events.closed(undefined);
    await session;
  });

  it('tells the port the device chose, and opens a channel for each connection', async () => {
    const client = await harness.connect();
    const answer = forwardIn(client, '', 0);
    const { listeners } = harness.gateway.device;
    await until(() => listeners.length === 1, 'the device listens');
    expect(listeners[0]?.request).toEqual({ kind: 'tcp', host: 'localhost', port: 0 });
    listeners[0]?.events.listening({ port: 4242 });
    expect(await answer).toBe(4242);

    const incoming = new Promise<unknown>((resolve) => {
      client.on('tcp connection', (details, accept) => {
        accept().end('hello');
        resolve(details);
      });
    });
    const device = new FakeChannel({ kind: 'tcp', host: '', port: 0 }, undefined as never);
    listeners[0]?.events.incoming(device, { host: '10.0.0.9', port: 999 });
    expect(await incoming).toMatchObject({ destPort: 4242, srcIP: '10.0.0.9', srcPort: 999 });
    await until(() => device.calls.includes('end'), 'the client\'s answer arrived');
    expect(device.input).toBe('hello');

    await new Promise<void>((resolve, reject) => {
      client.unforwardIn('', 4242, (error) => (error === undefined ? resolve() : reject(error)));
    });
    expect(listeners[0]?.closed).toBe(true);
  });

  it('closes the device\'s side of a connection that the client does not want', async () => {
    const client = await harness.connect();
    client.on('tcp connection', (_details, _accept, reject) => reject());
    const answer = forwardIn(client, 'localhost', 80);
    const { listeners } = harness.gateway.device;
    await until(() => listeners.length === 1, 'the device listens');
    listeners[0]?.events.listening({ port: 80 });
    await answer;
    const device = new FakeChannel({ kind: 'tcp', host: '', port: 0 }, undefined as never);
    listeners[0]?.events.incoming(device, { host: '', port: 0 });
    await until(() => device.calls.includes('close'), 'it is closed');
  });

  it('that the device refuses is refused', async () => {
    const client = await harness.connect();
    const answer = forwardIn(client, '', 22);
    const { listeners } = harness.gateway.device;
    await until(() => listeners.length === 1, 'the device listens');
    listeners[0]?.events.refused({ code: 'connect-failed', message: 'in use' });
    await expect(answer).rejects.toThrow();
  });

  it('does not let later requests be answered first', async () => {
    const client = await harness.connect();
    const order: string[] = [];
    // In the client's own callbacks: a promise would be told later than the next answer of the same packet.
    const slow = new Promise<void>((resolve) => {
      client.forwardIn('', 0, () => {
        order.push('first');
        resolve();
      });
    });
    const quick = new Promise<void>((resolve) => {
      client.unforwardIn('nowhere', 1, () => {
        order.push('second');
        resolve();
      });
    });
    const { listeners } = harness.gateway.device;
    await until(() => listeners.length === 1, 'the device listens');
    listeners[0]?.events.listening({ port: 1 });
    await Promise.all([slow, quick]);
    expect(order).toEqual(['first', 'second']);
  });

  it('twice for one port is a question for the device only once the first is answered', async () => {
    const client = await harness.connect();
    const answers = Promise.allSettled([forwardIn(client, '', 2222), forwardIn(client, '', 2222), forwardIn(client, '', 2223)]);
    const { listeners } = harness.gateway.device;
    await until(() => listeners.length === 2, 'the device is asked for each port');
    listeners[1]?.events.listening({ port: 2223 });
    listeners[0]?.events.listening({ port: 2222 });
    const got = await answers;
    expect(got.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(listeners.map(({ request }) => ('port' in request ? request.port : undefined))).toEqual([2222, 2223]);
  });

  it('that the device refused may be asked for again by a request that waited', async () => {
    const client = await harness.connect();
    const answers = Promise.allSettled([forwardIn(client, '', 2222), forwardIn(client, '', 2222)]);
    const { listeners } = harness.gateway.device;
    await until(() => listeners.length === 1, 'the device is asked');
    listeners[0]?.events.refused({ code: 'connect-failed', message: 'in use' });
    await until(() => listeners.length === 2, 'the device is asked again');
    listeners[1]?.events.listening({ port: 2222 });
    const got = await answers;
    expect(got.map(({ status }) => status)).toEqual(['rejected', 'fulfilled']);
  });

  it('ends with its client', async () => {
    const client = await harness.connect();
    void forwardIn(client, '', 0).catch(() => {});
    const { listeners } = harness.gateway.device;
    await until(() => listeners.length === 1, 'the device listens');
    listeners[0]?.events.listening({ port: 1 });
    client.end();
    await until(() => listeners[0]?.closed === true, 'the listener is closed');
  });

  it('ends with its client, though the device has not answered yet', async () => {
    const client = await harness.connect();
    void forwardIn(client, '', 0).catch(() => {});
    const { listeners } = harness.gateway.device;
    await until(() => listeners.length === 1, 'the device is asked');
    client.end();
    await until(() => listeners[0]?.closed === true, 'the listener is closed');
  });
});

describe('Unix sockets', () => {
  it('are reached and listened on by their exact path', async () => {
    const client = await harness.connect();
    client.openssh_forwardOutStreamLocal('/run/a.sock', () => {});
    client.openssh_forwardInStreamLocal('/run/b.sock', () => {});
    await until(() => harness.gateway.device.channels.length === 1 && harness.gateway.device.listeners.length === 1, 'both arrived');
    expect(harness.gateway.device.channels[0]?.request).toEqual({ kind: 'unix', path: Buffer.from('/run/a.sock') });
    expect(harness.gateway.device.listeners[0]?.request).toEqual({ kind: 'unix', path: Buffer.from('/run/b.sock') });
  });
});

describe('agent forwarding', () => {
  it('gives every session the path of one socket, and opens channels to the client\'s agent', async () => {
    const client = await harness.connect();
    const start = (id: number, command: string): void => {
      sendRaw(client, pack({ byte: 90 }, { string: 'session' }, { uint32: 50 + id }, { uint32: 1000 }, { uint32: 1000 }));
      sendRaw(client, pack({ byte: 98 }, { uint32: id }, { string: 'auth-agent-req@openssh.com' }, { bool: false }));
      sendRaw(client, pack({ byte: 98 }, { uint32: id }, { string: 'exec' }, { bool: false }, { string: command }));
    };
    start(0, 'one');
    start(1, 'two');
    const { listeners, channels } = harness.gateway.device;
    await until(() => listeners.length === 1, 'the device listens');
    expect(channels).toEqual([]);
    listeners[0]?.events.listening({ path: Buffer.from('/tmp/agent.1') });
    await until(() => channels.length === 2, 'both commands run');
    for (const { request } of channels) expect(request).toMatchObject({ env: { SSH_AUTH_SOCK: '/tmp/agent.1' } });
    expect(listeners).toHaveLength(1);
  });

  it('that the device refuses does not keep the command from running', async () => {
    const client = await harness.connect();
    sendRaw(client, pack({ byte: 90 }, { string: 'session' }, { uint32: 5 }, { uint32: 1000 }, { uint32: 1000 }));
    sendRaw(client, pack({ byte: 98 }, { uint32: 0 }, { string: 'auth-agent-req@openssh.com' }, { bool: false }));
    sendRaw(client, pack({ byte: 98 }, { uint32: 0 }, { string: 'exec' }, { bool: false }, { string: 'x' }));
    const { listeners, channels } = harness.gateway.device;
    await until(() => listeners.length === 1, 'the device is asked');
    listeners[0]?.events.refused({ code: 'unsupported', message: 'no sockets here' });
    await until(() => channels.length === 1, 'the command runs');
    expect(channels[0]?.request.kind === 'exec' && channels[0].request.env).not.toHaveProperty('SSH_AUTH_SOCK');
  });
});

describe('what the operator switched off', () => {
  it('is refused without asking the device', async () => {
    await harness.close();
    harness = await startHarness({ policy: { forwardTcp: 'no', forwardUnix: 'no', forwardAgent: false } });
    const client = await harness.connect();
    await expect(forwardOut(client, 'db', 1)).rejects.toMatchObject({ reason: 1 });
    await expect(forwardIn(client, '', 0)).rejects.toThrow();
    await expect(new Promise((_resolve, reject) => {
      client.openssh_forwardOutStreamLocal('/a', (error) => reject(error as Error));
    })).rejects.toMatchObject({ reason: 1 });
    expect(harness.gateway.device.channels).toEqual([]);
    expect(harness.gateway.device.listeners).toEqual([]);
  });

  it('can be one direction only', async () => {
    await harness.close();
    harness = await startHarness({ policy: { forwardTcp: 'remote' } });
    const client = await harness.connect();
    await expect(forwardOut(client, 'db', 1)).rejects.toMatchObject({ reason: 1 });
    void forwardIn(client, '', 0).catch(() => {});
    await until(() => harness.gateway.device.listeners.length === 1, 'the device is asked to listen');
  });
});
