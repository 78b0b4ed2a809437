/** A client that was let in and means harm to the bridge, or to those who share the session with it. */
import { afterEach, describe, expect, it } from 'vitest';
import { pack } from '../../src/ssh/wire.js';
import { closed, exec, sendRaw, startHarness, until, type Harness } from '../unit/ssh/harness.js';
import { heldBytes, MiB } from './memory.js';

let harness: Harness;
afterEach(() => harness.close());

describe('a client that was let in', () => {
  it('cannot fill the memory with a packet that inflates beyond its bound', async () => {
    harness = await startHarness();
    const client = await harness.connect({ algorithms: { compress: ['zlib@openssh.com'] } });
    await exec(client, 'x');
    const gone = closed(client);
    const before = heldBytes();
    // 8 MiB of zeros are 8 KB on the wire, less than many an honest packet.
    sendRaw(client, pack({ byte: 94 }, { uint32: 0 }, { string: Buffer.alloc(8 * MiB) }));
    await gone;
    expect(heldBytes() - before).toBeLessThan(16 * MiB);
    expect(harness.gateway.device.channels.every((channel) => channel.input.length === 0)).toBe(true);
    await harness.connect();
  });

  it('cannot set variables that the operator does not allow, nor ones with names or values without end', async () => {
    harness = await startHarness();
    const client = await harness.connect();
    const variables: Record<string, string> = { LC_ALL: 'C', LD_PRELOAD: '/tmp/evil.so', PATH: '/tmp', [`LC_${'X'.repeat(300)}`]: 'x', LC_LONG: 'x'.repeat(33_000), 'LC_A=B': 'x' };
    client.exec('x', { env: variables }, () => undefined);
    await until(() => harness.gateway.device.channels.length === 1, 'the program runs');
    const { request } = harness.gateway.device.channels[0] ?? {};
    expect(request).toMatchObject({ kind: 'exec' });
    const env = request?.kind === 'exec' ? request.env : {};
    expect(Object.keys(env).sort()).toEqual(['LC_ALL', 'SSH_CLIENT', 'SSH_CONNECTION']);
  });

  it('that does not read costs no more than its windows, and the others nothing', async () => {
    harness = await startHarness();
    const slow = await harness.connect();
    const channel = await exec(slow, 'flood');
    channel.pause();
    await until(() => harness.gateway.device.channels.length === 1, 'the program runs');
    const flood = harness.gateway.device.channels[0];
    // A device keeps to its credit: it sends again what was taken, and no more than the credit beyond.
    const credit = MiB;
    let sent = 0;
    const send = (): void => {
      while (flood !== undefined && sent - flood.consumedBytes < credit && sent < 64 * MiB) {
        sent += 32_768;
        flood.events.data('out', Buffer.alloc(32_768));
      }
    };
    if (flood !== undefined) flood.onConsumed = () => setImmediate(send);
    send();
    const other = await harness.connect();
    harness.gateway.device.onOpen = (opened) => opened.exit(0);
    await exec(other, 'x');
    expect(sent).toBeLessThan(8 * MiB);
    slow.destroy();
    await until(() => flood?.calls.includes('close') === true, 'the flood is hung up');
  });
});
