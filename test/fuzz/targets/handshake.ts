import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { LineBudget, silentLog } from '../../../src/base/log.js';
import { CIPHERS, COMPRESSION, HOST_KEY_ALGORITHMS, KEX_ALGORITHMS, MACS, STRICT_KEX } from '../../../src/ssh/algorithms.js';
import { FailurePace } from '../../../src/ssh/auth.js';
import { Connection } from '../../../src/ssh/connection.js';
import { makePrivateKey } from '../../../src/ssh/host-key.js';
import { DEFAULT_POLICY } from '../../../src/ssh/policy.js';
import { loadSsh2, type HostKey } from '../../../src/ssh/ssh2-core.js';
import { pack } from '../../../src/ssh/wire.js';
import { FakeGateway } from '../../unit/ssh/fake-device.js';
import { must, type Target } from '../engine.js';

const core = loadSsh2();
await core.ready;
const key = core.parsePrivateKey(makePrivateKey('ed25519')) as HostKey;
const offer = core.createOffer({ kex: [...KEX_ALGORITHMS, STRICT_KEX], serverHostKey: HOST_KEY_ALGORITHMS['ssh-ed25519'] ?? [], cipher: CIPHERS, mac: MACS, compress: COMPRESSION });
const IDENT = Buffer.from('SSH-2.0-OpenSSH_9.9\r\n');

/** The client's end of a connection without a network. */
class FakeSocket extends Duplex {
  remoteAddress = '127.0.0.1';
  remotePort = 1;
  localAddress = '127.0.0.1';
  localPort = 2;
  sent = 0;

  setNoDelay(): this { return this; }
  setKeepAlive(): this { return this; }
  override _read(): void { /* Pushed by the test. */ }
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.sent += chunk.length;
    done();
  }
}

/** One unencrypted packet (RFC 4253 section 6). */
function packet(payload: Buffer): Buffer {
  const padding = 16 - ((payload.length + 5) % 8);
  const head = Buffer.alloc(5);
  head.writeUInt32BE(1 + payload.length + padding, 0);
  head[4] = padding;
  return Buffer.concat([head, payload, Buffer.alloc(padding)]);
}

function kexInit(kex: string, follows = false): Buffer {
  const lists = [kex, 'ssh-ed25519', 'aes128-ctr', 'aes128-ctr', 'hmac-sha2-256', 'hmac-sha2-256', 'none', 'none', '', ''];
  return packet(pack({ byte: 20 }, { raw: Buffer.alloc(16, 1) }, ...lists.map((string) => ({ string })), { bool: follows }, { uint32: 0 }));
}

const POINT = Buffer.alloc(32, 0);
POINT[0] = 9;
const INIT = packet(pack({ byte: 30 }, { string: POINT }));
const NEWKEYS = packet(pack({ byte: 21 }));

/** Bytes of a stranger before any key is agreed on: the connection ends in good order, and nobody is let in. */
export const handshake: Target = {
  name: 'handshake',
  watch: /(src\/ssh\/(transport|connection|messages|wire)|ssh2\/lib\/protocol\/(Protocol|kex|crypto|utils|handlers))/,
  seeds: [
    IDENT,
    Buffer.concat([IDENT, kexInit('curve25519-sha256')]),
    Buffer.concat([IDENT, kexInit('curve25519-sha256,kex-strict-c-v00@openssh.com,ext-info-c'), INIT, NEWKEYS]),
    Buffer.concat([IDENT, kexInit('diffie-hellman-group14-sha256', true), packet(pack({ byte: 30 }, { string: Buffer.from([0, 0xff, 1]) })), NEWKEYS]),
    Buffer.concat([IDENT, packet(pack({ byte: 2 }, { string: 'ignored' })), kexInit('ecdh-sha2-nistp256'), packet(pack({ byte: 1 }, { uint32: 11 }, { string: 'bye' }, { string: '' }))]),
    Buffer.concat([IDENT, kexInit('mlkem768x25519-sha256'), packet(pack({ byte: 30 }, { string: Buffer.alloc(1216, 3) }))]),
  ],
  words: [IDENT, INIT, NEWKEYS, kexInit('curve25519-sha256'), packet(pack({ byte: 50 }, { string: 'root' }, { string: 'ssh-connection' }, { string: 'none' })), packet(pack({ byte: 5 }, { string: 'ssh-userauth' })), packet(pack({ byte: 90 }, { string: 'session' }, { uint32: 0 }, { uint32: 1 }, { uint32: 999 })), packet(Buffer.of(3)), Buffer.from([0, 0, 0, 12, 10]), Buffer.from([0xff, 0xff, 0xff, 0xff])],
  async run(input) {
    const socket = new FakeSocket();
    const gateway = new FakeGateway();
    let closed = 0;
    const connection = new Connection({
      socket: socket as unknown as Socket, core, hostKeys: { 'ssh-ed25519': key }, allHostKeys: [], offer, ident: 'test', gateway,
      policy: DEFAULT_POLICY, pace: new FailurePace(0), loginGraceMs: 1_000_000, rekeyBytes: 1e9, rekeyMs: 1e9, log: silentLog(), strangerLines: new LineBudget(1, 1), clientLines: new LineBudget(1, 1),
      settled: () => undefined,
      closed: () => { closed += 1; },
    });
    const step = 1 + (input.at(-1) ?? 0);
    for (let at = 0; at < input.length; at += step) socket.push(input.subarray(at, at + step));
    socket.push(null);
    for (let turn = 0; closed === 0 && turn < 100; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    must(closed === 1, `the connection was closed ${String(closed)} times`);
    must(connection.isIdle && gateway.asked.length === 0, 'somebody was let in without keys');
    must(socket.sent < 64 * 1024, `${String(socket.sent)} bytes were answered`);
    socket.destroy();
  },
};
