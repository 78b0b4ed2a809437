/** The sh tier's connections (-L) through each tool: when they count as open, and where the server ends first. */
import { randomBytes } from 'node:crypto';
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { createPtyDevice } from '../support/pty-device.js';
import { Run, ShSession } from '../support/sh-session.js';
import { waitFor } from '../support/wait.js';

const TOOLS = [['socat', ['socat'], ['nc']], ['BusyBox’s nc', [], []], ['OpenBSD’s nc', ['nc'], []]] as const;
const DATA = randomBytes(300_000);

async function deviceWith(extra: readonly string[], without: readonly string[]): Promise<ShSession> {
  const device = createPtyDevice('busybox', extra, without);
  const session = new ShSession(device);
  onTestFinished(async () => {
    await session.end();
    device.remove();
  });
  await session.attach();
  return session;
}

/** A server that takes no connection until it is told a line; the end of its input ends it. One waits for it already. */
const BUSY = `
import socket, sys
server = socket.socket()
server.bind(('127.0.0.1', 0))
server.listen(0)
print(server.getsockname()[1], flush=True)
sys.stdin.readline() or sys.exit()
server.listen(9)
while True:
    peer, _ = server.accept()
    peer.sendall(peer.recv(1000))
`;

it.each(TOOLS)('is open once the server has taken it, or refused, however late that is (%s)', async (_, extra, without) => {
  const { backend } = await deviceWith(extra, without);
  for (const word of ['opened', 'refused'] as const) {
    const server = spawn('python3', ['-c', BUSY], { stdio: ['pipe', 'pipe', 'inherit'] });
    onTestFinished(() => { server.kill(); });
    let said = '';
    server.stdout.on('data', (bytes: Buffer) => { said += bytes.toString(); });
    const port = Number(await waitFor('the port', () => /^(\d+)\n/.exec(said)?.[1]));
    // The one that may wait: whoever comes next is not answered.
    const first = connect(port, '127.0.0.1');
    first.on('error', () => undefined);
    onTestFinished(() => { first.destroy(); });
    await waitFor('the first one', () => first.readyState === 'open');
    const run = new Run(backend, { kind: 'tcp', host: '127.0.0.1', port });
    // SYN_SENT (02), repeated (the count of the seventh column): the kernel tries again after a second.
    const row = new RegExp(`:${port.toString(16).toUpperCase().padStart(4, '0')} 02 \\S+ \\S+ 0000000[1-9]`);
    await waitFor('an attempt that waits', () => row.test(readFileSync('/proc/net/tcp', 'latin1')));
    expect(run.order).toEqual([]);
    if (word === 'opened') server.stdin.write('go\n');
    else server.stdin.end();
    first.end('x');
    await waitFor('the answer', () => run.order.length > 0);
    expect([run.order, run.refusal?.message]).toEqual([[word], word === 'refused' ? 'Connection refused' : undefined]);
    if (word === 'refused') continue;
    await run.send(Buffer.from('echo'));
    await waitFor('the echo', () => run.text === 'echo');
    run.channel.close();
  }
});

it.each(TOOLS)('tells of the server’s end while the client has not ended, all it sent being there (%s)', async (_, extra, without) => {
  const session = await deviceWith(extra, without);
  for (const [end, sent, refusal] of [
    [(socket: Socket) => socket.end(DATA), DATA],
    // Perhaps before the connection was seen to stand.
    [(socket: Socket) => socket.end(), Buffer.alloc(0)],
    // A tool that waits to be connected still may find that out there, and say so, as sshd does then.
    [(socket: Socket) => socket.resetAndDestroy(), Buffer.alloc(0), 'refused'],
  ] as const) {
    const server = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.resume();
      end(socket);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const runs = Array.from({ length: 5 }, () => new Run(session.backend, { kind: 'tcp', host: '127.0.0.1', port }));
    for (const run of runs) {
      const word = await waitFor('the server’s end', () => run.order.find((each) => each === 'eof' || each === 'closed' || each === refusal));
      expect(run.out.equals(sent)).toBe(true);
      if (word === refusal) continue;
      run.channel.end();
      await run.done();
    }
    server.close();
  }
});
