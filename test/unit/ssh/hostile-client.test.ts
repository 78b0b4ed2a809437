import net from 'node:net';
import fc from 'fast-check';
import ssh2 from 'ssh2';
import { afterEach, describe, expect, it } from 'vitest';
import { Fault } from '../../../src/base/errors.js';
import type { SshServerOptions } from '../../../src/ssh/server.js';
import { MAX_CHANNELS } from '../../../src/ssh/limits.js';
import { pack } from '../../../src/ssh/wire.js';
import { closed, drained, exec, PATIENCE_MS, run, sendRaw, startHarness, stillServes, until, type Harness } from './harness.js';

let harness: Harness;
async function start(options: Partial<SshServerOptions> = {}): Promise<Harness> {
  harness = await startHarness(options);
  return harness;
}
afterEach(() => harness.close());

describe('a client that is no SSH client', () => {
  it.each([
    ['HTTP', 'GET / HTTP/1.1\r\n\r\n'],
    ['SSH 1', 'SSH-1.5-old\r\n'],
    ['an endless line', 'SSH-2.0-'.padEnd(1000, 'x')],
    ['no software version', 'SSH-2.0-\r\n'],
  ])('is told so and cut off: %s', async (_what, text) => {
    await start();
    const socket = await harness.socket();
    const received = drained(socket);
    socket.write(text);
    expect(await received).toMatch(/Invalid SSH identification string/);
    await stillServes(harness);
  });

  it.each([
    ['random bytes', Buffer.from('a'.repeat(5000))],
    ['an enormous length', Buffer.from([0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4])],
    ['a service request before keys', Buffer.concat([Buffer.from([0, 0, 0, 12, 5, 5, 0, 0, 0, 1, 65]), Buffer.alloc(5)])],
  ])('is cut off when it goes on with %s', async (_what, bytes) => {
    await start();
    const socket = await harness.socket();
    const received = drained(socket);
    socket.write(Buffer.concat([Buffer.from('SSH-2.0-strange\r\n'), bytes]));
    await received;
    await stillServes(harness);
  });

  it('sends random bytes', { timeout: 60_000 }, async () => {
    await start();
    await fc.assert(fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), fc.boolean(), async (bytes, withIdent) => {
      const socket = await harness.socket();
      socket.on('error', () => {});
      const received = drained(socket);
      if (withIdent) socket.write('SSH-2.0-fuzz\r\n');
      socket.end(bytes);
      await received;
    }), { numRuns: 60 });
    await until(() => harness.server.connections === 0, 'all are gone');
    await stillServes(harness);
  });
});

describe('a slow client', () => {
  it('may send its identification byte by byte', async () => {
    await start();
    const slow = net.createServer((inbound) => {
      const outbound = net.connect(harness.server.port, '127.0.0.1');
      outbound.setNoDelay(true);
      outbound.pipe(inbound);
      let left = 40;
      const queue: Buffer[] = [];
      const step = (): void => {
        const next = queue.shift();
        if (next !== undefined) outbound.write(next, () => setImmediate(step));
      };
      inbound.on('data', (bytes) => {
        const wasIdle = queue.length === 0;
        for (let at = 0; at < bytes.length;) {
          const size = left > 0 ? 1 : bytes.length - at;
          left -= 1;
          queue.push(bytes.subarray(at, at + size));
          at += size;
        }
        if (wasIdle) step();
      });
      inbound.on('close', () => outbound.destroy());
      inbound.on('error', () => {});
      outbound.on('error', () => {});
    });
    await new Promise<void>((resolve) => slow.listen(0, '127.0.0.1', () => resolve()));
    await harness.connect({ port: (slow.address() as net.AddressInfo).port });
    slow.close();
  });

  it('that never speaks is not counted among the users, and does not keep others out for ever', async () => {
    await start({ maxUnauthenticated: 3, loginGraceMs: 300 });
    const idle = await Promise.all([harness.socket(), harness.socket(), harness.socket()]);
    await Promise.all(idle.map((socket) => new Promise((resolve) => socket.once('data', resolve))));
    expect(await drained(await harness.socket())).toBe('Exceeded MaxStartups\r\n');
    await until(() => harness.server.connections === 0, 'the idle ones are cut off');
    await stillServes(harness);
  });

  it('that failed to log in keeps its place until the refusal was due', async () => {
    await start({ maxUnauthenticated: 1, authDelayMs: 300 });
    const client = new ssh2.Client();
    client.on('error', () => {});
    client.connect({ host: '127.0.0.1', port: harness.server.port, username: 'x', password: 'wrong' });
    await until(() => harness.gateway.asked.length === 1, 'the password was tried');
    client.destroy();
    await until(() => harness.server.connections === 0, 'the guesser left');
    expect(await drained(await harness.socket())).toBe('Exceeded MaxStartups\r\n');
  });
});

