import { describe, expect, it } from 'vitest';
import { Fault } from '../../../src/base/errors.js';
import { newRequestId } from '../../../src/protocol/encode.js';
import type { Frame } from '../../../src/protocol/frames.js';
import { memoryTunnel } from '../../../src/tunnel/memory.js';

const requestId = newRequestId();

function started(): ReturnType<typeof memoryTunnel> & { seen: string[] } {
  const pair = memoryTunnel();
  const seen: string[] = [];
  pair.tunnel.start({
    open: () => seen.push('open'),
    deviceUp: ({ repeated, assumed }) => seen.push(`up ${repeated} ${assumed}`),
    frame: (frame) => seen.push(frame.operation),
    lost: ({ cause, retryInMs }) => seen.push(`lost ${cause.message} ${retryInMs}`),
    ended: (fault) => seen.push(`ended ${fault.message}`),
  });
  return { ...pair, seen };
}

describe('memoryTunnel', () => {
  it('carries frames both ways while it is open, through the real gate', () => {
    const { tunnel, peer, seen } = started();
    const sent: Frame[] = [];
    peer.onFrame = (frame) => sent.push(frame);
    const command: Frame = { operation: 'command', requestId, data: 'ls\n' };
    expect(tunnel.send(command)).toBe(false);
    peer.open();
    peer.deviceUp();
    expect(tunnel.send(command)).toBe(true);
    peer.deliver({ operation: 'command_response', requestId, data: Buffer.from([0xe4]) });
    expect(sent).toEqual([command]);
    expect(seen).toEqual(['open', 'up false false', 'command_response']);
    expect(() => tunnel.send({ ...command, data: '\0' })).toThrow(/NUL/);
  });

  it('is lost, reset and ended like the real one', async () => {
    const { tunnel, peer, seen } = started();
    peer.open();
    peer.lose('cable');
    expect(tunnel.state).toBe('waiting');
    peer.open();
    tunnel.reset('stuck');
    expect([tunnel.state, peer.resets]).toEqual(['connecting', 1]);
    peer.end(new Fault('TUNNEL', 'expired'));
    tunnel.reset('again');
    expect(seen).toEqual(['open', 'lost cable 1000', 'open', 'lost the tunnel was reset: stuck 0', 'ended expired']);
    await tunnel.close();
    expect(tunnel.state).toBe('ended');
  });
});
