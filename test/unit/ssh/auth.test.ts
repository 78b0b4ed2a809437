import ssh2 from 'ssh2';
import { afterEach, describe, expect, it } from 'vitest';
import { Fault } from '../../../src/base/errors.js';
import { FailurePace } from '../../../src/ssh/auth.js';
import type { SshServerOptions } from '../../../src/ssh/server.js';
import { closed, drained, startHarness, until, type Harness } from './harness.js';
import { makeClientKey } from './client-key.js';

let harness: Harness;
async function start(options: Partial<SshServerOptions> = {}): Promise<Harness> {
  harness = await startHarness(options);
  return harness;
}
afterEach(() => harness.close());

describe('authentication', () => {
  it('"none" never succeeds and lists the methods', async () => {
    await start();
    const offered: string[][] = [];
    await harness.refused({
      authHandler: (left: string[] | null) => {
        if (left !== null) {
          offered.push(left);
          return false;
        }
        return 'none';
      },
    } as unknown as ssh2.ConnectConfig);
    expect(offered).toEqual([['publickey', 'password', 'keyboard-interactive']]);
    expect(harness.gateway.asked).toEqual([]);
  });

  it('a wrong password is asked for again, and the right one lets in', async () => {
    await start();
    const passwords = ['wrong', 'right'];
    await harness.connect({ authHandler: () => ({ type: 'password', username: 'tester', password: passwords.shift() ?? '' }) } as unknown as ssh2.ConnectConfig);
    expect(harness.gateway.asked).toEqual([{ user: 'tester', password: 'wrong' }, { user: 'tester', password: 'right' }]);
  });

  it('keyboard-interactive asks one question', async () => {
    await start();
    const client = new ssh2.Client();
    const asked: unknown[] = [];
    client.on('keyboard-interactive', (_name, _instructions, _lang, prompts, finish) => {
      asked.push(prompts);
      finish(['right']);
    });
    await new Promise((resolve, reject) => {
      client.on('ready', () => resolve(undefined)).on('error', reject);
      client.connect({ host: '127.0.0.1', port: harness.server.port, username: 'tester', tryKeyboard: true });
    });
    expect(asked).toEqual([[{ prompt: 'Password: ', echo: false }]]);
    client.destroy();
  });

  it.each(['ed25519', 'ecdsa', 'rsa'] as const)('an authorised %s key becomes the credential of the operator', async (type) => {
    await start();
    const key = makeClientKey(type);
    const credential = { user: 'device', password: 'right' };
    harness.gateway.key = { blob: key.blob, credential };
    await harness.connect({ privateKey: key.private, password: undefined as unknown as string });
    expect(harness.gateway.asked).toEqual([credential]);
  });

  it('a key that is not authorised gets nobody to the device', async () => {
    await start();
    const error = await harness.refused({ privateKey: makeClientKey().private, password: undefined as unknown as string });
    expect(error.message).toContain('authentication methods failed');
    expect(harness.gateway.asked).toEqual([]);
  });

  it('six failures end the connection', async () => {
    await start();
    const error = await harness.refused({ authHandler: () => ({ type: 'password', username: 'tester', password: 'wrong' }) } as unknown as ssh2.ConnectConfig);
    expect(error.message).toContain('Too many authentication failures');
    expect(harness.gateway.asked).toHaveLength(6);
  });

  it.each(['BUSY', 'TUNNEL', 'DEVICE_LOST'] as const)('a login that fails with %s ends with the reason, not with another question', async (code) => {
    await start();
    harness.gateway.decide = () => Promise.reject(new Fault(code, 'The reason in one sentence.'));
    const error = await harness.refused();
    expect(error.message).toContain('The reason in one sentence.');
    expect(harness.gateway.asked).toHaveLength(1);
  });

  it.each([['empty', ''], ['with a NUL', 'ri\0ght']])('a password that is %s is refused without asking the device', async (_what, password) => {
    await start();
    await harness.refused({ authHandler: ((left: string[] | null) => (left === null ? { type: 'password', username: 'tester', password } : false)) as never });
    expect(harness.gateway.asked).toEqual([]);
  });

  it('methods that the policy switches off are neither offered nor taken', async () => {
    await start({ policy: { passwords: false } });
    const error = await harness.refused();
    expect(error.message).toContain('authentication methods failed');
    expect(harness.gateway.asked).toEqual([]);
  });

  it('takes no longer than the login grace time', async () => {
    await start({ loginGraceMs: 150 });
    const socket = await harness.socket();
    const text = await drained(socket);
    expect(text).toMatch(/^SSH-2\.0-OpenSSH_/);
    expect(harness.server.connections).toBe(0);
  });

  it('is not cut off by the grace time while the device is being asked', async () => {
    // Long enough for the key exchange on a busy machine, or that would be cut off.
    await start({ loginGraceMs: 1_000 });
    harness.gateway.decide = () => new Promise((resolve) => setTimeout(resolve, 1_500));
    await harness.connect();
  });

  it('a client that leaves while the device is asked gives its lease back', async () => {
    await start();
    let answer: () => void = () => {};
    harness.gateway.decide = () => new Promise((resolve) => { answer = resolve; });
    const waiting = harness.connect();
    waiting.catch(() => {});
    await until(() => harness.gateway.asked.length === 1, 'the device is asked');
    await harness.close();
    answer();
    await until(() => harness.gateway.leases.size === 0, 'the lease is released');
  });

  it('the lease is released when the client leaves', async () => {
    await start();
    const client = await harness.connect();
    expect(harness.gateway.leases.size).toBe(1);
    client.end();
    await until(() => harness.gateway.leases.size === 0, 'the lease is released');
  });

  it('the end of the device session disconnects the client with the reason', async () => {
    await start();
    const client = await harness.connect();
    const reason = new Promise<Error>((resolve) => client.once('error', resolve));
    const gone = closed(client);
    for (const lease of harness.gateway.leases) lease.onEnd(new Fault('DEVICE_LOST', 'The device is gone for good.'));
    expect((await reason).message).toContain('The device is gone for good.');
    await gone;
  });
});

describe('refused passwords', () => {
  it('are told later each time, up to a bound', () => {
    harness = { close: () => Promise.resolve() } as Harness;
    const pace = new FailurePace(250);
    const delays = [1, 2, 3, 4, 5, 6].map((nth) => new FailurePace(250).delay(nth, 0));
    expect(delays).toEqual([250, 500, 1000, 2000, 4000, 4000]);
    expect(pace.delay(1, 0)).toBe(250);
    expect(pace.delay(1, 0)).toBe(350);
  });

  it('of many connections together keep one pace', () => {
    harness = { close: () => Promise.resolve() } as Harness;
    const pace = new FailurePace(250);
    const last = Array.from({ length: 100 }, () => pace.delay(1, 0)).at(-1);
    expect(last).toBe(250 + 99 * 100);
  });
});
