/** A client whose connection ends with packets behind the end: ssh2 reads all that one segment holds in one loop. */
import ssh2, { type Client } from 'ssh2';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import type { SshServerOptions } from '../../../src/ssh/server.js';
import { HYBRIDS } from '../../../src/ssh/hybrid-kex.js';
import { pack } from '../../../src/ssh/wire.js';
import { closed, sendTogether, startHarness, stillServes, until, type Harness } from './harness.js';

let harness: Harness;
async function start(options: Partial<SshServerOptions> = {}): Promise<Harness> {
  harness = await startHarness(options);
  return harness;
}
afterEach(() => harness.close());

// The compiled ciphers crash the whole process when they are used after they were freed.
describe.each([true, false])('in one segment with what follows (compiled ciphers: %s)', (nativeCiphers) => {
  const ciphers = ['chacha20-poly1305@openssh.com', 'aes128-ctr', 'aes128-gcm@openssh.com'] as const;

  it.each(ciphers)('is not heard any more after its DISCONNECT (%s)', async (cipher) => {
    await start({ nativeCiphers });
    const client = await harness.connect({ algorithms: { cipher: [cipher] } });
    const gone = closed(client);
    sendTogether(client, [
      pack({ byte: 1 }, { uint32: 11 }, { string: 'bye' }, { string: '' }),
      pack({ byte: 90 }, { string: 'direct-tcpip' }, { uint32: 0 }, { uint32: 1 << 20 }, { uint32: 32_768 }, { string: 'inside' }, { uint32: 80 }, { string: '' }, { uint32: 0 }),
      pack({ byte: 2 }, { string: 'ignored' }),
    ]);
    await gone;
    await until(() => harness.server.connections === 0, 'the connection is gone');
    expect(harness.gateway.device.channels).toEqual([]);
    await stillServes(harness);
  });

  it.each(ciphers)('before it is let in (%s)', async (cipher) => {
    await start({ nativeCiphers });
    const client: Client = new ssh2.Client();
    const gone = new Promise<void>((resolve) => client.once('close', () => resolve()));
    client.on('error', () => {});
    client.connect({
      host: '127.0.0.1', port: harness.server.port, username: 'tester', algorithms: { cipher: [cipher] },
      authHandler: () => {
        sendTogether(client, [pack({ byte: 1 }, { uint32: 11 }, { string: 'bye' }, { string: '' }), pack({ byte: 2 }, { string: 'ignored' }), pack({ byte: 2 }, { string: 'ignored' })]);
        return false;
      },
    });
    await gone;
    await stillServes(harness);
  });

  it.each(['curve25519-sha256', 'ecdh-sha2-nistp256', 'diffie-hellman-group14-sha256', ...HYBRIDS.keys()])('is cut off when new keys cannot be made of what it sends (%s)', async (kex) => {
    for (const cipher of ciphers) {
      await start({ nativeCiphers });
      const client = await harness.connect({ algorithms: { cipher: [cipher], hmac: ['hmac-sha2-256'] } });
      const gone = closed(client);
      const lists = [kex, 'ssh-ed25519', cipher, cipher, 'hmac-sha2-256', 'hmac-sha2-256', 'none', 'none', '', ''];
      sendTogether(client, [
        pack({ byte: 20 }, { raw: Buffer.alloc(16, 1) }, ...lists.map((string) => ({ string })), { bool: false }, { uint32: 0 }),
        pack({ byte: 30 }, { string: Buffer.alloc(32) }),
        pack({ byte: 2 }, { string: 'ignored' }),
        pack({ byte: 90 }, { string: 'session' }, { uint32: 0 }, { uint32: 1 << 20 }, { uint32: 32_768 }),
      ]);
      await gone;
      await stillServes(harness);
      await harness.close();
    }
  });
});

it('sends random messages of every kind in one segment', { timeout: 60_000 }, async () => {
  await start({ maxUnauthenticated: 1000 });
  const message = fc.tuple(fc.constantFrom(1, 2, 3, 4, 5, 6, 7, 20, 21, 30, 31, 32, 34, 50, 80, 90, 93, 94, 96, 97, 98, 200), fc.uint8Array({ maxLength: 60 }));
  await fc.assert(fc.asyncProperty(fc.array(message, { minLength: 2, maxLength: 6 }), fc.constantFrom('chacha20-poly1305@openssh.com', 'aes128-ctr', 'aes128-gcm@openssh.com'), async (messages, cipher) => {
    const client = await harness.connect({ algorithms: { cipher: [cipher] } });
    const gone = closed(client);
    sendTogether(client, messages.map(([type, rest]) => pack({ byte: type }, { uint32: 0 }, { raw: Buffer.from(rest) })));
    client.end();
    await gone;
  }), { numRuns: 400 });
  await until(() => harness.server.connections === 0 && harness.gateway.leases.size === 0, 'nothing is left');
  await stillServes(harness);
});