describe('a client that was let in', () => {
  it('may not have more connections than the bound', async () => {
    await start({ maxConnections: 2 });
    await harness.connect();
    await harness.connect();
    expect(await drained(await harness.socket())).toBe('Exceeded MaxConnections\r\n');
  });

  it('gets a bounded number of channels and keeps its connection', async () => {
    await start();
    const client = await harness.connect();
    for (let id = 0; id < MAX_CHANNELS + 500; id += 1) {
      sendRaw(client, pack({ byte: 90 }, { string: 'session' }, { uint32: id + 1 }, { uint32: 1000 }, { uint32: 1000 }));
    }
    await expect(exec(client, 'x')).rejects.toMatchObject({ reason: 4 });
    await stillServes(harness);
  });

  it('gets a refusal for a channel type that does not exist', async () => {
    await start();
    const client = await harness.connect();
    sendRaw(client, pack({ byte: 90 }, { string: 'session2' }, { uint32: 9 }, { uint32: 1000 }, { uint32: 1000 }));
    harness.gateway.device.onOpen = (channel) => channel.exit(0);
    expect(await run(client, 'x')).toMatchObject({ code: 0 });
  });

  it('gets an answer to each global request, unknown ones too', async () => {
    await start();
    const client = await harness.connect();
    const refused = new Promise<void>((resolve) => {
      client.openssh_unforwardInStreamLocal('/nowhere', () => resolve());
    });
    await refused;
    sendRaw(client, pack({ byte: 80 }, { string: 'no-such-thing@example.com' }, { bool: false }));
    await new Promise<void>((resolve) => client.openssh_unforwardInStreamLocal('/nowhere', () => resolve()));
  });

  it.each([
    ['data for a channel that is not open', pack({ byte: 94 }, { uint32: 5 }, { string: 'x' })],
    ['a request cut short', pack({ byte: 98 }, { uint32: 0 }, { uint32: 400 })],
    ['a session after it promised no more', pack({ byte: 80 }, { string: 'no-more-sessions@openssh.com' }, { bool: false })],
    ['packets of two bytes', pack({ byte: 90 }, { string: 'session' }, { uint32: 1 }, { uint32: 1000 }, { uint32: 2 })],
    ['a window beyond 4 GiB', pack({ byte: 93 }, { uint32: 0 }, { uint32: 0xffff_ffff })],
    ['an empty packet', Buffer.alloc(0)],
  ])('is cut off, alone, for %s', async (_what, payload) => {
    await start();
    const client = await harness.connect();
    await exec(client, 'x');
    const gone = closed(client);
    sendRaw(client, payload);
    sendRaw(client, pack({ byte: 90 }, { string: 'session' }, { uint32: 7 }, { uint32: 1000 }, { uint32: 1000 }));
    await gone;
    await stillServes(harness);
  });

  it('is cut off when it ignores the window', async () => {
    await start();
    const client = await harness.connect();
    await exec(client, 'x');
    await until(() => harness.gateway.device.channels.length === 1, 'the program runs');
    const device = harness.gateway.device.channels[0];
    if (device !== undefined) device.takes = false;
    const gone = closed(client);
    for (let sent = 0; sent < 1024 * 1024; sent += 32_000) {
      sendRaw(client, pack({ byte: 94 }, { uint32: 0 }, { string: Buffer.alloc(32_000) }));
    }
    await gone;
    expect(device?.input.length).toBeLessThan(1024 * 1024);
  });

  it('gets UNIMPLEMENTED for messages that do not exist', async () => {
    await start();
    const client = await harness.connect();
    sendRaw(client, pack({ byte: 192 }, { string: 'ping' }));
    sendRaw(client, pack({ byte: 85 }));
    harness.gateway.device.onOpen = (channel) => channel.exit(0);
    expect(await run(client, 'x')).toMatchObject({ code: 0 });
  });

  it('sends random messages', { timeout: 60_000 }, async () => {
    await start({ maxUnauthenticated: 1000 });
    await fc.assert(fc.asyncProperty(
      fc.array(fc.tuple(fc.constantFrom(50, 61, 80, 90, 91, 92, 93, 94, 95, 96, 97, 98, 99, 100, 200), fc.uint8Array({ maxLength: 60 })), { minLength: 1, maxLength: 10 }),
      async (messages) => {
        const client = await harness.connect();
        await exec(client, 'x');
        const gone = closed(client);
        for (const [type, rest] of messages) sendRaw(client, pack({ byte: type }, { uint32: 0 }, { raw: Buffer.from(rest) }));
        client.end();
        await gone;
      },
    ), { numRuns: 40 });
    await until(() => harness.server.connections === 0 && harness.gateway.leases.size === 0, 'nothing is left');
    await stillServes(harness);
  });

  it('leaves nothing behind when many do it at once', async () => {
    await start();
    const clients = await Promise.all(Array.from({ length: 20 }, () => harness.connect()));
    await Promise.all(clients.map((client) => exec(client, 'x')));
    for (const client of clients) client.destroy();
    await until(() => harness.gateway.device.channels.filter((channel) => channel.calls.includes('close')).length === 20, 'all programs are hung up');
    expect(harness.server.connections).toBe(0);
    expect(harness.gateway.leases.size).toBe(0);
  });
}, PATIENCE_MS);

