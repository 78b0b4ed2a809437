/** What the operator's policy, or the options of a key, change about a session. */
import ssh2, { type Client, type ClientChannel } from 'ssh2';
import { afterEach, describe, expect, it } from 'vitest';
import type { OpenRequest } from '../../../src/mux/device.js';
import { NO_LIMITS, type KeyLimits } from '../../../src/ssh/key-options.js';
import type { SshPolicy } from '../../../src/ssh/policy.js';
import { run, startHarness, until, type Harness } from './harness.js';
import { makeClientKey } from './client-key.js';

let harness: Harness;
afterEach(() => harness.close());

/** A client that came with the password under a policy, or with a key of such limits. */
async function client(policy: Partial<SshPolicy>, limits?: Partial<KeyLimits>): Promise<Client> {
  harness = await startHarness({ policy });
  harness.gateway.device.onOpen = (channel) => {
    channel.events.opened();
    channel.exit(0);
  };
  if (limits === undefined) return harness.connect();
  const key = makeClientKey();
  harness.gateway.key = { blob: key.blob, credential: { user: 'device', password: 'right' }, limits: { ...NO_LIMITS, ...limits } };
  return harness.connect({ privateKey: key.private, password: undefined as unknown as string });
}

const requests = (): OpenRequest[] => harness.gateway.device.channels.map(({ request }) => request);
const refusal = (start: (done: (error: Error | undefined) => void) => void) => new Promise<string | undefined>((resolve) => start((error) => resolve(error?.message)));

describe('a forced command', () => {
  it('is run instead of the one asked for, which it finds in SSH_ORIGINAL_COMMAND', async () => {
    await run(await client({}, { command: 'echo "bar"' }), 'echo foo');
    expect(requests()).toMatchObject([{ kind: 'exec', command: Buffer.from('echo "bar"'), env: { SSH_ORIGINAL_COMMAND: 'echo foo' } }]);
  });

  it('is run instead of a shell and of the SFTP server', async () => {
    const connected = await client({ command: 'date' });
    await new Promise((resolve) => connected.shell(false, (_error, channel) => channel.resume().on('close', resolve)));
    await new Promise((resolve) => connected.subsys('sftp', (_error, channel) => channel.resume().on('close', resolve)));
    expect(requests()).toMatchObject([
      { kind: 'exec', command: Buffer.from('date') },
      { kind: 'exec', command: Buffer.from('date'), env: { SSH_ORIGINAL_COMMAND: 'internal-sftp' } },
    ]);
    expect(requests()[0]).not.toHaveProperty('env.SSH_ORIGINAL_COMMAND');
  });

  it.each(['a forced command', 'a subsystem'])('is not the client’s to end: %s gets no signal', async (what) => {
    const connected = await client(what === 'a subsystem' ? {} : { command: 'date' });
    harness.gateway.device.onOpen = (channel) => channel.events.opened();
    const channel = await new Promise<ClientChannel>((resolve) => {
      if (what === 'a subsystem') connected.subsys('sftp', (_error, opened) => resolve(opened));
      else connected.exec('x', (_error, opened) => resolve(opened));
    });
    channel.signal('KILL');
    channel.end();
    const device = harness.gateway.device.channels[0];
    await until(() => device?.calls.includes('end') === true, 'the end of the input has arrived');
    expect(device?.calls).toEqual(['end']);
  });

  it('finds the path of the device’s SFTP server where it takes its place', async () => {
    const connected = await client({ command: 'exec $SSH_ORIGINAL_COMMAND' });
    harness.gateway.device.info.sftpServer = '/usr/lib/sftp-server';
    await new Promise((resolve) => connected.subsys('sftp', (_error, channel) => channel.resume().on('close', resolve)));
    expect(requests()).toMatchObject([{ kind: 'exec', env: { SSH_ORIGINAL_COMMAND: '/usr/lib/sftp-server' } }]);
  });

  it('internal-sftp is the SFTP server for who asks for that, and refuses all else with sshd’s words', async () => {
    const connected = await client({ command: 'internal-sftp' });
    for (const pty of [false, true]) {
      const said = await new Promise((resolve, reject) => connected.exec('rm -rf /', { pty }, (error, channel) => {
        if (error !== undefined) return reject(error);
        let text = '';
        let status: unknown;
        channel.on('data', (bytes: Buffer) => { text += bytes.toString(); }).on('exit', (code) => { status = code; }).on('close', () => resolve([text, status]));
      }));
      expect(said).toEqual([`This service allows sftp connections only.${pty ? '\r' : ''}\n`, 1]);
    }
    // Not a program of the device's: the user's own start-up files would run before it.
    expect(requests()).toEqual([]);
    await new Promise((resolve) => connected.subsys('sftp', (_error, channel) => channel.resume().on('close', resolve)));
    expect(requests()).toEqual([{ kind: 'sftp' }]);
  });
});

