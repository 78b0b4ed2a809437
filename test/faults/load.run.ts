/**
 * Load (`npm run load`): memory against floods that nobody reads, many channels, many devices in one
 * process, one long transfer. Prints figures and fails when a bound is broken.
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { CREDIT_MOST_BYTES } from '../../src/mux/wire.js';
import { Program } from '../support/program.js';
import { Scope } from '../support/scope.js';
import { waitFor } from '../support/wait.js';
import { noise, sha256 } from './chance.js';
import { Lab, ROOT } from './lab.js';
import { cpuSeconds, fileCount, mib, rssMiB } from './measure.js';
import { startEchoServer } from './work.js';

const ONLY = process.env['LOAD_ONLY']?.split(',');
const BYTES = Number(process.env['LOAD_BYTES'] ?? String(2 * 1024 ** 3));
const PROFILE = process.env['LOAD_PROFILE'] === 'c-agent' ? 'c-agent' : 'sound';
const say = (text: string): void => void process.stdout.write(`${text}\n`);
const load = (name: string, body: () => Promise<void>): void => test.skipIf(ONLY !== undefined && !ONLY.includes(name))(name, { timeout: 0 }, body);

const scope = new Scope();
let lab: Lab;
beforeAll(async () => {
  const echo = await startEchoServer();
  scope.add(() => echo.server.close());
  lab = new Lab(scope, echo.port, { graceSeconds: 60, logLevel: 'warn', profile: PROFILE });
  await lab.start();
  await ssh(['host', 'true']).done;
});
afterAll(() => scope.end());

function ssh(args: readonly string[], input?: 'open' | Buffer): Program {
  const program = new Program('ssh', [...lab.sshOptions(), ...args], { input, cwd: lab.dir });
  scope.add(() => program.stop());
  return program;
}

interface Memory {
  bridge: number;
  helper: number;
}

async function memory(): Promise<Memory> {
  const [daemon = 0] = await lab.pids('daemon');
  return { bridge: await rssMiB(lab.bridge.pid), helper: await rssMiB(daemon) };
}

/** Memory every second for a while, after it had time to fill its buffers. */
async function flat(what: string, seconds: number, channels = 1): Promise<void> {
  await sleep(4_000);
  const first = await memory();
  let most = first;
  for (let n = 0; n < seconds; n += 1) {
    await sleep(1_000);
    const now = await memory();
    most = { bridge: Math.max(most.bridge, now.bridge), helper: Math.max(most.helper, now.helper) };
  }
  say(`${what}: bridge ${mib(first.bridge)} then at most ${mib(most.bridge)}, helper ${mib(first.helper)} then at most ${mib(most.helper)}`);
  // Each channel may fill its window, which grows while its client reads.
  expect(most.bridge - first.bridge).toBeLessThan(24 + (channels * CREDIT_MOST_BYTES) / 2 ** 20);
  expect(most.helper - first.helper).toBeLessThan(12);
}

load('flood-down', async () => {
  const idle = await memory();
  say(`idle: bridge ${mib(idle.bridge)}, helper ${mib(idle.helper)}`);
  for (const [what, command] of [['yes, client stopped', 'yes'], ['noise, client stopped', 'exec cat /dev/urandom']] as const) {
    const client = ssh(['host', command]);
    await waitFor('output', () => client.stdout.length > 0);
    client.child.kill('SIGSTOP');
    await flat(what, 15);
    client.child.kill('SIGKILL');
    await client.exited;
  }
  // Twenty at once: the bound is per channel.
  const clients = Array.from({ length: 20 }, () => ssh(['host', 'exec cat /dev/urandom']));
  for (const client of clients) {
    await waitFor('output', () => client.stdout.length > 0);
    client.child.kill('SIGSTOP');
  }
  await flat('20 × noise, clients stopped', 15, clients.length);
  for (const client of clients) client.child.kill('SIGKILL');
  await waitFor('the writers to end', async () => (await lab.processes()).every(({ command }) => !command.includes('urandom')));
});

load('flood-up', async () => {
  const client = new Program('sh', ['-c', `exec ssh ${lab.sshOptions().map((word) => `'${word}'`).join(' ')} host 'exec sleep 1000' </dev/zero`], {});
  scope.add(() => client.stop());
  await waitFor('the sleeper', async () => (await lab.processes()).some(({ command }) => command.includes('sleep 1000')));
  await flat('client floods, device does not read', 15);
  client.kill('SIGKILL');
  await waitFor('the sleeper to end', async () => (await lab.processes()).every(({ command }) => !command.includes('sleep 1000')));
});

