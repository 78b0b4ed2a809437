/** Lists of algorithms as the operator wants them, asked of by OpenSSH's ssh. */
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { connect, createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import ssh2 from 'ssh2';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { silentLog, type Log } from '../../src/base/log.js';
import { DEFAULT_ALGORITHMS, WEAK, type AlgorithmLists } from '../../src/ssh/algorithms.js';
import { USER, startLocalSsh, type LocalSsh } from '../support/local-ssh.js';

const KINDS = Object.keys(WEAK) as (keyof AlgorithmLists)[];
const everything = Object.fromEntries(KINDS.map((kind) => [kind, [...DEFAULT_ALGORITHMS[kind], ...WEAK[kind]]])) as unknown as AlgorithmLists;
const DATA = randomBytes(300_000);

/** A log of which the warnings are kept. */
function warnings(): { log: Log; warned: unknown[] } {
  const warned: unknown[] = [];
  const log = Object.create(silentLog(), { warn: { value: (...args: unknown[]) => warned.push(args) } }) as Log;
  return { log, warned };
}

describe('weak algorithms that were asked for', () => {
  const { log, warned } = warnings();
  let local: LocalSsh;
  beforeAll(async () => { local = await startLocalSsh({ log, policy: { algorithms: everything } }); });
  afterAll(() => local.close());

  it.each([
    ...WEAK.kex.map((name) => [name, ['-o', `KexAlgorithms=${name}`]] as const),
    ...WEAK.ciphers.map((name) => [name, ['-c', name, '-m', 'hmac-sha1']] as const),
    ...WEAK.macs.map((name) => [name, ['-c', 'aes128-ctr', '-m', name]] as const),
  ])('%s carries bytes, and still does after new keys', async (name, options) => {
    const ran = await local.ssh(['-v', ...options, '-o', 'RekeyLimit=64k', 'cat'], DATA);
    expect(ran.stderr).toContain(name);
    expect(ran.stderr.match(/SSH2_MSG_NEWKEYS received/g)?.length).toBeGreaterThan(1);
    expect(ran.stdout.equals(DATA)).toBe(true);
  });

  it('are warned of once, and only those that can come to be used', () => {
    // No host key is RSA's.
    const { hostKeys: _, ...weak } = WEAK;
    expect(warned).toEqual([[weak, 'weak algorithms are allowed, as asked']]);
  });
});

describe('what is offered by default', () => {
  let local: LocalSsh;
  beforeAll(async () => { local = await startLocalSsh(); });
  afterAll(() => local.close());
  const protections = [
    ...DEFAULT_ALGORITHMS.macs.map((name) => [name, ['-c', 'aes128-ctr', '-m', name]] as const),
    ...DEFAULT_ALGORITHMS.ciphers.filter((name) => !name.endsWith('-ctr')).map((name) => [name, ['-c', name]] as const),
  ];

  it.each(protections)('%s carries bytes, and still does after new keys', async (name, options) => {
    const ran = await local.ssh(['-v', ...options, '-o', 'RekeyLimit=64k', 'cat'], DATA);
    expect(ran.stderr).toContain(name);
    expect(ran.stderr.match(/SSH2_MSG_NEWKEYS received/g)?.length).toBeGreaterThan(1);
    expect(ran.stdout.equals(DATA)).toBe(true);
  });

  it.each(protections)('%s ends the connection at a changed byte, and nothing of its packet arrives', async (_name, options) => {
    const port = await changing(local.server.port, 200_000);
    const there = ['-p', String(port.number), '-o', `HostKeyAlias=[127.0.0.1]:${local.server.port}`];
    // The first of two ports counts.
    const ran = await local.run('ssh', [...there, ...local.options, ...options, '-l', USER, '127.0.0.1', 'cat'], DATA);
    port.close();
    expect(ran.code).toBe(255);
    expect(ran.stdout.length).toBeLessThan(200_000);
    expect(ran.stdout.equals(DATA.subarray(0, ran.stdout.length))).toBe(true);
  });
});

/** A way to the server on which one bit of what the client sends is turned over. */
async function changing(to: number, at: number): Promise<{ number: number; close(): void }> {
  const server = createServer((client) => {
    const onward = connect(to, '127.0.0.1');
    let passed = 0;
    client.on('data', (bytes: Buffer) => {
      if (passed <= at && at < passed + bytes.length) bytes[at - passed] = (bytes[at - passed] ?? 0) ^ 0x10;
      passed += bytes.length;
      onward.write(bytes);
    });
    onward.pipe(client);
    for (const [one, other] of [[client, onward], [onward, client]] as const) {
      one.on('error', () => {});
      one.on('close', () => other.destroy());
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { number: (server.address() as AddressInfo).port, close: () => server.close() };
}

describe('RSA with SHA-1', () => {
  const hostKey = ssh2.utils.generateKeyPairSync('rsa', { bits: 2048 });
  const options = ['-o', 'HostKeyAlgorithms=ssh-rsa', '-o', 'PubkeyAcceptedAlgorithms=ssh-rsa'];

  async function withRsa(algorithms: AlgorithmLists): Promise<LocalSsh> {
    const local = await startLocalSsh({ hostKeys: [hostKey.private], policy: { algorithms } });
    const key = join(local.folder, 'rsa');
    await local.run('ssh-keygen', ['-q', '-t', 'rsa', '-b', '2048', '-N', '', '-f', key]);
    local.gateway.keys.add(readFileSync(`${key}.pub`, 'utf8').split(' ')[1] ?? '');
    return local;
  }
  const login = (local: LocalSsh, own: readonly string[]) => {
    const known = `KnownHostsCommand=/bin/echo [127.0.0.1]:${local.server.port} ${hostKey.public}`;
    return local.run('ssh', ['-F', 'none', '-v', '-o', `Port=${local.server.port}`, '-i', join(local.folder, 'rsa'), '-o', 'IdentitiesOnly=yes', '-o', 'BatchMode=yes', '-o', 'UserKnownHostsFile=none', '-o', known, ...own, '-l', 'tester', '127.0.0.1', 'echo in']);
  };

  it('signs for the host and for the user where both are asked for', async () => {
    const local = await withRsa(everything);
    const ran = await login(local, options);
    expect(ran.stderr).toContain('host key algorithm: ssh-rsa');
    expect(ran.stdout.toString()).toBe('in\n');
    await local.close();
  });

  it('signs for nobody else', async () => {
    const local = await withRsa({ ...everything, publicKeys: DEFAULT_ALGORITHMS.publicKeys });
    const ran = await login(local, options);
    expect(ran.code).toBe(255);
    expect(ran.stderr).toContain('Permission denied');
    expect((await login(local, ['-o', 'HostKeyAlgorithms=ssh-rsa'])).stdout.toString()).toBe('in\n');
    await local.close();
  });
});

describe('the host key', () => {
  it('that is told is one that is served', async () => {
    const local = await startLocalSsh({ policy: { algorithms: { ...DEFAULT_ALGORITHMS, hostKeys: ['ecdsa-sha2-nistp256'] } } });
    expect(local.server.hostKey.publicKey).toMatch(/^ecdsa-sha2-nistp256 /);
    // The client knows that one alone, and is strict.
    expect((await local.ssh(['echo in'])).stdout.toString()).toBe('in\n');
    const blob = Buffer.from(local.server.hostKey.publicKey.split(' ')[1] ?? '', 'base64');
    expect(local.server.hostKey.fingerprint).toBe(`SHA256:${createHash('sha256').update(blob).digest('base64').replace('=', '')}`);
    await local.close();
  });

  it('has to be of a kind that is allowed', async () => {
    await expect(startLocalSsh({ policy: { algorithms: { ...DEFAULT_ALGORITHMS, hostKeys: ['rsa-sha2-512'] } } })).rejects.toMatchObject({
      code: 'USAGE', message: 'No host key can sign by rsa-sha2-512: name one that can with --host-key.',
    });
  });
});

it('what was taken from the lists is not agreed to, and clients are told what signatures are', async () => {
  const local = await startLocalSsh({ policy: { algorithms: { ...DEFAULT_ALGORITHMS, ciphers: ['aes256-ctr'], kex: ['curve25519-sha256'], macs: ['hmac-sha2-512'], publicKeys: ['ssh-ed25519'] } } });
  const ran = await local.ssh(['-v', 'echo in']);
  expect(ran.stdout.toString()).toBe('in\n');
  expect(ran.stderr).toContain('kex: algorithm: curve25519-sha256\r\n');
  expect(ran.stderr).toContain('cipher: aes256-ctr MAC: hmac-sha2-512 ');
  expect(ran.stderr).toMatch(/server-sig-algs=<ssh-ed25519>/);
  const refused = await local.ssh(['-c', 'aes128-ctr', 'echo in']);
  expect(refused.code).toBe(255);
  expect(refused.stderr).toContain('no matching cipher found');
  await local.close();
});