it('variables are bytes, and so is the command that a forced one is told of', async () => {
  const connected = await client({ command: 'date', setEnv: { A: 'ö' } });
  await run(connected, Buffer.from([0x65, 0xff]).toString('latin1'));
  expect(requests()).toMatchObject([{ env: { A: Buffer.from('ö').toString('latin1') } }]);
});

it('the operator’s variables are stronger than the client’s', async () => {
  const connected = await client({ setEnv: { LC_ALL: 'C', A: '1' } });
  await new Promise((resolve) => connected.exec('x', { env: { LC_ALL: 'de_DE', LC_TIME: 'fr' } }, (_error, channel) => channel.resume().on('close', resolve)));
  expect(requests()).toMatchObject([{ env: { LC_ALL: 'C', LC_TIME: 'fr', A: '1' } }]);
});

it('a key without terminals gets none, and its command all the same', async () => {
  const connected = await client({}, { pty: false });
  expect(await refusal((done) => connected.exec('x', { pty: true }, done))).toMatch(/Unable to request a pseudo-terminal/);
  await run(connected, 'y');
  expect(requests()).toMatchObject([{ command: Buffer.from('y'), pty: undefined }]);
});

describe('forwarding', () => {
  it('goes where every list permits it, as the client writes it', async () => {
    const connected = await client({ permitOpen: [[{ host: '127.0.0.1', port: 22 }, { host: undefined, port: 80 }]] }, { permitOpen: [{ host: '127.0.0.1', port: undefined }] });
    const open = (host: string, port: number) => refusal((done) => connected.forwardOut('x', 1, host, port, done));
    expect(await open('127.0.0.1', 22)).toBeUndefined();
    expect(await open('127.0.0.1', 80)).toBeUndefined();
    expect(await open('127.0.0.1', 23)).toMatch(/not among those that are permitted/);
    expect(await open('localhost', 22)).toMatch(/not among those that are permitted/);
    expect(requests()).toHaveLength(2);
  });

  it('listens where it is permitted', async () => {
    const connected = await client({}, { permitListen: [{ host: 'localhost', port: 8080 }] });
    expect(await refusal((done) => connected.forwardIn('localhost', 8081, done))).toMatch(/Unable to bind/);
    expect(harness.gateway.device.listeners).toEqual([]);
    connected.forwardIn('localhost', 8080, () => undefined);
    await expect.poll(() => harness.gateway.device.listeners.length).toBe(1);
  });

  it('is refused to a key without it, of both kinds and both ways', async () => {
    const connected = await client({}, { forwarding: false });
    expect(await refusal((done) => connected.forwardOut('x', 1, '127.0.0.1', 22, done))).toMatch(/switched off/);
    expect(await refusal((done) => connected.openssh_forwardOutStreamLocal('/s', done))).toMatch(/switched off/);
    expect(await refusal((done) => connected.forwardIn('localhost', 8080, done))).toMatch(/Unable to bind/);
    expect(requests()).toEqual([]);
    expect(harness.gateway.device.listeners).toEqual([]);
  });
});

describe('the banner', () => {
  const shown = async (banner: SshPolicy['banner']): Promise<string[]> => {
    harness = await startHarness({ policy: { banner } });
    const texts: string[] = [];
    const client = new ssh2.Client();
    client.on('banner', (text) => texts.push(text));
    await new Promise((resolve, reject) => {
      client.on('ready', () => resolve(undefined)).on('error', reject);
      client.connect({ host: '127.0.0.1', port: harness.server.port, username: 'tester', password: 'right' });
    });
    client.destroy();
    return texts;
  };

  it('is shown once, before the login', async () => {
    expect(await shown(async () => Buffer.from('Authorised use only.\n'))).toEqual(['Authorised use only.\n']);
  });

  it('that cannot be read is none, and keeps nobody out', async () => {
    expect(await shown(() => Promise.reject(new Error('gone')))).toEqual([]);
  });
});

describe('keys', () => {
  it('are renewed by time although nothing is sent, once the client is let in', async () => {
    harness = await startHarness({ rekeyMs: 50 });
    const connected = await harness.connect();
    let renewals = 0;
    connected.on('handshake', () => { renewals += 1; });
    await expect.poll(() => renewals, { timeout: 10_000 }).toBeGreaterThan(1);
  });

  it('are not renewed for a client that has not said who it is', async () => {
    harness = await startHarness({ rekeyMs: 20 });
    let handshakes = 0;
    let tries = 0;
    const client = new ssh2.Client();
    client.on('handshake', () => { handshakes += 1; }).on('error', () => undefined);
    // Each try is a round trip, and the last is no answer at all.
    const done = new Promise<void>((resolve) => client.once('close', () => resolve()));
    client.connect({
      host: '127.0.0.1', port: harness.server.port, username: 'tester',
      authHandler: (_left: unknown, _partial: unknown, next: (method: unknown) => void) => {
        tries += 1;
        setTimeout(() => next(tries < 4 ? { type: 'password', username: 'tester', password: 'wrong' } : false), 50);
      },
    } as unknown as ssh2.ConnectConfig);
    await done;
    expect([tries, handshakes]).toEqual([4, 1]);
  });
});
