/** Forwarding on devices without python3, with each tool that may be there, seen by the real ssh. */
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, rmSync } from 'node:fs';
import { chmod, symlink, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { freePort } from '../support/ports.js';
import { run, type Program } from '../support/program.js';
import { Scope } from '../support/scope.js';
import { Peer } from '../support/sh-listen.js';
import { ssh, startSsh } from '../support/ssh.js';
import { startStack, type Stack } from '../support/stack.js';
import { busyboxPath, shellPath } from '../support/user.js';
import { waitFor } from '../support/wait.js';

const scope = new Scope();
afterEach(() => scope.end());

const DATA = randomBytes(200_000);
/** Longest time of one test, in milliseconds: four megabytes, twice, through a shell. */
const TEST_MS = 240_000;

/** A device of BusyBox's applets without nc, and with what is given in its place. */
async function smallDevice(tools: Readonly<Record<string, string>>): Promise<Stack> {
  const path = await busyboxPath(scope);
  rmSync(join(path, 'nc'));
  for (const [name, target] of Object.entries(tools)) await symlink(target, join(path, name));
  return startStack(scope, { shell: await shellPath(scope, 'ash'), files: { '.profile': `PATH=${path}; export PATH\n` } });
}

/** A server of this side that sends DATA to whoever connects, and takes what they say. */
async function dataServer(): Promise<number> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.resume();
    socket.end(DATA);
  });
  scope.add(() => new Promise((resolve) => server.close(resolve)));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

const sha = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

/** All that twenty connections at once are told. */
async function twenty(port: number): Promise<void> {
  const peers = Array.from({ length: 20 }, () => new Peer({ port, host: '127.0.0.1' }));
  for (const peer of peers) {
    scope.add(() => { peer.socket.destroy(); });
    await waitFor('all of it', () => peer.ended || peer.closed, TEST_MS);
    expect([peer.error, peer.data.length, sha(peer.data)]).toEqual([undefined, DATA.length, sha(DATA)]);
    peer.socket.end();
  }
}

/** Whether somebody listens on the port of this side. */
async function answers(port: number): Promise<boolean> {
  const peer = new Peer({ port, host: '127.0.0.1' });
  await waitFor('an answer', () => peer.closed || peer.socket.readyState === 'open');
  peer.socket.destroy();
  return peer.error === undefined;
}

/** An agent with a key, as ssh's options. */
async function agent(): Promise<string[]> {
  const socket = join(await scope.tempDir('agent'), 'agent');
  const { stdout } = await run('ssh-agent', ['-a', socket, '-s']);
  scope.add(() => run('kill', [/SSH_AGENT_PID=(\d+)/.exec(stdout.toString())?.[1] ?? '']));
  return ['-A', '-o', `IdentityAgent=${socket}`];
}

function forwarding(stack: Stack, ...options: readonly string[]): Program {
  const client = startSsh(stack, [], { options: ['-N', '-o', 'ExitOnForwardFailure=yes', '-o', 'LogLevel=INFO', ...options] });
  scope.add(() => client.stop());
  return client;
}

async function allocated(client: Program): Promise<number> {
  return Number(await waitFor('the port', () => /Allocated port (\d+)/.exec(client.stderr)?.[1]));
}

