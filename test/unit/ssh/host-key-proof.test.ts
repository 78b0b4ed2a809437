import ssh2, { type Client } from 'ssh2';
import { afterEach, describe, expect, it } from 'vitest';
import { makePrivateKey } from '../../../src/ssh/host-key.js';
import { PROOF_REQUEST, proveHostKeys } from '../../../src/ssh/host-key-proof.js';
import { loadSsh2, type HostKey } from '../../../src/ssh/ssh2-core.js';
import { pack, WireReader } from '../../../src/ssh/wire.js';
import { startHarness, type Harness } from './harness.js';

const PRIVATE = [makePrivateKey('ed25519'), makePrivateKey('ecdsa'), ssh2.utils.generateKeyPairSync('rsa', { bits: 2048 }).private];
const core = loadSsh2();
const KEYS = PRIVATE.map((text) => core.parsePrivateKey(text) as HostKey);
const SESSION = Buffer.alloc(32, 7);

let harness: Harness | undefined;
afterEach(async () => {
  await harness?.close();
  harness = undefined;
});

const prove = (blobs: Buffer[], negotiated = 'ssh-ed25519') => proveHostKeys(
  new WireReader(pack(...blobs.map((string) => ({ string })))),
  { keys: KEYS, sessionId: SESSION, negotiated, sign: (key, data, hash) => core.sign(key, data, hash) },
);

const algorithmOf = (proof: Buffer | undefined): string => new WireReader(new WireReader(proof ?? Buffer.alloc(0)).bytes('proof')).latin1('algorithm');

/** ssh2's client asks for proofs of keys that it is told of, and tells those that held. */
const proven = (client: Client) => new Promise<string[]>((resolve) => {
  (client as unknown as { on(event: 'hostkeys', listener: (keys: { type: string }[]) => void): void }).on('hostkeys', (keys) => resolve(keys.map(({ type }) => type)));
});

describe('the server’s host keys', () => {
  it.each(['ssh-ed25519', 'rsa-sha2-512', 'rsa-sha2-256'])('are all told and proven to a client that knows one of them (%s)', async (algorithm) => {
    harness = await startHarness({ hostKeys: PRIVATE });
    const client = new ssh2.Client();
    const keys = proven(client);
    client.connect({ host: '127.0.0.1', port: harness.server.port, username: 'tester', password: 'right', algorithms: { serverHostKey: [algorithm] } as never });
    expect(await keys).toEqual(['ssh-ed25519', 'ecdsa-sha2-nistp256', 'ssh-rsa']);
    client.destroy();
  });

  it('are told with the one that is to replace another of its type', async () => {
    harness = await startHarness({ hostKeys: [makePrivateKey('ed25519'), makePrivateKey('ed25519')] });
    const client = new ssh2.Client();
    const keys = proven(client);
    client.connect({ host: '127.0.0.1', port: harness.server.port, username: 'tester', password: 'right' });
    expect(await keys).toEqual(['ssh-ed25519', 'ssh-ed25519']);
    client.destroy();
  });

  it('are signed for this connection alone, in the form that OpenSSH checks', () => {
    const [ed25519, , rsa] = KEYS.map((key) => key.getPublicSSH());
    const reader = new WireReader(prove([rsa ?? SESSION, ed25519 ?? SESSION], 'rsa-sha2-256') ?? Buffer.alloc(0));
    const first = new WireReader(reader.bytes('proof'));
    expect(first.latin1('algorithm')).toBe('rsa-sha2-256');
    expect(algorithmOf(prove([rsa ?? SESSION], 'ssh-rsa'))).toBe('ssh-rsa');
    expect(algorithmOf(prove([rsa ?? SESSION], 'ssh-ed25519'))).toBe('rsa-sha2-512');
    const second = new WireReader(reader.bytes('proof'));
    expect(second.latin1('algorithm')).toBe('ssh-ed25519');
    const data = pack({ string: PROOF_REQUEST }, { string: SESSION }, { string: ed25519 ?? SESSION });
    const key = ssh2.utils.parseKey(PRIVATE[0] ?? '') as ssh2.ParsedKey;
    expect(key.verify(data, second.bytes('signature'))).toBe(true);
    expect(reader.left).toBe(0);
  });

  it('of others are not signed for, nor one more often than there are keys', () => {
    const [ed25519 = SESSION] = KEYS.map((key) => key.getPublicSSH());
    const other = core.parsePrivateKey(makePrivateKey('ed25519')) as HostKey;
    expect(prove([ed25519, other.getPublicSSH()])).toBeUndefined();
    expect(prove([])).toBeUndefined();
    expect(prove([ed25519, ed25519, ed25519])).toBeDefined();
    expect(prove([ed25519, ed25519, ed25519, ed25519])).toBeUndefined();
    expect(() => proveHostKeys(new WireReader(Buffer.from([0, 0, 0, 9, 1])), { keys: KEYS, sessionId: SESSION, negotiated: '', sign: () => undefined })).toThrow();
  });
});
