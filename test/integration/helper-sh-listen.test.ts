/** The sh tier's listeners (-R, -A) at the helper's own contract, with each tool that a device may have. */
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MOST_ACCEPTED } from '../../src/helper/sh/listen.js';
import { createPtyDevice, type DeviceKind, type PtyDevice } from '../support/pty-device.js';
import { Listening, Peer } from '../support/sh-listen.js';
import { ShSession } from '../support/sh-session.js';
import { waitFor } from '../support/wait.js';

interface Tools {
  name: string;
  kind: DeviceKind;
  extra: readonly string[];
  /** Whether one direction can end while the other goes on. */
  halfClose: boolean;
  /** Connections at once: mksh starts a process for each word it prints. */
  many: number;
}

const TOOLS: readonly Tools[] = [
  { name: 'BusyBox and socat', kind: 'busybox', extra: ['socat'], halfClose: true, many: 20 },
  { name: 'BusyBox alone', kind: 'busybox', extra: [], halfClose: false, many: 20 },
  { name: 'bash and socat', kind: 'bash', extra: [], halfClose: true, many: 20 },
  { name: 'mksh and socat', kind: 'mksh', extra: [], halfClose: true, many: 4 },
];

/** Processes of this machine that belong to the device, by their environment. */
function processesOf(device: PtyDevice): string[] {
  return readdirSync('/proc').flatMap((pid) => {
    if (!/^\d+$/.test(pid)) return [];
    try {
      const text = readFileSync(`/proc/${pid}/cmdline`, 'latin1') + readFileSync(`/proc/${pid}/environ`, 'latin1');
      const state = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]?.[0];
      return text.includes(device.root) && state !== 'Z' ? [`${pid} ${text.slice(0, 120).replaceAll('\0', ' ')}`] : [];
    } catch {
      return [];
    }
  });
}

/** Addresses that listen on this port, as the kernel's tables have them. */
function listening(port: number): string[] {
  const hex = port.toString(16).toUpperCase().padStart(4, '0');
  return ['/proc/net/tcp', '/proc/net/tcp6'].flatMap((table) =>
    readFileSync(table, 'utf8').split('\n').flatMap((line) => {
      const [, local, , state] = line.trim().split(/\s+/);
      return state === '0A' && local?.endsWith(`:${hex}`) === true ? [local.slice(0, -5)] : [];
    }),
  );
}

/** Waits until the device listens no more; a port that is free may be anybody's the next moment. */
async function silent(device: PtyDevice, ...ended: readonly Listening[]): Promise<void> {
  const own = () => processesOf(device).filter((text) => /^\d+ (?:socat (?:TCP|UNIX-LISTEN)|(?:busybox )?nc .*-l)/.test(text));
  await waitFor('the device to listen no more', () => ended.every((each) => each.closed) && own().length === 0);
}

async function started(device: PtyDevice, graceSeconds = 600): Promise<ShSession> {
  const session = new ShSession(device, { graceSeconds });
  await session.attach();
  return session;
}

const ANY_LOOPBACK = { kind: 'tcp', host: 'localhost', port: 0 } as const;