describe('a small device', () => {
  test.each([
    ['BusyBox’s nc', { nc: '/usr/bin/busybox' }, 'there (-L) and back (-R)'],
    ['socat', { socat: '/usr/bin/socat' }, 'there (-L) and back (-R)'],
    ['OpenBSD’s nc', { nc: '/bin/nc.openbsd' }, 'there (-L)'],
  ])('with %s serves twenty connections at once', async (_, tools, ways) => {
    const stack = await smallDevice(tools);
    const port = await dataServer();
    if (ways.includes('-R')) await twenty(await allocated(forwarding(stack, '-R', `0:127.0.0.1:${port}`)));
    const there = await freePort();
    forwarding(stack, '-L', `127.0.0.1:${there}:127.0.0.1:${port}`);
    await waitFor('the local port', () => answers(there));
    await twenty(there);
  }, TEST_MS);

  test.each([
    ['BusyBox’s nc', { nc: '/usr/bin/busybox' }],
    ['socat', { socat: '/usr/bin/socat' }],
    ['OpenBSD’s nc', { nc: '/bin/nc.openbsd' }],
  ])('with %s tries each address of a name as sshd does, and says why none took it (-W, -L, -D)', async (_, tools) => {
    const getent = join(await scope.tempDir('getent'), 'getent');
    await chmod(dirname(getent), 0o755);
    await writeFile(getent, "#!/bin/sh\nprintf '%s STREAM\\n' 127.0.0.2 127.0.0.3 127.0.0.1\n");
    await chmod(getent, 0o755);
    const stack = await smallDevice({ ...tools, getent });
    const server = createServer({ allowHalfOpen: true }, (socket) => { socket.pipe(socket); });
    scope.add(() => new Promise((resolve) => server.close(resolve)));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const through = await ssh(stack, [], { options: ['-W', `x.test:${port}`], input: DATA });
    expect([through.status, through.stderr.toString(), sha(through.stdout)]).toEqual([0, '', sha(DATA)]);
    const refused = await ssh(stack, [], { options: ['-W', `x.test:${await freePort()}`, '-o', 'LogLevel=INFO'] });
    expect([refused.status, refused.stderr.toString()]).toEqual([255, expect.stringContaining('open failed: connect failed: Connection refused')]);
    const [local, socks] = [await freePort(), await freePort()];
    forwarding(stack, '-L', `127.0.0.1:${local}:x.test:${port}`, '-D', `127.0.0.1:${socks}`);
    await waitFor('the local ports', async () => (await answers(local)) && answers(socks));
    const proxied = new Peer({ port: socks, host: '127.0.0.1' });
    proxied.socket.write(Buffer.concat([Buffer.of(5, 1, 0, 5, 1, 0, 3, 6), Buffer.from('x.test'), Buffer.of(port >> 8, port & 0xff)]));
    const greeting = 2 + 10;
    await waitFor('the proxy’s word', () => proxied.data.length === greeting);
    for (const [peer, before] of [[new Peer({ port: local, host: '127.0.0.1' }), 0], [proxied, greeting]] as const) {
      scope.add(() => { peer.socket.destroy(); });
      peer.socket.end(DATA);
      await waitFor('all of it', () => peer.ended, 60_000);
      expect(sha(peer.data.subarray(before))).toBe(sha(DATA));
    }
  }, TEST_MS);

  test('with socat has Unix sockets and the agent as well', async () => {
    const stack = await smallDevice({ socat: '/usr/bin/socat' });
    const socket = join(stack.account.home, 'socket');
    const client = forwarding(stack, '-R', `${socket}:127.0.0.1:${await dataServer()}`);
    await waitFor('the socket', () => existsSync(socket));
    const peer = new Peer({ path: socket });
    await waitFor('all of it', () => peer.ended, 60_000);
    expect(sha(peer.data)).toBe(sha(DATA));
    peer.socket.end();
    await client.stop();
    await waitFor('the socket to go', () => !existsSync(socket));
    const seen = await ssh(stack, ['test -S "$SSH_AUTH_SOCK" && echo "$SSH_AUTH_SOCK"'], { options: await agent() });
    expect(seen.stdout.toString()).toMatch(/^\/tmp\/ssh-[0-9a-f]{16}\/agent\.\d+\n$/);
    await waitFor('the agent’s folder to go', () => !existsSync(dirname(seen.stdout.toString().trim())));
  }, TEST_MS);

  test.each([
    ['neither socat nor nc', {}, 'The device has neither socat nor nc'],
    ['OpenBSD’s nc', { nc: '/bin/nc.openbsd' }, 'its nc cannot start a program for each connection'],
  ])('with %s refuses -R as sshd does, with the reason in the log, and goes on', async (_, tools, reason) => {
    const stack = await smallDevice(tools);
    const strict = await ssh(stack, ['true'], { options: ['-o', 'ExitOnForwardFailure=yes', '-R', '0:127.0.0.1:1'] });
    expect([strict.status, strict.stderr.toString()]).toEqual([255, expect.stringContaining('remote port forwarding failed for listen port 0')]);
    const lax = await ssh(stack, ['echo goes on'], { options: ['-R', '9022:127.0.0.1:1', '-o', 'LogLevel=INFO'] });
    expect([lax.status, lax.stdout.toString(), lax.stderr.toString()]).toEqual([0, 'goes on\n', expect.stringContaining('remote port forwarding failed for listen port 9022')]);
    expect(stack.bridge.stderr).toContain(reason);
    const path = await ssh(stack, ['true'], { options: ['-o', 'ExitOnForwardFailure=yes', '-R', `${stack.account.home}/s:127.0.0.1:1`] });
    expect([path.status, path.stderr.toString()]).toEqual([255, expect.stringContaining('remote port forwarding failed for listen path')]);
    const without = await ssh(stack, ['echo ${SSH_AUTH_SOCK-none}'], { options: await agent() });
    expect(without.stdout.toString()).toBe('none\n');
  }, TEST_MS);
});
