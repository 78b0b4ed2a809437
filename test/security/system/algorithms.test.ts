/** What the server agrees to, asked by OpenSSH, paramiko and a bare socket. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CIPHERS, HOST_KEY_ALGORITHMS, KEX_ALGORITHMS, MACS, SIGNATURE_ALGORITHMS } from '../../../src/ssh/algorithms.js';
import { pack, WireReader } from '../../../src/ssh/wire.js';
import { run } from '../../support/program.js';
import { Scope } from '../../support/scope.js';
import { startHarness, type Harness } from '../../unit/ssh/harness.js';

const scope = new Scope();
let harness: Harness;
beforeAll(async () => { harness = await startHarness(); });
afterAll(async () => {
  await harness.close();
  await scope.end();
});

const WEAK = /sha1(?!\d)|md5|cbc|3des|arcfour|rc4|blowfish|cast128|group1-|dss|umac-64|^none$|hmac-ripemd/;

/** One unencrypted packet (RFC 4253 section 6). */
function packet(payload: Buffer): Buffer {
  const padding = 16 - ((payload.length + 5) % 8);
  const head = Buffer.alloc(5);
  head.writeUInt32BE(1 + payload.length + padding, 0);
  head[4] = padding;
  return Buffer.concat([head, payload, Buffer.alloc(padding)]);
}

function kexInit(...kex: string[]): Buffer {
  const lists = [kex.join(','), 'ssh-ed25519', 'aes128-ctr', 'aes128-ctr', 'hmac-sha2-256', 'hmac-sha2-256', 'none', 'none', '', ''];
  return packet(pack({ byte: 20 }, { raw: Buffer.alloc(16, 1) }, ...lists.map((string) => ({ string })), { bool: false }, { uint32: 0 }));
}

/** Connects without any library and sends these packets; resolves with what came until the end, or until it is quiet. */
async function bare(...packets: Buffer[]): Promise<{ payloads: Buffer[]; ended: boolean }> {
  const socket = await harness.socket();
  const chunks: Buffer[] = [];
  let ended = false;
  const quiet = new Promise<void>((resolve) => {
    let timer = setTimeout(resolve, 400);
    socket.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      clearTimeout(timer);
      timer = setTimeout(resolve, 400);
    });
    socket.on('close', () => {
      ended = true;
      clearTimeout(timer);
      resolve();
    });
  });
  socket.write(Buffer.concat([Buffer.from('SSH-2.0-Test\r\n'), ...packets]));
  await quiet;
  socket.destroy();
  let rest = Buffer.concat(chunks);
  rest = rest.subarray(rest.indexOf(0x0a) + 1);
  const payloads: Buffer[] = [];
  while (rest.length >= 5 && rest.length >= 4 + rest.readUInt32BE(0)) {
    const length = rest.readUInt32BE(0);
    payloads.push(rest.subarray(5, 4 + length - (rest[4] ?? 0)));
    rest = rest.subarray(4 + length);
  }
  return { payloads, ended };
}

function offered(payload: Buffer): string[][] {
  const reader = new WireReader(payload, 17);
  return Array.from({ length: 10 }, () => reader.latin1('name list').split(','));
}

async function ssh(...options: string[]): Promise<{ status: number | null; text: string }> {
  const args = ['-F', 'none', '-v', '-o', 'BatchMode=yes', '-o', 'StrictHostKeyChecking=no', '-o', 'UserKnownHostsFile=/dev/null', ...options, '-p', String(harness.server.port), 'tester@127.0.0.1', 'true'];
  const { status, stderr } = await run('ssh', args, { env: { SSH_AUTH_SOCK: undefined } });
  return { status, text: stderr.toString() };
}

/** What this machine's OpenSSH knows of a kind and the server must not take. */
async function notOurs(query: string, ours: readonly string[]): Promise<string[]> {
  const { stdout } = await run('ssh', ['-Q', query]);
  return stdout.toString().split('\n').filter((name) => name !== '' && !ours.includes(name));
}

