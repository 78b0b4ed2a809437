import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sha256, startLocalSsh, USER, type LocalSsh } from '../support/local-ssh.js';

const BULK = randomBytes(20_000_000);
/** Longest wait for a listener to come up, in milliseconds. */
const PATIENCE_MS = 20_000;

let local: LocalSsh;
let echo: net.Server;
let echoPort: number;
beforeAll(async () => {
  local = await startLocalSsh();
  echo = net.createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {});
    socket.pipe(socket);
  });
  await new Promise<void>((resolve) => echo.listen(0, '127.0.0.1', () => resolve()));
  echoPort = (echo.address() as net.AddressInfo).port;
});
afterAll(async () => {
  echo.close();
  await local.close();
});

/** A client that forwards until the test is over. */
async function forwarding(args: readonly string[], ready: () => Promise<boolean>, test: (client: ChildProcess) => Promise<void>): Promise<void> {
  const client = spawn('ssh', [...local.options, '-N', '-o', 'ExitOnForwardFailure=yes', ...args, '-l', USER, '127.0.0.1'], { cwd: local.folder, stdio: ['ignore', 'ignore', 'pipe'] });
  const over = new Promise((resolve) => client.once('close', resolve));
  try {
    const deadline = Date.now() + PATIENCE_MS;
    while (!(await ready())) {
      if (Date.now() > deadline) throw new Error('the forwarding did not come up');
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    await test(client);
  } finally {
    client.kill();
    await over;
  }
}

/** Sends everything, half-closes, and gives what came back. */
function echoed(where: net.NetConnectOpts, bytes: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ ...where, allowHalfOpen: true });
    const got: Buffer[] = [];
    socket.on('data', (piece) => got.push(piece));
    socket.on('error', reject);
    socket.on('end', () => resolve(Buffer.concat(got)));
    socket.end(bytes);
  });
}

function answers(where: net.NetConnectOpts): () => Promise<boolean> {
  return () => new Promise((resolve) => {
    const socket = net.connect(where, () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = net.createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as net.AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

describe('forwarding by OpenSSH\'s ssh', () => {
  it.each(['-L', '-R'])('%s carries bulk data and half-closes, again and again', async (flag) => {
    const port = await freePort();
    const where = { host: '127.0.0.1', port };
    await forwarding([flag, `${port}:127.0.0.1:${echoPort}`], answers(where), async () => {
      for (let round = 0; round < 3; round += 1) expect(sha256(await echoed(where, BULK))).toBe(sha256(BULK));
      const many = await Promise.all(Array.from({ length: 20 }, () => echoed(where, BULK.subarray(0, 300_000))));
      for (const each of many) expect(sha256(each)).toBe(sha256(BULK.subarray(0, 300_000)));
    });
  });

  it.each(['-L', '-R'])('%s carries Unix sockets', async (flag) => {
    const path = join(local.folder, `socket${flag}`);
    await forwarding([flag, `${path}:127.0.0.1:${echoPort}`], () => Promise.resolve(existsSync(path)), async () => {
      expect(sha256(await echoed({ path }, BULK))).toBe(sha256(BULK));
    });
  });

  it('reaches Unix sockets on the device', async () => {
    const port = await freePort();
    const path = join(local.folder, 'echo.sock');
    const unixEcho = net.createServer({ allowHalfOpen: true }, (socket) => { socket.pipe(socket); }).listen(path);
    await forwarding(['-L', `${port}:${path}`], answers({ host: '127.0.0.1', port }), async () => {
      expect(sha256(await echoed({ host: '127.0.0.1', port }, BULK))).toBe(sha256(BULK));
    });
    unixEcho.close();
  });

  it('-D carries SOCKS connections', async () => {
    const port = await freePort();
    await forwarding(['-D', String(port)], answers({ host: '127.0.0.1', port }), async () => {
      const ran = await local.run('socat', ['-t', '20', '-', `SOCKS4:127.0.0.1:127.0.0.1:${echoPort},socksport=${port}`], BULK.subarray(0, 2_000_000));
      expect(sha256(ran.stdout)).toBe(sha256(BULK.subarray(0, 2_000_000)));
    });
  });

  it('-R with port 0 is told the port', async () => {
    await forwarding(['-v', '-R', `0:127.0.0.1:${echoPort}`], () => Promise.resolve(true), async (client) => {
      const port = await new Promise<number>((resolve) => {
        let text = '';
        client.stderr?.on('data', (bytes: Buffer) => {
          text += bytes.toString();
          const found = /Allocated port (\d+)/.exec(text);
          if (found !== null) resolve(Number(found[1]));
        });
      });
      expect((await echoed({ host: '127.0.0.1', port }, Buffer.from('hello'))).toString()).toBe('hello');
    });
  });

  it('-W carries standard input and output', async () => {
    const ran = await local.ssh(['-W', `127.0.0.1:${echoPort}`], BULK);
    expect(sha256(ran.stdout)).toBe(sha256(BULK));
  });

  it('says so when the device cannot connect', async () => {
    const ran = await local.ssh(['-W', `127.0.0.1:${await freePort()}`]);
    expect(ran.code).toBe(255);
    expect(ran.stderr).toContain('open failed: connect failed');
  });

  it('-A lets programs on the device use the client\'s agent', async () => {
    const ran = await local.run('ssh-agent', ['sh', '-c', 'ssh-add -q id && ssh -A "$@" \'ssh-add -l; echo "$SSH_AUTH_SOCK" >&2\'', 'sh', ...local.options, '-l', USER, '127.0.0.1']);
    expect(ran.stdout.toString()).toContain('ED25519');
    expect(ran.stderr.trim()).not.toBe('');
    expect(existsSync(ran.stderr.trim())).toBe(false);
  });

  it('leaves nothing open on the device', async () => {
    const deadline = Date.now() + PATIENCE_MS;
    while (local.gateway.device.live.size > 0 || local.gateway.leases.size > 0) {
      if (Date.now() > deadline) throw new Error(`still open: ${local.gateway.device.live.size} channels, ${local.gateway.leases.size} leases`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  });
});
