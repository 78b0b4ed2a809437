import { afterEach, describe, expect, it } from 'vitest';
import { chooseGroup, GROUP_EXCHANGE_KEX } from '../../../src/ssh/group-exchange.js';
import { pack } from '../../../src/ssh/wire.js';
import { drained, run, startHarness, type Harness } from './harness.js';

/** An unencrypted packet (RFC 4253 section 6). */
function framed(payload: Buffer): Buffer {
  const padding = 16 - ((5 + payload.length) % 8);
  return Buffer.concat([pack({ uint32: 1 + payload.length + padding }, { byte: padding }), payload, Buffer.alloc(padding)]);
}

describe('the group of an exchange', () => {
  it.each([
    [2048, 3072, 8192, 'modp15'], [2048, 2049, 8192, 'modp15'], [1024, 1024, 8192, 'modp14'], [2048, 7680, 8192, 'modp18'],
    [2048, 8192, 16_384, 'modp18'], [2048, 9000, 9999, 'modp18'], [2048, 4000, 4095, 'modp15'],
    // Nothing between, too weak, and bounds that contradict each other.
    [2049, 2060, 3000, undefined], [512, 1024, 1024, undefined], [4096, 3072, 8192, undefined], [2048, 4096, 3072, undefined],
  ])('of %i, better %i, at most %i bits is %s', (min, preferred, max, group) => {
    expect(chooseGroup(min, preferred, max)).toBe(group);
  });
});

describe('a client that wants a group exchange', () => {
  let harness: Harness;
  afterEach(() => harness.close());

  it('gets its keys, and new ones later', async () => {
    harness = await startHarness({ rekeyBytes: 100_000 });
    harness.gateway.device.onOpen = (channel) => {
      channel.events.opened();
      channel.events.data('out', Buffer.alloc(1000, 'x'));
      channel.exit(0);
    };
    const client = await harness.connect({ algorithms: { kex: [GROUP_EXCHANGE_KEX], cipher: ['aes128-ctr'] } as never });
    const negotiated: string[] = [];
    client.on('handshake', ({ kex }) => negotiated.push(kex));
    for (let at = 0; negotiated.length < 2 && at < 1000; at += 1) expect((await run(client, 'x')).out).toHaveLength(1000);
    expect(negotiated.slice(0, 2)).toEqual([GROUP_EXCHANGE_KEX, GROUP_EXCHANGE_KEX]);
  });

  it('is cut off when it asks for a size that there is not, and others are not', async () => {
    harness = await startHarness();
    const socket = await harness.socket();
    const all = drained(socket);
    const lists = [GROUP_EXCHANGE_KEX, 'ssh-ed25519', 'aes128-ctr', 'aes128-ctr', 'hmac-sha2-256', 'hmac-sha2-256', 'none', 'none', '', ''];
    const kexInit = pack({ byte: 20 }, { raw: Buffer.alloc(16, 1) }, ...lists.map((string) => ({ string })), { bool: false }, { uint32: 0 });
    const request = pack({ byte: 34 }, { uint32: 512 }, { uint32: 512 }, { uint32: 1024 });
    socket.write(Buffer.concat([Buffer.from('SSH-2.0-x\r\n'), framed(kexInit), framed(request)]));
    expect(await all).toContain('wants a group of 512 to 1024 bits');
    await harness.connect();
  });
});
