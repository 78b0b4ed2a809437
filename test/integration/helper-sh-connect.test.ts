/** The sh tier's connections (-L) through each tool, where the server ends first. */
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { randomBytes } from 'node:crypto';
import { expect, it, onTestFinished } from 'vitest';
import { createPtyDevice } from '../support/pty-device.js';
import { Run, ShSession } from '../support/sh-session.js';
import { waitFor } from '../support/wait.js';

const TOOLS = [['socat', ['socat'], ['nc']], ['BusyBox’s nc', [], []], ['OpenBSD’s nc', ['nc'], []]] as const;
const DATA = randomBytes(300_000);

it.each(TOOLS)('tells of the server’s end while the client has not ended, all it sent being there (%s)', async (tool, extra, without) => {
  const device = createPtyDevice('busybox', extra, without);
  const session = new ShSession(device);
  onTestFinished(async () => {
    await session.end();
    device.remove();
  });
  await session.attach();
  for (const [end, sent, refusal] of [
    [(socket: Socket) => socket.end(DATA), DATA],
    // Before the connection counts as open, for want of a word from the tool.
    [(socket: Socket) => socket.end(), Buffer.alloc(0)],
    // A tool that fails so soon may not have been connected, for all that can be known.
    [(socket: Socket) => socket.resetAndDestroy(), Buffer.alloc(0), tool === 'socat' ? undefined : 'refused'],
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
