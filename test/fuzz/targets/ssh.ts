import { Fault } from '../../../src/base/errors.js';
import { LineBudget, silentLog } from '../../../src/base/log.js';
import type { Device } from '../../../src/mux/device.js';
import { Authentication, FailurePace } from '../../../src/ssh/auth.js';
import { parseAuthorizedKeys } from '../../../src/ssh/authorized-keys.js';
import { readCertificate, signingKey } from '../../../src/ssh/certificate.js';
import { Channels } from '../../../src/ssh/channels.js';
import { DeferredDevice } from '../../../src/ssh/deferred-device.js';
import { RemoteForwards } from '../../../src/ssh/forward-remote.js';
import { GlobalRequests } from '../../../src/ssh/global-requests.js';
import { DEFAULT_POLICY } from '../../../src/ssh/policy.js';
import { readPtyRequest } from '../../../src/ssh/pty.js';
import { keyType, verifySignature } from '../../../src/ssh/public-key.js';
import { pack, WireReader } from '../../../src/ssh/wire.js';
import { FakeDevice, FakeGateway } from '../../unit/ssh/fake-device.js';
import { Choices, must, type Target } from '../engine.js';

/** Only faults of the protocol may be thrown at what a client sends. */
function allowed(run: () => void): boolean {
  try {
    run();
    return true;
  } catch (thrown) {
    must(thrown instanceof Fault && thrown.code === 'PROTOCOL', `thrown: ${String(thrown)}`);
    return false;
  }
}

const USER = { string: 'tester' };
const CONNECTION = { string: 'ssh-connection' };
const ED25519 = Buffer.concat([pack({ string: 'ssh-ed25519' }), pack({ string: Buffer.alloc(32, 9) })]);
const GOOD = pack({ byte: 50 }, USER, CONNECTION, { string: 'password' }, { bool: false }, { string: 'right' });
const AUTH_WORDS = [
  pack({ byte: 5 }, { string: 'ssh-userauth' }),
  pack({ byte: 50 }, USER, CONNECTION, { string: 'none' }),
  pack({ byte: 50 }, USER, CONNECTION, { string: 'password' }, { bool: false }, { string: 'wrong' }),
  pack({ byte: 50 }, USER, CONNECTION, { string: 'password' }, { bool: true }, { string: 'right' }, { string: 'new' }),
  pack({ byte: 50 }, USER, CONNECTION, { string: 'keyboard-interactive' }, { string: '' }, { string: '' }),
  pack({ byte: 61 }, { uint32: 1 }, { string: 'wrong' }),
  pack({ byte: 61 }, { uint32: 0 }),
  pack({ byte: 50 }, USER, CONNECTION, { string: 'publickey' }, { bool: false }, { string: 'ssh-ed25519' }, { string: ED25519 }),
  pack({ byte: 50 }, USER, CONNECTION, { string: 'publickey' }, { bool: true }, { string: 'ssh-ed25519' }, { string: ED25519 }, { string: pack({ string: 'ssh-ed25519' }, { string: Buffer.alloc(64) }) }),
  pack({ byte: 52 }),
  pack({ byte: 60 }),
];

function packets(input: Buffer): Buffer[] {
  const list: Buffer[] = [];
  const choices = new Choices(input);
  while (choices.left > 0) {
    const length = choices.uint(2);
    list.push(Buffer.from(Array.from({ length: Math.min(length, choices.left) }, () => choices.byte())));
  }
  return list;
}

function framed(list: readonly Buffer[]): Buffer {
  return Buffer.concat(list.map((packet) => Buffer.concat([Buffer.of(packet.length >>> 8, packet.length & 0xff), packet])));
}