load('channels', async () => {
  const socket = join(lab.dir, 'cm');
  ssh(['-M', '-N', '-o', `ControlPath=${socket}`, 'host']);
  await waitFor('the control socket', async () => (await new Program('ssh', ['-S', socket, '-O', 'check', 'host'], {}).done).status === 0);
  const began = performance.now();
  const cpu = await cpuSeconds(lab.bridge.pid);
  const sessions = Array.from({ length: 200 }, (_, n) => ({ n, data: noise(`channel-${n}`, 200_000), program: ssh(['-S', socket, 'host', `echo up >&2; cat; exit ${n}`], 'open') }));
  await waitFor('200 channels at once', () => sessions.every(({ program }) => program.stderr.includes('up')), 120_000);
  const opened = performance.now();
  const now = await memory();
  const [daemon = 0] = await lab.pids('daemon');
  say(`200 channels open after ${((opened - began) / 1000).toFixed(1)} s: bridge ${mib(now.bridge)}, helper ${mib(now.helper)}, ${await fileCount(daemon)} descriptors`);
  for (const { program, data } of sessions) program.child.stdin?.end(data);
  for (const { n, data, program } of sessions) {
    const result = await program.done;
    expect(sha256(result.stdout)).toBe(sha256(data));
    expect(result.status).toBe(n);
  }
  const seconds = (performance.now() - opened) / 1000;
  const after = await memory();
  say(`200 × 200 kB there and back in ${seconds.toFixed(1)} s (${((40 / seconds) * 1).toFixed(1)} MB/s each way), bridge ${((await cpuSeconds(lab.bridge.pid)) - cpu).toFixed(1)} s of processor, ${mib(after.bridge)}`);
  await new Program('ssh', ['-S', socket, '-O', 'exit', 'host'], {}).done;
});

load('devices', async () => {
  const program = new Program(process.execPath, ['--expose-gc', join(ROOT, 'test/faults/many-devices.mjs'), '100'], { env: { LAB_SSHD: String(lab.sshd.port), LAB_USER: lab.account.name, LAB_PASSWORD: lab.account.password }, timeoutMs: 600_000 });
  scope.add(() => program.stop());
  const result = await program.done;
  say(result.stdout.toString().trimEnd());
  expect(result.stderr.toString()).toBe('');
  expect(result.status).toBe(0);
  await waitFor('the helpers to end', async () => (await lab.pids('daemon')).length <= 1, 30_000);
});

/** One long transfer, timed, its sum compared, with the memory that it took. */
async function transfer(what: string, body: (source: string) => Promise<string>): Promise<void> {
  const before = await memory();
  let most = before;
  const watch = setInterval(() => void memory().then((now) => (most = { bridge: Math.max(most.bridge, now.bridge), helper: Math.max(most.helper, now.helper) })), 1_000);
  const source = `openssl enc -aes-128-ctr -nosalt -K 00112233445566778899aabbccddeeff -iv 0 -in /dev/zero 2>/dev/null | head -c ${BYTES}`;
  const sum = (await new Program('sh', ['-c', `${source} | sha256sum`], {}).done).stdout.toString();
  const began = performance.now();
  const cpu = await cpuSeconds(lab.bridge.pid);
  expect(await body(source)).toBe(sum);
  const seconds = (performance.now() - began) / 1000;
  clearInterval(watch);
  say(`${what} ${(BYTES / 1e9).toFixed(2)} GB in ${seconds.toFixed(0)} s: ${(BYTES / 1e6 / seconds).toFixed(1)} MB/s, bridge ${((await cpuSeconds(lab.bridge.pid)) - cpu).toFixed(0)} s of processor`);
  say(`memory: bridge ${mib(before.bridge)} then at most ${mib(most.bridge)}, helper ${mib(before.helper)} then at most ${mib(most.helper)}`);
  expect(most.bridge).toBeLessThan(before.bridge + 150);
}

load('transfer-down', () =>
  transfer('down', async (source) => {
    // Hashed as it comes: it is more than a program's output is kept for.
    const client = ssh(['host', source], 'open');
    client.child.stdout?.removeAllListeners('data');
    const hash = createHash('sha256');
    client.child.stdout?.on('data', (bytes: Buffer) => hash.update(bytes));
    await client.done;
    return `${hash.digest('hex')}  -\n`;
  }),
);

load('transfer-up', () =>
  transfer('up', async (source) => {
    const options = lab.sshOptions().map((word) => `'${word}'`).join(' ');
    return (await new Program('sh', ['-c', `${source} | ssh ${options} host sha256sum`], {}).done).stdout.toString();
  }),
);
