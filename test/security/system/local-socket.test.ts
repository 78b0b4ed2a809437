/** A bridge that listens on a Unix socket: no port, and nobody but its owner reaches it. */
import { createHash, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { run, type Program } from '../../support/program.js';
import { Scope } from '../../support/scope.js';
import { startCommand, type ReadyFile } from '../../support/stack.js';

const PASSWORD = 'correct-horse';
/** As nobody, one of this machine's other users. */
const NOBODY = 65_534;

const scope = new Scope();
afterEach(() => scope.end());

interface Place {
  dir: string;
  socket: string;
}

async function place(): Promise<Place> {
  const dir = await scope.tempDir('socket');
  // Others may look into the folder: only the socket's own mode keeps them out.
  await chmod(dir, 0o755);
  await writeFile(join(dir, 'pw'), `${PASSWORD}\n`, { mode: 0o600 });
  return { dir, socket: join(dir, 'gw7.sock') };
}

function startDemo({ dir, socket }: Place): Promise<{ program: Program; ready: ReadyFile }> {
  return startCommand(scope, ['demo', '--listen', socket, '--password-file', join(dir, 'pw')], { env: { XDG_STATE_HOME: dir } });
}

function ssh({ dir, socket }: Place, command: string, input?: Buffer) {
  const options = ['StrictHostKeyChecking=no', `UserKnownHostsFile=${join(dir, 'known')}`, `ProxyCommand=nc -U ${socket}`, 'LogLevel=ERROR'];
  return run('sshpass', ['-f', join(dir, 'pw'), 'ssh', '-F', 'none', ...options.flatMap((each) => ['-o', each]), 'root@device', command], { input });
}

describe('a Unix socket', () => {
  it('serves ssh by a ProxyCommand, which finds no address, as under sshd on a pipe', async () => {
    const here = await place();
    const { program, ready } = await startDemo(here);
    expect(ready).toMatchObject({ socket: here.socket, hostKeyFingerprint: expect.stringMatching(/^SHA256:/) });
    expect(ready).not.toHaveProperty('port');
    const address = await ssh(here, 'echo $SSH_CONNECTION / $SSH_CLIENT; echo err >&2; exit 7');
    expect({ status: address.status, out: address.stdout.toString(), err: address.stderr.toString() }).toEqual({
      status: 7, out: 'UNKNOWN 65535 UNKNOWN 65535 / UNKNOWN 65535 65535\n', err: 'err\n',
    });
    const data = randomBytes(3_000_000);
    const back = await ssh(here, 'cat', data);
    expect(createHash('sha256').update(back.stdout).digest('hex')).toBe(createHash('sha256').update(data).digest('hex'));
    program.kill('SIGTERM');
    const ended = await program.done;
    expect(ended.status).toBe(0);
    // Here, not above: it is printed when the ready file has been written.
    expect(ended.stdout.toString()).toContain(`ssh -o ProxyCommand='nc -U ${here.socket}' `);
    expect(existsSync(here.socket)).toBe(false);
  });

  it('lets nobody but its owner connect', async () => {
    const here = await place();
    await startDemo(here);
    expect((await stat(here.socket)).mode & 0o777).toBe(0o600);
    const knock = `import os, socket, sys
os.setgroups([]); os.setgid(${NOBODY}); os.setuid(${NOBODY})
try:
  socket.socket(socket.AF_UNIX).connect(sys.argv[1])
except PermissionError:
  sys.exit(13)`;
    expect((await run('python3', ['-c', knock, here.socket])).status).toBe(13);
    expect((await ssh(here, 'echo in')).stdout.toString()).toBe('in\n');
  });

  it('that a killed bridge left is taken over, one in use or a file of another kind is not', async () => {
    const here = await place();
    const first = await startDemo(here);
    const second = await run(process.execPath, ['bin/iotda-ssh', 'demo', '--listen', here.socket, '--password-file', join(here.dir, 'pw')], { env: { XDG_STATE_HOME: here.dir } });
    expect({ status: second.status, why: second.stderr.toString() }).toEqual({ status: 3, why: expect.stringContaining('another program listens there') });
    expect((await ssh(here, 'echo still')).stdout.toString()).toBe('still\n');
    first.program.kill('SIGKILL');
    await first.program.done;
    expect(existsSync(here.socket)).toBe(true);
    await startDemo(here);
    expect((await ssh(here, 'echo again')).stdout.toString()).toBe('again\n');

    const file = { ...here, socket: join(here.dir, 'file') };
    await writeFile(file.socket, 'precious');
    const refused = await run(process.execPath, ['bin/iotda-ssh', 'demo', '--listen', file.socket], { env: { XDG_STATE_HOME: here.dir } });
    expect({ status: refused.status, why: refused.stderr.toString() }).toEqual({ status: 3, why: expect.stringContaining('the file is no socket') });
    expect((await stat(file.socket)).size).toBe(8);
  });

  it('whose folder is missing is refused with the reason', async () => {
    const { dir } = await place();
    const refused = await run(process.execPath, ['bin/iotda-ssh', 'demo', '--listen', join(dir, 'no/gw7.sock')], { env: { XDG_STATE_HOME: dir } });
    expect({ status: refused.status, why: refused.stderr.toString() }).toEqual({ status: 3, why: expect.stringContaining('its folder is missing or cannot be written') });
  });
});
