/** Getting in to a session that somebody else was let in to. */
import { afterEach, describe, expect, it, vi } from 'vitest';
import { BridgeGateway } from '../../src/bridge/gateway.js';
import { silentLog } from '../../src/base/log.js';
import type { Lease } from '../../src/ssh/gateway.js';
import { memoryTunnel } from '../../src/tunnel/memory.js';

const compared: [number, number][] = [];
vi.mock('node:crypto', async (original) => {
  const crypto = await original<typeof import('node:crypto')>();
  return {
    ...crypto,
    timingSafeEqual: (left: Buffer, right: Buffer) => {
      compared.push([left.length, right.length]);
      return crypto.timingSafeEqual(left, right);
    },
  };
});

describe('the device’s one session', () => {
  /** A device that accepts one password. */
  function device(password = 'right'): { gateway: BridgeGateway; connects: () => number } {
    let connects = 0;
    const gateway = new BridgeGateway({
      tier: 'raw', lingerMs: 60_000, graceMs: 1_000, rawIdleMs: 0, keyLogin: undefined, log: silentLog(),
      tunnel: () => {
        const { tunnel, peer } = memoryTunnel();
        const started = tunnel.start.bind(tunnel);
        tunnel.start = (events) => {
          started(events);
          queueMicrotask(() => {
            peer.open();
            peer.deviceUp();
          });
        };
        peer.onFrame = (frame) => {
          if (frame.operation !== 'connect') return;
          connects += 1;
          const { requestId } = frame;
          queueMicrotask(() => {
            if (frame.password === password) peer.deliver({ operation: 'connect_response', requestId, data: Buffer.from('$ ') });
            else peer.deliver({ operation: 'disconnect', requestId, status: '400', message: 'no' });
          });
        };
        return tunnel;
      },
    });
    gateway.start();
    return { gateway, connects: () => connects };
  }

  let gateways: BridgeGateway[] = [];
  afterEach(async () => {
    await Promise.all(gateways.map((gateway) => gateway.close()));
    gateways = [];
  });

  it('is shared by who proves the same user and password, and by nobody else', async () => {
    const { gateway, connects } = device();
    gateways.push(gateway);
    await expect(gateway.login({ user: 'root', password: 'wrong' })).rejects.toMatchObject({ code: 'DENIED' });
    const first: Lease = await gateway.login({ user: 'root', password: 'right' });
    const second = await gateway.login({ user: 'root', password: 'right' });
    expect(await second.device).toBe(await first.device);
    for (const password of ['wrong', 'right ', 'righ', '']) await expect(gateway.login({ user: 'root', password })).rejects.toMatchObject({ code: 'DENIED' });
    for (const [user, password] of [['admin', 'right'], ['', 'right'], ['root","right', ''], ['roo', 'tright']] as const) {
      await expect(gateway.login({ user, password })).rejects.toMatchObject({ code: 'BUSY' });
    }
    // A guess at an open session's password is decided here: the device never hears of it.
    expect(connects()).toBe(2);
  });

  it('is joined by a key of the operator’s whichever of two passwords it was opened with, for the same user only', async () => {
    const { gateway, connects } = device();
    gateways.push(gateway);
    const first = await gateway.login({ user: 'root', password: 'right' });
    // The operator’s file has the password that is valid from now on.
    const joined = await gateway.login({ user: 'root', password: 'changed' }, { address: '127.0.0.1' }, true);
    expect(await joined.device).toBe(await first.device);
    await expect(gateway.login({ user: 'root', password: 'changed' }, { address: '127.0.0.1' }, false)).rejects.toMatchObject({ code: 'DENIED' });
    await expect(gateway.login({ user: 'admin', password: 'right' }, { address: '127.0.0.1' }, true)).rejects.toMatchObject({ code: 'BUSY' });
    expect(connects()).toBe(1);
  });

  it('is compared with in constant time: keyed hashes of one length, whatever was typed', async () => {
    const { gateway } = device();
    gateways.push(gateway);
    await gateway.login({ user: 'root', password: 'right' });
    compared.length = 0;
    for (const password of ['', 'r', 'righ', 'right', 'x'.repeat(5_000)]) await gateway.login({ user: 'root', password }).catch(() => undefined);
    expect(compared).toEqual(Array.from({ length: 5 }, () => [32, 32]));
  });
});