describe.each(TOOLS)('a listener of the sh helper on a device with $name', ({ kind, extra, halfClose, many }) => {
  let device: PtyDevice;
  let session: ShSession;

  beforeAll(async () => {
    device = createPtyDevice(kind, extra);
    session = await started(device);
  });

  afterAll(async () => {
    await session.end();
    await waitFor('its processes to go', () => processesOf(device).length === 0);
    expect(readdirSync(device.state)).toEqual([]);
    device.remove();
  });

  it('tells the port that the device chose, on both addresses of localhost and no other, once it listens', async () => {
    const one = await new Listening(session.backend, ANY_LOOPBACK).answered();
    expect(listening(one.port).sort()).toEqual(['00000000000000000000000001000000', '0100007F']);
    for (const host of ['127.0.0.1', '::1']) {
      const peer = new Peer({ port: one.port, host });
      const accepted = await one.next(one.accepted.length + 1);
      expect(accepted.peer).toEqual({ host, port: peer.socket.localPort });
      peer.socket.destroy();
    }
    one.listener.close();
    await silent(device, one);
  });

  it.each([['', '127.0.0.1'], ['*', '::1'], ['0.0.0.0', '127.0.0.1'], ['::1', '::1'], ['127.0.0.2', '127.0.0.2']])('listens on "%s" for who comes by %s', async (host, by) => {
    const one = await new Listening(session.backend, { kind: 'tcp', host, port: 0 }).answered();
    const peer = new Peer({ port: one.port, host: by });
    const accepted = await one.next();
    expect(accepted.peer.port).toBe(peer.socket.localPort);
    expect(accepted.peer.host).toBe(peer.socket.localAddress);
    peer.socket.destroy();
    one.listener.close();
    await silent(device, one);
  });

  it('carries the request, the end of it, and then the answer, byte for byte', async () => {
    const one = await new Listening(session.backend, ANY_LOOPBACK).answered();
    one.onAccept = (accepted) => void accepted.echo();
    const data = randomBytes(300_000);
    const peer = new Peer({ port: one.port });
    peer.socket.end(data);
    await waitFor('the answer', () => peer.ended, 60_000);
    expect(peer.data.equals(data)).toBe(true);
    const accepted = await one.next();
    await waitFor('the connection to be over', () => accepted.closed);
    expect(accepted.fault).toBeUndefined();
    one.listener.close();
    await silent(device, one);
  });

  it(`serves ${many} at once`, async () => {
    const one = await new Listening(session.backend, ANY_LOOPBACK).answered();
    one.onAccept = (accepted) => void accepted.echo();
    const peers = Array.from({ length: many }, (_, index) => {
      const peer = new Peer({ port: one.port });
      const data = Buffer.from(`${index} `.repeat(5_000));
      peer.socket.end(data);
      return { peer, data };
    });
    for (const { peer, data } of peers) {
      await waitFor('an answer', () => peer.closed || peer.ended, 100_000);
      expect(peer.error).toBeUndefined();
      expect(peer.data.equals(data)).toBe(true);
    }
    one.listener.close();
    await silent(device, one);
  }, 120_000);

  it(halfClose ? 'ends one direction while the other goes on' : 'ends a connection with our end of it, what the peer was told being whole', async () => {
    const one = await new Listening(session.backend, ANY_LOOPBACK).answered();
    const peer = new Peer({ port: one.port });
    const accepted = await one.next();
    accepted.channel.write(Buffer.from('all of it'));
    accepted.channel.end();
    await waitFor('the end', () => peer.ended);
    expect(peer.text).toBe('all of it');
    if (halfClose) {
      expect(accepted.ended).toBe(false);
      peer.socket.end('thanks');
      await waitFor('the answer', () => accepted.closed);
      expect(accepted.text).toBe('thanks');
    } else await waitFor('the connection to be over', () => accepted.closed);
    one.listener.close();
    await silent(device, one);
  });

  it('tells of a reset either way', async () => {
    const one = await new Listening(session.backend, ANY_LOOPBACK).answered();
    const peer = new Peer({ port: one.port });
    const accepted = await one.next();
    peer.socket.write('x');
    await waitFor('a byte', () => accepted.bytes === 1);
    peer.socket.resetAndDestroy();
    await waitFor('the end', () => accepted.ended);
    // What is written to nobody ends the connection, as it does in sshd.
    const timer = setInterval(() => accepted.channel.write(Buffer.from('anybody?')), 20);
    await waitFor('the connection to be over', () => accepted.closed);
    clearInterval(timer);
    const other = new Peer({ port: one.port });
    const second = await one.next(2);
    second.channel.close();
    await waitFor('the peer to be told', () => other.ended || other.closed);
    await waitFor('the channel to be over', () => second.closed);
    one.listener.close();
    await silent(device, one);
  });

  it('lets what it has accepted go on when it is closed', async () => {
    const one = await new Listening(session.backend, ANY_LOOPBACK).answered();
    const peer = new Peer({ port: one.port });
    const accepted = await one.next();
    one.listener.close();
    await silent(device, one);
    peer.socket.end('still there');
    await waitFor('the word', () => accepted.ended);
    expect(accepted.text).toBe('still there');
    accepted.channel.end();
    await waitFor('the end', () => peer.ended && accepted.closed);
  });

  it('is refused on a port that is taken, and where there is no such address, with the reason', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { port: number };
    const taken = await new Listening(session.backend, { kind: 'tcp', host: '127.0.0.1', port }).answered();
    expect(taken.refusal).toMatchObject({ code: 'connect-failed', message: 'Address already in use' });
    await new Promise((resolve) => server.close(resolve));
    const elsewhere = await new Listening(session.backend, { kind: 'tcp', host: '192.0.2.1', port: 0 }).answered();
    expect(elsewhere.refusal?.message).toBe('Cannot assign requested address');
    for (const host of ['127.0.0.1,fork', '-e', 'a b', '$(id)']) {
      const odd = await new Listening(session.backend, { kind: 'tcp', host, port: 0 }).answered();
      expect(odd.refusal?.message).toBe('There is no such address to listen on.');
    }
  });

  it('loses nothing when the login is replaced, and takes who came meanwhile', async () => {
    const one = await new Listening(session.backend, ANY_LOOPBACK).answered();
    one.onAccept = (accepted) => void accepted.echo();
    const data = randomBytes(400_000);
    const peer = new Peer({ port: one.port });
    peer.socket.end(data);
    const first = await one.next();
    await waitFor('some of it', () => first.bytes > 50_000);
    session.drop();
    const meanwhile = new Peer({ port: one.port });
    await waitFor('the device to accept', () => meanwhile.socket.readyState === 'open');
    meanwhile.socket.end('who came meanwhile');
    await session.attach();
    await waitFor('the answers', () => peer.ended && meanwhile.ended, 60_000);
    expect(peer.data.equals(data)).toBe(true);
    expect(meanwhile.text).toBe('who came meanwhile');
    one.listener.close();
    await silent(device, one);
  }, 120_000);
});

