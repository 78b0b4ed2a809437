/** Getting in without being let in. */
import { generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import { pino } from 'pino';
import ssh2 from 'ssh2';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { BridgeGateway, type KeyLogin } from '../../src/bridge/gateway.js';
import { Fault } from '../../src/base/errors.js';
import { LineBudget, silentLog, type Log } from '../../src/base/log.js';
import { Authentication, FailurePace } from '../../src/ssh/auth.js';
import { parseAuthorizedKeys } from '../../src/ssh/authorized-keys.js';
import { NO_LIMITS } from '../../src/ssh/key-options.js';
import { DEFAULT_POLICY } from '../../src/ssh/policy.js';
import { pack } from '../../src/ssh/wire.js';
import { memoryTunnel } from '../../src/tunnel/memory.js';
import { FakeGateway } from '../unit/ssh/fake-device.js';
import { makeSecurityKey } from '../unit/ssh/security-key.js';
import { closed, sendRaw, startHarness, until, type Harness } from '../unit/ssh/harness.js';

const USER = 'tester';
const SESSION = Buffer.alloc(32, 5);

interface Attempt {
  gateway: FakeGateway;
  sent: Buffer[];
  successes: number;
  end: Fault | undefined;
  packet(payload: Buffer): Promise<void>;
}

function attempt(log: Log = silentLog(), lines = new LineBudget(100, 1)): Attempt {
  const gateway = new FakeGateway();
  const state: Attempt = {
    gateway, sent: [], successes: 0, end: undefined,
    packet: async (payload) => {
      authentication.packet(payload[0] ?? 0, payload);
      await until(() => !authentication.working, 'it is decided');
    },
  };
  const authentication = new Authentication({
    gateway, policy: DEFAULT_POLICY, address: 'here', log, lines, pace: new FailurePace(1),
    port: {
      sessionId: SESSION,
      get isClosed() { return state.end !== undefined; },
      send: (payload) => { state.sent.push(payload); },
      sendAuthSuccess: () => { state.successes += 1; },
      disconnect: (_reason, fault) => { state.end = fault; },
    },
    succeeded: () => undefined,
  });
  return state;
}

const SERVICE = pack({ byte: 5 }, { string: 'ssh-userauth' });

function keyPair(): { blob: Buffer; key: KeyObject } {
  const pair = generateKeyPairSync('ed25519');
  const raw = Buffer.from(pair.publicKey.export({ format: 'jwk' }).x ?? '', 'base64url');
  return { blob: pack({ string: 'ssh-ed25519' }, { string: raw }), key: pair.privateKey };
}

interface Signed {
  session?: Buffer;
  user?: string;
  service?: string;
  method?: string;
  flag?: boolean;
  algorithm?: string;
  blob?: Buffer;
}

describe('a public key', () => {
  const mine = keyPair();
  const other = keyPair();

  function signature(key: KeyObject, what: Signed = {}): Buffer {
    const data = pack(
      { string: what.session ?? SESSION }, { byte: 50 }, { string: what.user ?? USER }, { string: what.service ?? 'ssh-connection' }, { string: what.method ?? 'publickey' },
      { bool: what.flag ?? true }, { string: what.algorithm ?? 'ssh-ed25519' }, { string: what.blob ?? mine.blob },
    );
    return pack({ string: 'ssh-ed25519' }, { string: sign(null, data, key) });
  }

  function request(signed: Buffer | undefined, blob = mine.blob, algorithm = 'ssh-ed25519', user = USER): Buffer {
    return pack(
      { byte: 50 }, { string: user }, { string: 'ssh-connection' }, { string: 'publickey' }, { bool: signed !== undefined },
      { string: algorithm }, { string: blob }, ...(signed === undefined ? [] : [{ string: signed }]),
    );
  }

  async function presented(...requests: Buffer[]): Promise<Attempt> {
    const state = attempt();
    state.gateway.key = { blob: mine.blob.toString('base64'), credential: { user: USER, password: 'right' } };
    await state.packet(SERVICE);
    for (const payload of requests) await state.packet(payload);
    return state;
  }

  it('lets in who signed this very request with it', async () => {
    expect(await presented(request(undefined), request(signature(mine.key)))).toMatchObject({ successes: 1, end: undefined });
  });

  const FORGED: [string, Buffer][] = [
    ['made with another key', request(signature(other.key))],
    ['made with another key, of that key', request(signature(other.key, { blob: other.blob }), other.blob)],
    ['of another connection', request(signature(mine.key, { session: Buffer.alloc(32, 6) }))],
    ['of another user', request(signature(mine.key, { user: 'root' }))],
    ['of another service', request(signature(mine.key, { service: 'ssh-userauth' }))],
    ['of another method', request(signature(mine.key, { method: 'publickey-hostbound-v00@openssh.com' }))],
    ['of the question whether the key will do', request(signature(mine.key, { flag: false }))],
    ['cut short', request(signature(mine.key).subarray(0, -1))],
    ['with a byte too many', request(Buffer.concat([signature(mine.key), Buffer.of(0)]))],
    ['that is empty', request(Buffer.alloc(0))],
    ['of zeros', request(pack({ string: 'ssh-ed25519' }, { string: Buffer.alloc(64) }))],
    ['under another algorithm', request(signature(mine.key), mine.blob, 'rsa-sha2-512')],
    ['under an algorithm of the past', request(signature(mine.key), mine.blob, 'ssh-rsa')],
  ];
  it.each(FORGED)('lets nobody in with a signature %s', async (_what, payload) => {
    const state = await presented(payload);
    expect([state.successes, state.gateway.asked]).toEqual([0, []]);
    expect(state.sent.at(-1)?.[0]).toBe(51);
  });

  it('that somebody else knows, and signs for wrongly, fills no log, in however many connections', async () => {
    const told: string[] = [];
    const log = pino({ level: 'info' }, { write: (line) => told.push(line) });
    const lines = new LineBudget(50, 1);
    for (let at = 0; at < 100; at += 1) {
      const state = attempt(log, lines);
      state.gateway.key = { blob: mine.blob.toString('base64'), credential: { user: USER, password: 'right' } };
      await state.packet(SERVICE);
      for (let n = 0; n < 3; n += 1) await state.packet(request(signature(other.key)));
    }
    expect(told.length).toBeGreaterThan(40);
    expect(told.length).toBeLessThan(100);
  });

  it('that was only shown makes no command for the password run', async () => {
    let asked = 0;
    const state = attempt();
    state.gateway.key = { blob: mine.blob.toString('base64'), credential: { user: USER, password: 'right' } };
    const grantForKey = state.gateway.grantForKey.bind(state.gateway);
    state.gateway.grantForKey = (...args) => {
      asked += 1;
      return grantForKey(...args);
    };
    await state.packet(SERVICE);
    for (let at = 0; at < 20; at += 1) await state.packet(request(undefined));
    await state.packet(request(signature(other.key)));
    expect(asked).toBe(0);
    await state.packet(request(signature(mine.key)));
    expect([asked, state.successes]).toEqual([1, 1]);
  });

  it('of a security key that has to verify its user, with a PIN say, is not enough when touched only', async () => {
    const { algorithm, blob, sign: signBy } = makeSecurityKey();
    const what = pack({ string: SESSION }, { byte: 50 }, { string: USER }, { string: 'ssh-connection' }, { string: 'publickey' }, { bool: true }, { string: algorithm }, { string: blob });
    const [TOUCHED, VERIFIED] = [1, 5];
    for (const [verifyRequired, flags, successes] of [[true, TOUCHED, 0], [true, VERIFIED, 1], [false, TOUCHED, 1]] as const) {
      const state = attempt();
      state.gateway.key = { blob: blob.toString('base64'), credential: { user: USER, password: 'right' }, limits: { ...NO_LIMITS, verifyRequired } };
      await state.packet(SERVICE);
      await state.packet(request(signBy(what, flags), blob, algorithm));
      expect([state.successes, state.gateway.asked.length]).toEqual([successes, successes]);
    }
  });

  it('may be asked about a bounded number of times', async () => {
    const state = attempt();
    state.gateway.key = { blob: mine.blob.toString('base64'), credential: { user: USER, password: 'right' } };
    await state.packet(SERVICE);
    for (let at = 0; state.end === undefined && at < 1_000; at += 1) await state.packet(request(undefined));
    expect(state.end?.message).toBe('Too many authentication requests.');
  });

  it('is good for the operator’s user only, and until it expires', async () => {
    const line = `ssh-ed25519 ${mine.blob.toString('base64')}`;
    const gateway = (keys: string, user?: string): BridgeGateway => new BridgeGateway({
      tunnel: () => memoryTunnel().tunnel, tier: 'raw', lingerMs: 1, graceMs: 1, rawIdleMs: 0, log: silentLog(),
      keyLogin: { keys: () => Promise.resolve(parseAuthorizedKeys(keys, 'keys')), user, password: () => Promise.resolve('x') } satisfies KeyLogin,
    });
    const key = { algorithm: 'ssh-ed25519', blob: mine.blob };
    const here = { address: '127.0.0.1' };
    expect(await gateway(line, 'root').authorizesKey('root', key, here)).toBe(true);
    expect(await gateway(line, 'root').authorizesKey('toor', key, here)).toBe(false);
    expect(await gateway(line).authorizesKey('anybody', key, here)).toBe(true);
    expect(await gateway(`expiry-time="20200101" ${line}`).authorizesKey('root', key, here)).toBe(false);
    expect(await gateway(line).authorizesKey('root', { ...key, blob: other.blob }, here)).toBe(false);
    expect(await gateway(`from="10.0.0.0/8" ${line}`).authorizesKey('root', key, here)).toBe(false);
    expect(await gateway(`from="127.*" ${line}`).authorizesKey('root', key, here)).toBe(true);
    expect(await gateway(`from="10.0.0.0/8" ${line}`).grantForKey('root', key, here)).toBeUndefined();
  });
});

function renewKeys(client: ssh2.Client): void {
  (client as unknown as { _protocol: { rekey(): void } })._protocol.rekey();
}

describe('a stranger', () => {
  let harness: Harness;
  afterEach(() => harness.close());

  async function stranger(): Promise<ssh2.Client> {
    const client = new ssh2.Client();
    client.on('error', () => undefined);
    // Holds still once the keys are agreed on, before it tries anything.
    const ready = new Promise<void>((resolve) => client.on('handshake', () => resolve()));
    client.connect({ host: '127.0.0.1', port: harness.server.port, username: USER, authHandler: (() => undefined) as never });
    await ready;
    return client;
  }

  it.each([
    ['opens a channel', pack({ byte: 90 }, { string: 'session' }, { uint32: 0 }, { uint32: 1000 }, { uint32: 1000 })],
    ['asks for a listener', pack({ byte: 80 }, { string: 'tcpip-forward' }, { bool: true }, { string: '' }, { uint32: 0 })],
    ['runs a command', pack({ byte: 98 }, { uint32: 0 }, { string: 'exec' }, { bool: true }, { string: 'id' })],
    ['says that he is let in', pack({ byte: 52 })],
    ['answers a question that nobody asked', pack({ byte: 61 }, { uint32: 1 }, { string: 'right' })],
    ['asks for the connection service', pack({ byte: 5 }, { string: 'ssh-connection' })],
    ['changes his name half way', Buffer.concat([])],
  ])('who %s is cut off', async (what, payload) => {
    harness = await startHarness();
    const client = await stranger();
    const gone = closed(client);
    const password = (user: string, word: string): Buffer => pack({ byte: 50 }, { string: user }, { string: 'ssh-connection' }, { string: 'password' }, { bool: false }, { string: word });
    if (what === 'changes his name half way') {
      sendRaw(client, password('alice', 'wrong'));
      sendRaw(client, password('bob', 'right'));
    } else {
      sendRaw(client, payload);
    }
    await gone;
    expect([harness.gateway.leases.size, harness.gateway.device.channels.length]).toEqual([0, 0]);
    // Everybody else goes on.
    await harness.connect();
  });

  it.each([
    ['more requests', 40, 10],
    ['larger requests', 6, 20_000],
  ])('who sends %s than are kept while one is decided is cut off', async (_what, count, size) => {
    harness = await startHarness();
    let decide: () => void = () => undefined;
    harness.gateway.decide = () => new Promise((resolve) => { decide = resolve; });
    const client = await stranger();
    let told = '';
    client.on('error', (error) => (told = error.message));
    const gone = closed(client);
    sendRaw(client, pack({ byte: 5 }, { string: 'ssh-userauth' }));
    const password = (word: string): Buffer => pack({ byte: 50 }, { string: USER }, { string: 'ssh-connection' }, { string: 'password' }, { bool: false }, { string: word });
    for (let at = 0; at < count; at += 1) sendRaw(client, password(at === 0 ? 'guess' : 'x'.repeat(size)));
    await gone;
    expect(told).toContain('without waiting for answers');
    decide();
    await until(() => harness.gateway.leases.size === 0, 'nobody was let in');
  });

  it('gets one key exchange and no second one', async () => {
    harness = await startHarness();
    const client = await stranger();
    const gone = closed(client);
    let told = '';
    client.on('error', (error) => (told = error.message));
    renewKeys(client);
    await gone;
    expect(told).toContain('new keys before it has authenticated');
    // Who is let in may renew keys as often as he likes.
    const friend = await harness.connect();
    const renewed = new Promise<void>((resolve) => friend.once('handshake', () => resolve()));
    renewKeys(friend);
    await renewed;
  });

  it('who floods the bound of connections is cut at once, and logged once a second at most', async () => {
    let lines = 0;
    const log = Object.assign(Object.create(silentLog()) as ReturnType<typeof silentLog>, { warn: () => { lines += 1; }, child: () => silentLog() });
    harness = await startHarness({ maxUnauthenticated: 1, log });
    const first = await harness.socket();
    const others = await Promise.all(Array.from({ length: 200 }, () => harness.socket()));
    await Promise.all(others.map((socket) => new Promise((resolve) => (socket.destroyed ? resolve(undefined) : socket.resume().once('close', resolve)))));
    expect(lines).toBeGreaterThan(0);
    expect(lines).toBeLessThan(10);
    first.destroy();
  });

  it('is refused a user name or password too long for the tunnel as any other wrong one, without asking the device', async () => {
    harness = await startHarness();
    const refused = await harness.refused({ password: 'x'.repeat(1_025) });
    expect(refused.message).toContain('authentication methods failed');
    await harness.refused({ username: '\u0001'.repeat(257) });
    expect(harness.gateway.asked).toEqual([]);
  });
});

describe('guessing', () => {
  let harness: Harness;
  afterEach(() => harness.close());

  it.each(['DENIED', 'BUSY'] as const)('passwords is slowed alike when the device refuses them and when its session is open (%s)', async (code) => {
    const pace = { delay: 0 };
    const spy = vi.spyOn(FailurePace.prototype, 'delay').mockImplementation(() => {
      pace.delay += 1;
      return 0;
    });
    harness = await startHarness();
    harness.gateway.decide = () => Promise.reject(new Fault(code, 'No.'));
    await harness.refused({ authHandler: (left: unknown) => (left === null ? { type: 'password', username: USER, password: 'guess' } : false) } as never);
    spy.mockRestore();
    expect(pace.delay).toBe(1);
  });

  it('from many connections at once has one pace for all of them', () => {
    harness = { close: () => Promise.resolve() } as Harness;
    const pace = new FailurePace(250);
    const told = Array.from({ length: 64 }, () => pace.delay(1, 0));
    expect(Math.max(...told)).toBe(250 + 63 * 100);
  });

  it('is over for a connection after six attempts', async () => {
    harness = await startHarness();
    await harness.refused({ authHandler: () => ({ type: 'password', username: USER, password: 'guess' }) } as never);
    expect(harness.gateway.asked).toHaveLength(6);
  });
});