/** Any authentication messages in any order never let anybody in who did not send the right password. */
export const auth: Target = {
  name: 'auth',
  watch: /src\/ssh\/(auth|wire|public-key|certificate)\./,
  seeds: [framed(AUTH_WORDS.slice(0, 4)), framed(AUTH_WORDS), framed([AUTH_WORDS[0] as Buffer, ...AUTH_WORDS.slice(4)]), framed([AUTH_WORDS[0] as Buffer, GOOD])],
  words: [...AUTH_WORDS.map((word) => framed([word])), framed([GOOD]), 'right', 'password', 'publickey', 'none', 'ssh-connection'],
  async run(input) {
    const gateway = new FakeGateway();
    gateway.key = { blob: ED25519.toString('base64'), credential: { user: 'tester', password: 'right' } };
    let successes = 0;
    let ended = false;
    const sent: Buffer[] = [];
    const authentication = new Authentication({
      gateway, policy: DEFAULT_POLICY, address: 'fuzz', log: silentLog(), lines: new LineBudget(1, 1), pace: new FailurePace(0),
      port: {
        sessionId: Buffer.alloc(32, 1),
        get isClosed() { return ended; },
        send: (payload) => { sent.push(payload); },
        sendAuthSuccess: () => { successes += 1; },
        disconnect: () => { ended = true; },
      },
      succeeded: () => { must(successes === 1, 'told of a success that was not sent'); },
    });
    for (const packet of packets(input)) {
      if (ended || packet.length === 0) break;
      const type = packet[0] ?? 0;
      if (type !== 5 && (type < 50 || type > 79)) continue;
      if (!allowed(() => authentication.packet(type, packet))) break;
      for (let turn = 0; authentication.working && turn < 50; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    }
    const right = gateway.asked.filter(({ password }) => password === 'right');
    if (successes > 0) {
      must(right.length === 1, 'let in without the right password');
      must(packets(input).some((packet) => packet.includes('right')), 'let in by a key without its signature');
    }
    must(sent.every((payload) => payload[0] !== 52), 'USERAUTH_SUCCESS was sent past the transport');
  },
};

const OPEN = pack({ byte: 90 }, { string: 'session' }, { uint32: 0 }, { uint32: 1000 }, { uint32: 1000 });
const CHANNEL_WORDS = [
  OPEN,
  pack({ byte: 90 }, { string: 'direct-tcpip' }, { uint32: 1 }, { uint32: 1000 }, { uint32: 1000 }, { string: 'h' }, { uint32: 80 }, { string: 'o' }, { uint32: 1 }),
  pack({ byte: 90 }, { string: 'direct-streamlocal@openssh.com' }, { uint32: 2 }, { uint32: 1000 }, { uint32: 1000 }, { string: '/s' }, { string: '' }, { uint32: 0 }),
  pack({ byte: 98 }, { uint32: 0 }, { string: 'pty-req' }, { bool: true }, { string: 'xterm' }, { uint32: 80 }, { uint32: 24 }, { uint32: 0 }, { uint32: 0 }, { string: Buffer.from('0100000003 00'.replace(' ', ''), 'hex') }),
  pack({ byte: 98 }, { uint32: 0 }, { string: 'env' }, { bool: false }, { string: 'LC_ALL' }, { string: 'C' }),
  pack({ byte: 98 }, { uint32: 0 }, { string: 'exec' }, { bool: true }, { string: 'ls' }),
  pack({ byte: 98 }, { uint32: 0 }, { string: 'shell' }, { bool: true }),
  pack({ byte: 98 }, { uint32: 0 }, { string: 'subsystem' }, { bool: true }, { string: 'sftp' }),
  pack({ byte: 98 }, { uint32: 0 }, { string: 'window-change' }, { bool: false }, { uint32: 80 }, { uint32: 24 }, { uint32: 0 }, { uint32: 0 }),
  pack({ byte: 98 }, { uint32: 0 }, { string: 'signal' }, { bool: false }, { string: 'INT' }),
  pack({ byte: 98 }, { uint32: 0 }, { string: 'eow@openssh.com' }, { bool: false }),
  pack({ byte: 98 }, { uint32: 0 }, { string: 'auth-agent-req@openssh.com' }, { bool: true }),
  pack({ byte: 93 }, { uint32: 0 }, { uint32: 100_000 }),
  pack({ byte: 94 }, { uint32: 0 }, { string: 'data' }),
  pack({ byte: 95 }, { uint32: 0 }, { uint32: 1 }, { string: 'data' }),
  pack({ byte: 96 }, { uint32: 0 }),
  pack({ byte: 97 }, { uint32: 0 }),
  pack({ byte: 91 }, { uint32: 0 }, { uint32: 7 }, { uint32: 1000 }, { uint32: 1000 }),
  pack({ byte: 92 }, { uint32: 0 }, { uint32: 2 }, { string: 'no' }, { string: '' }),
  pack({ byte: 80 }, { string: 'tcpip-forward' }, { bool: true }, { string: '' }, { uint32: 0 }),
  pack({ byte: 80 }, { string: 'cancel-tcpip-forward' }, { bool: true }, { string: '' }, { uint32: 0 }),
  pack({ byte: 80 }, { string: 'streamlocal-forward@openssh.com' }, { bool: true }, { string: '/s' }),
  pack({ byte: 80 }, { string: 'no-more-sessions@openssh.com' }, { bool: false }),
];

/** Any messages of an authenticated client, between any answers of a device: faults of the protocol at most. */
export const channels: Target = {
  name: 'channels',
  watch: /src\/ssh\//,
  seeds: [framed(CHANNEL_WORDS), framed([OPEN, ...CHANNEL_WORDS.slice(3, 6), ...CHANNEL_WORDS.slice(12, 17)]), framed([CHANNEL_WORDS[1] as Buffer, Buffer.of(0, 1), ...CHANNEL_WORDS.slice(12, 17)])],
  words: CHANNEL_WORDS.map((word) => framed([word])).concat(Array.from({ length: 12 }, (_, i) => framed([Buffer.of(0, i)]))),
  async run(input) {
    const device = new FakeDevice();
    const deferred = new DeferredDevice(Promise.resolve(device as Device));
    await Promise.resolve();
    let ended = false;
    let packetsSent = 0;
    let full = false;
    const port = {
      send: () => { packetsSent += 1; },
      canSend: () => !full,
      disconnect: () => { ended = true; },
    };
    const refused = (): void => undefined;
    const forwards = new RemoteForwards({ device: deferred, policy: DEFAULT_POLICY, refused, openChannel: (type, rest, handler) => all.openToClient(type, rest, handler) });
    const all = new Channels({
      port, device: deferred, policy: DEFAULT_POLICY, log: silentLog(), lines: new LineBudget(50, 2),
      earlier: () => requests.answered(),
      session: { device: deferred, policy: DEFAULT_POLICY, refused, connectionEnv: {}, requestAgent: () => forwards.requestAgent(), agentSocket: () => forwards.agentSocket(), started: () => undefined },
    });
    const requests: GlobalRequests = new GlobalRequests({ send: () => { packetsSent += 1; }, forwards, noMoreSessions: () => all.noMoreSessions(), proveHostKeys: () => undefined });
    const list = packets(input);
    for (const packet of list) {
      const type = packet[0] ?? 0;
      if (ended) break;
      if (type === 0) {
        full = (packet[1] ?? 0) % 11 === 10;
        answerOf(device, packet);
        all.writable();
        if ((packet[1] ?? 0) % 3 === 0) await Promise.resolve();
        continue;
      }
      if (type === 80) {
        const fine = allowed(() => {
          const reader = new WireReader(packet, 1);
          requests.handle(reader.latin1('request name'), reader);
        });
        if (!fine) break;
      } else if (type >= 90 && type <= 100 && !allowed(() => all.packet(type, packet))) break;
    }
    // Each message is answered by a few at most: nothing feeds on itself.
    must(packetsSent <= 200 + list.length * 40, `${String(packetsSent)} packets for ${String(list.length)}`);
    all.closeAll();
    forwards.closeAll();
    must(all.count === 0, 'channels outlived their connection');
  },
};

/** What a device does, told by one packet of type 0. */
function answerOf(device: FakeDevice, packet: Buffer): void {
  const what = packet[1] ?? 0;
  const channel = device.channels[(packet[2] ?? 0) % Math.max(1, device.channels.length)];
  const listener = device.listeners[(packet[2] ?? 0) % Math.max(1, device.listeners.length)];
  switch (what % 12) {
    case 0: channel?.events.opened(); break;
    case 1: channel?.events.data('out', packet); break;
    case 2: channel?.events.data('err', Buffer.alloc(5_000)); break;
    case 3: channel?.events.outcome({ kind: 'status', status: 3 }); break;
    case 4: channel?.events.eof(); break;
    case 5: channel?.events.closed(undefined); break;
    case 6: channel?.events.closed(new Fault('DEVICE_LOST', 'gone')); break;
    case 7: channel?.events.refused({ code: 'prohibited', message: 'no' }); break;
    case 8: channel?.events.drain(); break;
    case 9: listener?.events.listening({ port: 4242 }); break;
    case 10: if (listener !== undefined && device.channels[0] !== undefined) listener.events.incoming(device.channels[0], { host: 'h', port: 1 }); break;
    default: listener?.events.closed(undefined);
  }
}

const KEY_LINE = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFmX0FWa0Y0nXyRySEzSbaPeUw6BXRvC2yXQGRRcb8d5 me@here';

const CERTIFICATE_TYPE = 'ssh-ed25519-cert-v01@openssh.com';
/** By ssh-keygen -s, with two principals, a forced command and an address. */
const CERTIFICATE = Buffer.from('AAAAIHNzaC1lZDI1NTE5LWNlcnQtdjAxQG9wZW5zc2guY29tAAAAIHOUdutTeXADzR8JyBOmUNA9o3rtuG0ib4zc9ZVe5Q4JAAAAICeCKHHU1aP5SKxRWS3TYz3Tr8OF6ou8Ag4X6ZVxX7EWAAAAAAAAAAAAAAABAAAAAmlkAAAADwAAAARyb290AAAAA29wcwAAAAAAAAAA//////////8AAABBAAAADWZvcmNlLWNvbW1hbmQAAAAIAAAABGRhdGUAAAAOc291cmNlLWFkZHJlc3MAAAAOAAAACjEwLjAuMC4wLzgAAACCAAAAFXBlcm1pdC1YMTEtZm9yd2FyZGluZwAAAAAAAAAXcGVybWl0LWFnZW50LWZvcndhcmRpbmcAAAAAAAAAFnBlcm1pdC1wb3J0LWZvcndhcmRpbmcAAAAAAAAACnBlcm1pdC1wdHkAAAAAAAAADnBlcm1pdC11c2VyLXJjAAAAAAAAAAAAAAAzAAAAC3NzaC1lZDI1NTE5AAAAIOb2nIgt5YkdMZgRWfRdsw5/r0e77D+RWGiqPRYyl9Y3AAAAUwAAAAtzc2gtZWQyNTUxOQAAAED7Q1quy0qs4W+GOKfAC6GqTnh1b/8t3Y4qj+Z9AJD8hyhhqT5xbkf7PagRBxK8B4gmM+j4rD+ubtUbn/g2GoEA', 'base64');

/** Files and blobs that operators and clients present as keys. */
export const keys: Target = {
  name: 'keys',
  watch: /src\/ssh\/(authorized-keys|key-options|public-key|certificate|wire|pty)\./,
  seeds: [Buffer.from(`# mine\n${KEY_LINE}\npty,expiry-time="20300101" ${KEY_LINE}\r\n`), Buffer.from(`command="a \\" b",no-pty ${KEY_LINE}`), Buffer.from(`cert-authority,principals="a" ${KEY_LINE}`), ED25519, CERTIFICATE],
  words: ['ssh-rsa', 'cert-authority', CERTIFICATE_TYPE, 'force-command', 'ecdsa-sha2-nistp256', 'sk-ssh-ed25519@openssh.com', 'expiry-time="', '"', '\\"', ',', ' ', '\n', 'restrict', 'from="', 'permitopen="', 'environment="', 'command="', '-----BEGIN OPENSSH PRIVATE KEY-----', 'AAAA', KEY_LINE],
  run(input) {
    try {
      for (const key of parseAuthorizedKeys(input.toString('utf8'), 'file')) must(keyType(key.blob) === key.type, 'a key of another type');
    } catch (thrown) {
      must(thrown instanceof Fault && thrown.code === 'USAGE', `thrown: ${String(thrown)}`);
      must(!thrown.message.includes('AAAAC3NzaC1lZDI1NTE5AAAAI'), 'the fault quotes key material');
    }
    must(!verifySignature('ssh-ed25519', ED25519, input, Buffer.from('x')), 'a signature out of nowhere');
    must(!verifySignature('ssh-ed25519', input, pack({ string: 'ssh-ed25519' }, { string: Buffer.alloc(64) }), Buffer.from('x')), 'a key that signs everything');
    allowed(() => signingKey(CERTIFICATE_TYPE, input));
    const isCertified = allowed(() => readCertificate(input, () => true));
    must(!isCertified || input.equals(CERTIFICATE), 'a certificate that no authority signed');
    allowed(() => readPtyRequest(new WireReader(input)));
  },
};