describe('a server that is closed', () => {
  it('lets programs finish within the time it is given', async () => {
    await start();
    const client = await harness.connect();
    const result = run(client, 'x');
    await until(() => harness.gateway.device.channels.length === 1, 'the program runs');
    const closing = harness.server.close(PATIENCE_MS);
    await expect(harness.socket()).rejects.toThrow();
    harness.gateway.device.channels[0]?.exit(4);
    expect(await result).toMatchObject({ code: 4 });
    await closing;
  });

  it('tells those that do not finish, and ends them', async () => {
    await start();
    const client = await harness.connect();
    await exec(client, 'x');
    const reason = new Promise<Error>((resolve) => client.once('error', resolve));
    await harness.server.close(20);
    expect((await reason).message).toContain('shutting down');
  });

  it('tells those that are still logging in a reason of its own, if it has one', async () => {
    await start();
    harness.gateway.decide = () => new Promise(() => {});
    const refused = harness.refused();
    await until(() => harness.gateway.asked.length === 1, 'the login');
    await harness.server.close(0, new Fault('TUNNEL', 'the platform closed the tunnel'));
    expect((await refused).message).toContain('the platform closed the tunnel');
  });

  it('cannot be started twice on one port', async () => {
    await start();
    await expect(startHarness({ listen: { host: '127.0.0.1', port: harness.server.port } }))
      .rejects.toMatchObject({ code: 'LOCAL', message: expect.stringContaining('another program uses that port') });
  });
});

describe('a client that stops between our new keys and its own', () => {
  /** Passes on what the client sends up to, and without, its NEWKEYS; `stop` can have what is kept back. */
  function withoutNewKeys(stop: (rest: () => Buffer) => void): (bytes: Buffer) => Buffer {
    let text: Buffer = Buffer.alloc(0);
    let identified = false;
    let stopped = false;
    return (bytes) => {
      text = Buffer.concat([text, bytes]);
      if (stopped) return Buffer.alloc(0);
      let at = 0;
      if (!identified) {
        at = text.indexOf('\n') + 1;
        identified = at > 0;
      }
      while (identified && text.length >= at + 6) {
        stopped = text[at + 5] === 21;
        const end = at + 4 + text.readUInt32BE(at);
        if (stopped) stop(() => text);
        if (stopped || end > text.length) break;
        at = end;
      }
      const passed = text.subarray(0, at);
      text = text.subarray(at);
      return passed;
    };
  }

  /** What a client says that reaches the server through this; `kept` gets its NEWKEYS and what followed. */
  async function saidBy(kept: (rest: () => Buffer, far: net.Socket) => void): Promise<string[]> {
    const proxy = net.createServer((near) => {
      const far = net.connect(harness.server.port, '127.0.0.1');
      const pass = withoutNewKeys((rest) => kept(rest, far));
      near.on('data', (bytes) => far.write(pass(bytes)));
      far.on('data', (bytes) => near.write(bytes));
      far.on('end', () => near.end());
      far.on('error', () => undefined);
      near.on('error', () => undefined).on('close', () => far.destroy());
    });
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    const { port } = proxy.address() as net.AddressInfo;
    try {
      const client = new ssh2.Client();
      const errors: string[] = [];
      client.on('error', (error) => errors.push(error.message));
      const over = new Promise<void>((resolve) => client.once('close', resolve));
      client.connect({ host: '127.0.0.1', port, username: 'tester', password: 'right' });
      await over;
      return errors;
    } finally {
      proxy.close();
    }
  }

  it('is told why it is cut off when its own come a moment later', async () => {
    await start();
    let closed: Promise<void> | undefined;
    const errors = await saidBy((rest, far) => {
      setTimeout(() => (closed = harness.server.close(20)), 50);
      setTimeout(() => far.write(rest()), 150);
    });
    expect(errors.join()).toContain('shutting down');
    await closed;
  });

  it('is cut off at once, and no memory is taken for it, when it goes on with an enormous length', async () => {
    await start();
    let allocated = 0;
    const allocUnsafe = Buffer.allocUnsafe;
    Buffer.allocUnsafe = (size) => {
      allocated = Math.max(allocated, size);
      return allocUnsafe(size);
    };
    try {
      await saidBy((_rest, far) => {
        far.write(Buffer.from([0x7f, 0xff, 0xff, 0xf8]));
        setTimeout(() => far.write(Buffer.alloc(100_000)), 50);
      });
    } finally {
      Buffer.allocUnsafe = allocUnsafe;
    }
    expect(allocated).toBeLessThan(1 << 20);
    await stillServes(harness);
  });

  it('is cut off without words that it could not read', async () => {
    await start({ loginGraceMs: 500 });
    expect(await saidBy(() => undefined)).toEqual([]);
    await stillServes(harness);
  });
});