describe('the key exchange', () => {
  it('offers nothing weak, and strict mode', async () => {
    const { payloads } = await bare();
    const lists = offered(payloads[0] ?? Buffer.alloc(0));
    const [kex = [], hostKey = [], , cipher = [], , mac = []] = lists;
    expect(kex).toEqual([...KEX_ALGORITHMS, 'kex-strict-s-v00@openssh.com']);
    expect(hostKey).toEqual(['ssh-ed25519']);
    expect([lists[2], lists[4], lists[6]]).toEqual([cipher, mac, ['none', 'zlib@openssh.com']]);
    for (const name of [...kex, ...hostKey, ...cipher, ...mac]) expect(name).not.toMatch(WEAK);
    for (const algorithms of Object.values(HOST_KEY_ALGORITHMS)) for (const name of algorithms) expect(name).not.toMatch(/^ssh-(rsa|dss)$/);
    for (const name of SIGNATURE_ALGORITHMS.keys()) expect(name).not.toMatch(/^ssh-(rsa|dss)$/);
  });

  it.each([
    ['kex', 'KexAlgorithms', KEX_ALGORITHMS],
    ['cipher', 'Ciphers', CIPHERS],
    ['mac', 'MACs', MACS],
    ['HostKeyAlgorithms', 'HostKeyAlgorithms', ['ssh-ed25519']],
  ] as const)('agrees to no %s of OpenSSH’s that is not on our list', async (query, option, ours) => {
    const others = await notOurs(query, ours);
    expect(others.length).toBeGreaterThan(2);
    const base = option === 'MACs' ? ['-o', 'Ciphers=aes128-ctr'] : [];
    for (const name of others) {
      const { status, text } = await ssh(...base, '-o', `${option}=${name}`);
      // The client itself may refuse to use it; what counts is that no session comes about.
      expect(status, name).toBe(255);
      expect(text, name).not.toContain('SSH2_MSG_NEWKEYS received');
    }
    // An older client lacks our first choices.
    const known = (await notOurs(query, [])).find((name) => (ours as readonly string[]).includes(name)) ?? '';
    const { text } = await ssh(...base, '-o', `${option}=${known}`);
    expect(text).toContain('SSH2_MSG_NEWKEYS received');
  });

  it('agrees to nothing weak that paramiko knows', async () => {
    const script = join(await scope.tempDir('paramiko'), 'weak.py');
    await writeFile(script, [
      'import paramiko, socket, sys, logging',
      'logging.disable(logging.CRITICAL)',
      'for kind, names in (("_preferred_kex", paramiko.Transport._kex_info), ("_preferred_ciphers", paramiko.Transport._cipher_info), ("_preferred_macs", paramiko.Transport._mac_info)):',
      '    for name in names:',
      '        t = paramiko.Transport(socket.create_connection(("127.0.0.1", int(sys.argv[1]))))',
      '        if kind == "_preferred_macs": t._preferred_ciphers = ("aes128-ctr",)',
      '        setattr(t, kind, (name,))',
      '        try:',
      '            t.start_client(timeout=10)',
      '            print(kind, name)',
      '        except paramiko.SSHException: pass',
      '        t.close()',
    ].join('\n'));
    const { stdout } = await run('/usr/bin/python3', [script, String(harness.server.port)]);
    const agreed = stdout.toString().split('\n').filter(Boolean).map((line) => line.split(' ')[1] ?? '');
    expect(agreed.length).toBeGreaterThan(3);
    for (const name of agreed) expect([...KEX_ALGORITHMS, ...CIPHERS, ...MACS]).toContain(name);
  });

  it('is strict with OpenSSH', async () => {
    expect((await ssh('-vvv')).text).toContain('will use strict KEX ordering');
  });

  it('in strict mode ends at a packet put before or between those of the exchange', async () => {
    const ignore = packet(pack({ byte: 2 }, { string: 'put in' }));
    const strict = kexInit('curve25519-sha256', 'kex-strict-c-v00@openssh.com');
    expect((await bare(ignore, strict)).ended).toBe(true);
    expect((await bare(strict, ignore)).ended).toBe(true);
    // The same from a client without strict mode is legal (RFC 4253 section 11.2).
    expect((await bare(kexInit('curve25519-sha256'), ignore)).ended).toBe(false);
  });

  it('takes no invalid keys: of zeros, of the wrong length, or none', async () => {
    for (const key of [Buffer.alloc(32), Buffer.alloc(31, 9), Buffer.alloc(0), Buffer.alloc(33, 9)]) {
      const { payloads, ended } = await bare(kexInit('curve25519-sha256'), packet(pack({ byte: 30 }, { string: key })));
      expect(ended).toBe(true);
      // 31: the server's half of the exchange, which must not have been sent.
      expect(payloads.map((payload) => payload[0])).not.toContain(31);
    }
    for (const key of [Buffer.of(0), Buffer.of(1), Buffer.alloc(0)]) {
      const { payloads } = await bare(kexInit('diffie-hellman-group14-sha256'), packet(pack({ byte: 30 }, { string: key })));
      expect(payloads.map((payload) => payload[0])).not.toContain(31);
    }
  });
});