describe('a listener of the sh helper on a Unix socket', () => {
  it('takes any path, for the user alone, and takes it away at the end', async () => {
    const device = createPtyDevice('busybox', ['socat']);
    const session = await started(device);
    for (const name of ['plain', 'a,fork,mode=777', 'sp ace:!!"\'', 'new\nline', '$HOME`id`', 'caf\u00e9', '-x', 'end\n']) {
      const path = join(device.home, name);
      const one = await new Listening(session.backend, { kind: 'unix', path: Buffer.from(path) }).answered();
      expect([name, one.refusal]).toEqual([name, undefined]);
      expect(statSync(path).mode & 0o777).toBe(0o600);
      const peer = new Peer({ path });
      const accepted = await one.next();
      accepted.channel.write(Buffer.from('hello'));
      accepted.channel.end();
      await waitFor('the greeting', () => peer.ended);
      expect([peer.text, accepted.peer]).toEqual(['hello', { host: '', port: 0 }]);
      peer.socket.end();
      one.listener.close();
      await waitFor('it to be gone', () => one.closed && !existsSync(path));
    }
    await session.end();
    await waitFor('its processes to go', () => processesOf(device).length === 0);
    device.remove();
  });

  it('leaves alone what lies there already', async () => {
    const device = createPtyDevice('busybox', ['socat']);
    const session = await started(device);
    const path = join(device.home, 'there');
    mkdirSync(path);
    const one = await new Listening(session.backend, { kind: 'unix', path: Buffer.from(path) }).answered();
    expect(one.refusal?.code).toBe('connect-failed');
    const other = await new Listening(session.backend, { kind: 'unix', path: Buffer.from(`${path}/socket`) }).answered();
    const third = await new Listening(session.backend, { kind: 'unix', path: Buffer.from(`${path}/socket`) }).answered();
    expect([other.refusal, third.refusal?.code]).toEqual([undefined, 'connect-failed']);
    expect(new Peer({ path: `${path}/socket` }).error).toBeUndefined();
    await other.next();
    await session.end();
    expect(readdirSync(path)).toEqual([]);
    device.remove();
  });

  it('is the agent’s: a folder that is the user’s alone, gone with it', async () => {
    const device = createPtyDevice('busybox', ['socat']);
    const session = await started(device);
    const one = await new Listening(session.backend, { kind: 'agent' }).answered();
    const path = one.path?.toString() ?? '';
    expect([statSync(path).mode & 0o777, statSync(dirname(path)).mode & 0o777]).toEqual([0o600, 0o700]);
    one.onAccept = (accepted) => void accepted.echo();
    const peers = Array.from({ length: 5 }, () => new Peer({ path }));
    for (const peer of peers) peer.socket.end('question');
    await waitFor('the answers', () => peers.every((peer) => peer.text === 'question'));
    one.listener.close();
    await silent(device, one);
    await waitFor('it to be gone', () => !existsSync(dirname(path)));
    const again = await new Listening(session.backend, { kind: 'agent' }).answered();
    await session.end();
    expect(existsSync(dirname(again.path?.toString() ?? ''))).toBe(false);
    device.remove();
  });
});

