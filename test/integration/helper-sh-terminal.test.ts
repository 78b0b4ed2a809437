import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { PtyRequest } from '../../src/mux/device.js';
import { createPtyDevice, type DeviceKind, type PtyDevice } from '../support/pty-device.js';
import { Run, ShSession } from '../support/sh-session.js';
import { waitFor } from '../support/wait.js';

const PTY: PtyRequest = {
  term: 'xterm-256color',
  size: { cols: 91, rows: 37, widthPx: 0, heightPx: 0 },
  modes: [[3, 8], [53, 1], [72, 1], [50, 1]],
};

const KINDS: readonly [kind: DeviceKind, extra: string[]][] = [['dash', []], ['busybox', ['script', 'nc']]];

describe.each(KINDS)('a terminal from the sh helper where sh is %s', (kind, extra) => {
  let device: PtyDevice;
  let session: ShSession;

  beforeAll(async () => {
    device = createPtyDevice(kind, extra);
    session = new ShSession(device);
    await session.attach();
  });

  afterAll(async () => {
    await session.end();
    device.remove();
  });

  it('has the size, the TERM and the modes of the client', async () => {
    const run = await session.exec('stty -a; echo "T=$TERM"; test -t 0 && test -t 1 && test -t 2 && echo tty', { pty: PTY }).done();
    expect(run.text).toContain('37');
    expect(run.text).toContain('91');
    expect(run.text).toMatch(/erase = \^H/);
    expect(run.text).toContain('T=xterm-256color\r\n');
    expect(run.text).toContain('tty\r\n');
    expect(run.err.length).toBe(0);
  });

  it('tells the exit status and a death by signal of what ran in it', async () => {
    expect((await session.exec('exit 41', { pty: PTY }).done()).status).toBe(41);
    expect((await session.exec('kill -TERM $$', { pty: PTY }).done()).outcome).toMatchObject({ signal: 'TERM' });
  });

  it('echoes, and turns Ctrl-C into an interrupt', async () => {
    const run = session.exec('trap "echo stopped; exit 7" INT; echo ready; cat', { pty: PTY });
    await waitFor('the start', () => run.text.includes('ready'));
    run.channel.write(Buffer.from('typed\r'));
    await waitFor('echo and copy', () => run.text.includes('typed\r\ntyped\r\n'));
    run.channel.write(Buffer.from([3]));
    await run.done();
    expect(run.text).toContain('stopped');
    expect(run.status).toBe(7);
  });

  it('follows the window', async () => {
    const run = session.exec('trap "stty size" WINCH; echo ready; while :; do sleep 1; done', { pty: PTY });
    await waitFor('the start', () => run.text.includes('ready'));
    run.channel.resize({ cols: 120, rows: 50, widthPx: 0, heightPx: 0 });
    await waitFor('the new size', () => run.text.includes('50 120'));
    run.channel.close();
    await run.done();
  });

  it('hangs up what runs in it when the client is gone', async () => {
    const run = session.exec('echo $$; exec sleep 1000', { pty: PTY });
    const pid = await waitFor('the pid', () => /(\d+)\r\n/.exec(run.text)?.[1]);
    run.channel.close();
    await run.done();
    await waitFor('its end', async () => (await session.exec(`kill -0 ${pid} 2>/dev/null || echo gone`).done()).text === 'gone\n');
  });

  it('runs an interactive login shell', async () => {
    const run = session.exec('', { command: undefined, pty: PTY });
    run.channel.write(Buffer.from('echo $((40+2)); exit 6\r'));
    await run.done();
    expect(run.text).toContain('42\r\n');
    expect(run.status).toBe(6);
  });
});

describe('a device without script', () => {
  let device: PtyDevice;
  let session: ShSession;

  beforeAll(async () => {
    device = createPtyDevice('busybox');
    session = new ShSession(device);
    await session.attach();
  });

  afterAll(async () => {
    await session.end();
    device.remove();
  });

  it('gets a terminal of pipes: lines, echo, line ends and the status', async () => {
    const run = session.exec('echo ready; read x; echo "got $x"; exit 5', { pty: PTY });
    await waitFor('the start', () => run.text.includes('ready\r\n'));
    run.channel.write(Buffer.from('helpo\b\blo\r'));
    await run.done();
    expect(run.text).toContain('got hello\r\n');
    expect(run.err.length).toBe(0);
    expect(run.status).toBe(5);
  });

  it('whose Ctrl-C interrupts', async () => {
    const run = session.exec('trap "echo stopped; exit 7" INT; echo ready; sleep 100', { pty: PTY });
    await waitFor('the start', () => run.text.includes('ready'));
    run.channel.write(Buffer.from([3]));
    await run.done();
    expect(run.text).toContain('stopped');
    expect(run.status).toBe(7);
  });

  it('runs an interactive login shell there', async () => {
    const run = session.exec('', { command: undefined, pty: PTY });
    run.channel.write(Buffer.from('echo $((40+2)); exit 6\r'));
    await run.done();
    expect(run.text).toContain('42\r\n');
    expect(run.status).toBe(6);
  });
});

describe.each([['nc', ['nc']], ['socat', ['socat']], ['BusyBox nc', []]] as const)('connections through %s', (_, extra) => {
  let device: PtyDevice;
  let session: ShSession;
  let server: Server;
  const received: string[] = [];

  beforeAll(async () => {
    device = createPtyDevice('busybox', extra);
    session = new ShSession(device);
    await session.attach();
    server = createServer({ allowHalfOpen: true }, (socket) => {
      socket.on('data', (bytes) => received.push(bytes.toString()));
      socket.on('end', () => socket.end('bye'));
      socket.on('error', () => undefined);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  });

  afterAll(async () => {
    server.close();
    await session.end();
    device.remove();
  });

  const port = (): number => (server.address() as { port: number }).port;

  it('carries data and half-close', async () => {
    const run = new Run(session.backend, { kind: 'tcp', host: '127.0.0.1', port: port() });
    run.channel.write(Buffer.from('hello'));
    run.channel.end();
    await run.done();
    expect(received.join('')).toContain('hello');
    expect(run.text).toBe('bye');
    expect(run.order).toEqual(['opened', 'data', 'eof', 'closed']);
  });

  it('refuses where nobody listens', async () => {
    const run = await new Run(session.backend, { kind: 'tcp', host: '127.0.0.1', port: 1 }).done();
    expect(run.refusal?.code).toBe('connect-failed');
  });

  it('reaches a Unix socket, or says why not', async () => {
    const path = join(device.home, 'socket');
    const unix = createServer((socket) => socket.end('unix'));
    await new Promise<void>((resolve) => unix.listen(path, resolve));
    const run = new Run(session.backend, { kind: 'unix', path: Buffer.from(path) });
    // OpenBSD's nc does not show the peer's end before its own input has ended.
    await waitFor('the output', () => run.over || run.text === 'unix');
    run.channel.end();
    await run.done();
    unix.close();
    if (extra.length > 0) expect(run.text).toBe('unix');
    else expect(run.refusal?.code).toBe('unsupported');
  });
});
