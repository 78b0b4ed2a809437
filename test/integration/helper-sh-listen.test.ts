import { describe, expect, it } from 'vitest';
import { Listening, Peer } from '../support/sh-listen.js';
import { createPtyDevice } from '../support/pty-device.js';
import { ShSession } from '../support/sh-session.js';
import { waitFor } from '../support/wait.js';

describe.each([['socat', ['socat']], ['nc of BusyBox', []]] as const)('a listener of the sh helper through %s', (_, extra) => {
  it('accepts', async () => {
    const device = createPtyDevice('busybox', extra);
    const session = new ShSession(device);
    await session.attach();
    const t = Date.now();
    const listening = await new Listening(session.backend, { kind: 'tcp', host: 'localhost', port: 0 }).answered();
    console.log(listening.port, listening.refusal, Date.now() - t);
    for (const host of ['127.0.0.1', '::1']) {
      const peer = new Peer({ port: listening.port, host });
      const accepted = await listening.next(listening.accepted.length + 1);
      console.log(accepted.peer, peer.socket.localPort, Date.now() - t);
      peer.socket.end('hello');
      await waitFor('x', () => accepted.ended);
      expect(accepted.text).toBe('hello');
      accepted.channel.write(Buffer.from('world'));
      accepted.channel.end();
      await waitFor('x', () => peer.ended);
      expect(peer.text).toBe('world');
      await waitFor('x', () => accepted.closed);
    }
    await session.end();
    device.remove();
  });
});