describe('listeners of the sh helper', () => {
  it('hold a bounded number of connections, whether or not anybody takes them', async () => {
    const device = createPtyDevice('busybox');
    const session = await started(device);
    const one = await new Listening(session.backend, { kind: 'tcp', host: '127.0.0.1', port: 0 }).answered();
    session.drop();
    const peers = Array.from({ length: MOST_ACCEPTED + 20 }, () => new Peer({ port: one.port, host: '127.0.0.1' }));
    await waitFor('those that are too many to be sent away', () => peers.filter((peer) => peer.ended || peer.closed).length >= 1, 60_000);
    await session.attach();
    await waitFor('the others to be taken', () => one.accepted.length + peers.filter((peer) => peer.ended || peer.closed).length >= peers.length, 60_000);
    expect(one.accepted.length).toBeLessThanOrEqual(MOST_ACCEPTED);
    await session.end();
    await waitFor('its processes to go', () => processesOf(device).length === 0);
    for (const peer of peers) peer.socket.destroy();
    device.remove();
  }, 180_000);

  it.each(['BusyBox', 'socat'])('end when nobody comes back within the grace, with what they have accepted and what waits (%s)', async (tool) => {
    const device = createPtyDevice('busybox', tool === 'socat' ? ['socat'] : []);
    const session = await started(device, 3);
    const tcp = await new Listening(session.backend, ANY_LOOPBACK).answered();
    const agent = tool === 'socat' ? await new Listening(session.backend, { kind: 'agent' }).answered() : undefined;
    const taken = new Peer({ port: tcp.port });
    await tcp.next();
    session.drop();
    const waiting = new Peer({ port: tcp.port });
    await waitFor('everybody to be told', () => (taken.ended || taken.closed) && (waiting.ended || waiting.closed), 60_000);
    await waitFor('its processes to go', () => processesOf(device).length === 0);
    expect(readdirSync(device.state)).toEqual([]);
    if (agent?.path !== undefined) expect(existsSync(dirname(agent.path.toString()))).toBe(false);
    for (const peer of [taken, waiting]) peer.socket.destroy();
    device.remove();
  }, 120_000);

  it('end a connection whose acceptor was killed while it waited', async () => {
    const device = createPtyDevice('busybox', ['socat']);
    const session = await started(device);
    const one = await new Listening(session.backend, { kind: 'tcp', host: '127.0.0.1', port: 0 }).answered();
    session.drop();
    const peer = new Peer({ port: one.port, host: '127.0.0.1' });
    const pid = await waitFor('the acceptor to wait', () => {
      const folder = readdirSync(device.state)[0];
      const listener = folder === undefined ? undefined : join(device.state, folder, '1');
      const name = listener === undefined ? undefined : readdirSync(listener).find((entry) => entry.startsWith('a.'));
      // It has told of itself once it waits for its number.
      return listener !== undefined && name !== undefined && existsSync(join(listener, name, 'S')) && existsSync(join(listener, 'o.1')) ? Number(name.slice(2)) : undefined;
    });
    process.kill(pid, 'SIGKILL');
    await session.attach();
    const accepted = await one.next();
    await waitFor('it to be over', () => accepted.closed);
    peer.socket.destroy();
    await session.end();
    device.remove();
  });

  it.each([
    ['the program that listens', /^\d+ socat TCP4-LISTEN/],
    ['the shell that has started it', /^\d+ sh \S+\/r cmd 1 /],
  ])('do not outlive %s unseen', async (_, who) => {
    const device = createPtyDevice('busybox', ['socat']);
    const session = await started(device);
    const one = await new Listening(session.backend, { kind: 'tcp', host: '127.0.0.1', port: 0 }).answered();
    const pid = processesOf(device).find((text) => who.test(text))?.split(' ')[0];
    process.kill(Number(pid), 'SIGKILL');
    // Without that shell it goes on; without the program it says so by itself.
    if (who.source.includes('cmd')) one.listener.close();
    await silent(device, one);
    await session.end();
    device.remove();
  });

  it.each([
    ['neither socat nor nc', 'busybox', [], ['nc', 'busybox'], { tcp: /neither socat nor nc/, unix: /has no socat, so/ }],
    ['OpenBSD’s nc alone', 'busybox', ['nc'], ['busybox'], { tcp: /its nc cannot start a program for each connection/, unix: /its nc cannot serve a Unix socket/ }],
    ['BusyBox’s nc alone', 'busybox', [], [], { tcp: undefined, unix: /its nc cannot serve a Unix socket/ }],
  ] as const)('are refused with what is missing on a device with %s', async (_, kind, extra, without, says) => {
    const device = createPtyDevice(kind, extra, without);
    const session = await started(device);
    const tcp = await new Listening(session.backend, ANY_LOOPBACK).answered();
    if (says.tcp === undefined) expect(tcp.refusal).toBeUndefined();
    else expect(tcp.refusal).toMatchObject({ code: 'unsupported', message: expect.stringMatching(says.tcp) });
    for (const request of [{ kind: 'agent' }, { kind: 'unix', path: Buffer.from('/tmp/never') }] as const) {
      const unix = await new Listening(session.backend, request).answered();
      expect(unix.refusal).toMatchObject({ code: 'unsupported', message: expect.stringMatching(says.unix) });
    }
    await session.end();
    device.remove();
  });
});
