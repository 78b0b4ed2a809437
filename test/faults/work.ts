/**
 * What real clients do while faults strike. Each piece of work knows what must come out of it, to the
 * byte; its judgement is one of `ok`, `cut` (the client was told so and ended with its code for a
 * broken connection, and what it had got until then was right), or an error that says what was wrong.
 */
import { randomInt } from 'node:crypto';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { freePort } from '../support/ports.js';
import { Program, run, type Run } from '../support/program.js';
import { waitFor } from '../support/wait.js';
import { noise, sha256, type Chance } from './chance.js';
import { BLOB_BYTES, type Lab } from './lab.js';

export interface Task {
  lab: Lab;
  /** Unique; also the seed of the data. */
  name: string;
  chance: Chance;
  /** Everything ends by then or counts as hung. */
  deadlineMs: number;
  /** To be called when data flows, so that faults strike in the middle. */
  begun(): void;
  /** Programs of the work, to be ended if the run goes wrong. */
  programs: Program[];
}

export interface Judgement {
  verdict: 'ok' | 'cut';
  /** For `cut`: what the client's user read. */
  said?: string;
}

export type Work = (task: Task) => Promise<Judgement>;

export const OK: Judgement = { verdict: 'ok' };
/** Milliseconds between two pieces of paced input. */
const PACE_MS = 60;

export class Wrong extends Error {}

function start(task: Task, file: string, args: readonly string[], input?: 'open' | Buffer): Program {
  const program = new Program(file, args, {
    input,
    cwd: task.lab.dir,
    timeoutMs: task.deadlineMs,
    env: { SSH_AUTH_SOCK: undefined },
  });
  task.programs.push(program);
  return program;
}

export function ssh(task: Task, args: readonly string[], input?: 'open' | Buffer): Program {
  return start(task, 'ssh', [...task.lab.sshOptions(), ...args], input);
}

/** The words of ssh for a connection that ended under it; ours are in the first line. */
export function sentence(stderr: string): string {
  return stderr
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .join(' | ')
    .slice(0, 300);
}

/** Ended as a client does whose connection broke: with 255 and words to say so. */
export function cutBy(result: Run, codes: readonly number[] = [255]): Judgement | undefined {
  // sftp and scp may be just writing to the ssh that they started when that ends.
  const broken = result.signal === 'SIGPIPE' && codes.length > 1;
  if (!broken && (result.status === null || !codes.includes(result.status))) return undefined;
  const said = sentence(result.stderr.toString());
  if (said === '') throw new Wrong(`ended with ${result.status} and without a word`);
  return { verdict: 'cut', said };
}

function expectPrefix(what: string, got: Buffer, whole: Buffer): void {
  if (!got.equals(whole.subarray(0, got.length))) throw new Wrong(`${what}: ${got.length} bytes that are no beginning of the right ones`);
}

function expectWhole(what: string, got: Buffer, whole: Buffer): void {
  if (got.equals(whole)) return;
  const at = got.findIndex((byte, i) => byte !== whole[i]);
  throw new Wrong(`${what}: ${got.length} bytes instead of ${whole.length}, different from offset ${at < 0 ? got.length : at}`);
}

/** Writes `data` in pieces over about `ms`, as a program does that makes it as it goes. */
async function feed(program: Program, data: Buffer, ms: number, begun: () => void): Promise<void> {
  const stdin = program.child.stdin;
  if (stdin === null) return;
  const pieces = Math.max(1, Math.round(ms / PACE_MS));
  const size = Math.ceil(data.length / pieces);
  for (let at = 0; at < data.length && program.running; at += size) {
    // A program that has just ended drains no more and says so no more.
    if (!stdin.write(data.subarray(at, at + size))) await Promise.race([new Promise((resolve) => stdin.once('drain', resolve)), program.exited]);
    begun();
    await new Promise((resolve) => setTimeout(resolve, PACE_MS));
  }
  stdin.end();
}

/** `ssh device sha256sum`: up only, with a status and words on stderr at the end. */
const up: Work = async (task) => {
  const data = noise(task.name, task.chance.whole(200_000, 3_000_000));
  const program = ssh(task, ['host', 'sha256sum; echo over >&2; exit 3'], 'open');
  await feed(program, data, task.chance.between(1500, 4000), task.begun);
  const result = await program.done;
  const cut = cutBy(result);
  if (cut !== undefined) return cut;
  expectWhole('sum', result.stdout, Buffer.from(`${sha256(data)}  -\n`));
  expectWhole('stderr', result.stderr, Buffer.from('over\n'));
  if (result.status !== 3) throw new Wrong(`status ${result.status} instead of 3`);
  return OK;
};

/** `ssh device cat`: both ways at once. */
const both: Work = async (task) => {
  const data = noise(task.name, task.chance.whole(200_000, 2_000_000));
  const program = ssh(task, ['host', 'cat'], 'open');
  await feed(program, data, task.chance.between(1500, 4000), task.begun);
  const result = await program.done;
  const cut = cutBy(result);
  if (cut !== undefined) {
    expectPrefix('echo', result.stdout, data);
    return cut;
  }
  expectWhole('echo', result.stdout, data);
  if (result.status !== 0 || result.stderr.length > 0) throw new Wrong(`status ${result.status}, stderr ${sentence(result.stderr.toString())}`);
  return OK;
};

/** A program that prints as it goes, on both streams, and ends with a status of its own. */
const down: Work = async (task) => {
  const blocks = task.chance.whole(10, 40);
  const status = task.chance.whole(0, 200);
  const script = `i=0; while [ $i -lt ${blocks} ]; do dd if=blob bs=65536 skip=$i count=1 2>/dev/null; echo $i >&2; i=$((i+1)); sleep 0.08; done; exit ${status}`;
  const program = ssh(task, ['host', script]);
  void waitFor('output', () => program.stdout.length > 0, task.deadlineMs).then(task.begun, () => undefined);
  const result = await program.done;
  const whole = noise('blob', blocks * 65536);
  const cut = status === 255 ? undefined : cutBy(result);
  if (cut !== undefined) {
    expectPrefix('output', result.stdout, whole);
    return cut;
  }
  expectWhole('output', result.stdout, whole);
  expectWhole('stderr', result.stderr, Buffer.from(Array.from({ length: blocks }, (_, i) => `${i}\n`).join('')));
  if (result.status !== status) throw new Wrong(`status ${result.status} instead of ${status}`);
  return OK;
};

/** As fast as it goes: the largest flood in both directions. */
const bulk: Work = async (task) => {
  const data = noise(task.name, task.chance.whole(2_000_000, 6_000_000));
  const program = ssh(task, ['host', `cat blob; cat`], data);
  void waitFor('output', () => program.child.stdout?.readableFlowing !== null && program.stdout.length > 0, task.deadlineMs).then(task.begun, () => undefined);
  const result = await program.done;
  const whole = Buffer.concat([noise('blob', BLOB_BYTES), data]);
  const cut = cutBy(result);
  if (cut !== undefined) {
    expectPrefix('output', result.stdout, whole);
    return cut;
  }
  expectWhole('output', result.stdout, whole);
  if (result.status !== 0) throw new Wrong(`status ${result.status} instead of 0`);
  return OK;
};

/** Many short commands, one connection each, some in parallel. */
const storm: Work = async (task) => {
  let cut: Judgement | undefined;
  const one = async (n: number): Promise<void> => {
    const status = task.chance.whole(0, 250);
    const bytes = task.chance.whole(0, 3000);
    const text = noise(`${task.name}-${n}`, bytes).toString('hex').slice(0, bytes);
    const result = await ssh(task, ['host', `read -r x; printf '%s' "$x"; printf '%s' ${n} >&2; exit ${status}`], Buffer.from(`${text}\n`)).done;
    task.begun();
    const broken = cutBy(result);
    if (broken !== undefined) {
      cut = broken;
      return;
    }
    expectWhole(`command ${n}`, result.stdout, Buffer.from(text));
    expectWhole(`stderr ${n}`, result.stderr, Buffer.from(String(n)));
    if (result.status !== status) throw new Wrong(`command ${n}: status ${result.status} instead of ${status}`);
  };
  const lane = async (first: number): Promise<void> => {
    for (let n = first; n < first + 6 && cut === undefined; n += 1) await one(n);
  };
  await Promise.all([lane(0), lane(100)]);
  return cut ?? OK;
};

/** The same through one connection (ControlMaster), as Ansible does. */
const sessions: Work = async (task) => {
  const socket = join(task.lab.dir, `cm-${randomInt(1e9)}`);
  const master = ssh(task, ['-M', '-N', '-o', `ControlPath=${socket}`, 'host']);
  const ready = await waitFor('the control socket', async () => !master.running || ((await readdir(task.lab.dir)).includes(socket.split('/').at(-1) ?? '') && 'yes'), task.deadlineMs);
  let cut: Judgement | undefined;
  if (ready === 'yes') {
    const lane = async (first: number): Promise<void> => {
      for (let n = first; n < first + 15 && cut === undefined; n += 1) {
        const result = await ssh(task, ['-S', socket, 'host', `echo ${n}; echo e${n} >&2; exit ${n}`]).done;
        task.begun();
        // Without its master a client tries the socket, then a connection of its own.
        if (result.status === 255) {
          cut = { verdict: 'cut', said: sentence(result.stderr.toString()) };
          return;
        }
        expectWhole(`command ${n}`, result.stdout, Buffer.from(`${n}\n`));
        expectWhole(`stderr ${n}`, result.stderr, Buffer.from(`e${n}\n`));
        if (result.status !== n) throw new Wrong(`command ${n}: status ${result.status}`);
      }
    };
    await Promise.all([lane(0), lane(50), lane(100)]);
  }
  if (master.running) await run('ssh', ['-S', socket, '-O', 'exit', 'host']);
  const result = await master.done;
  if (cut !== undefined && cut.said === '') cut = { verdict: 'cut', said: sentence(result.stderr.toString()) };
  if (cut === undefined && ready !== 'yes') return cutBy(result) ?? { verdict: 'cut', said: sentence(result.stderr.toString()) };
  return cut ?? OK;
};

/** `sftp` put and get in one batch. */
const sftp: Work = async (task) => {
  const folder = await task.lab.deviceFolder(task.name);
  const local = await task.lab.localFolder(task.name);
  const data = noise(task.name, task.chance.whole(500_000, 4_000_000));
  await writeFile(join(local, 'up'), data);
  const batch = `put ${join(local, 'up')} ${folder}/file\nget ${folder}/file ${join(local, 'back')}\n`;
  const program = start(task, 'sftp', [...task.lab.sshOptions(), '-b', '-', 'host'], Buffer.from(batch));
  setTimeout(task.begun, 300);
  const result = await program.done;
  const cut = cutBy(result, [1, 255]);
  if (cut !== undefined) return cut;
  if (result.status !== 0) throw new Wrong(`status ${result.status}: ${sentence(result.stderr.toString())}`);
  expectWhole('file on the device', await readFile(join(folder, 'file')), data);
  expectWhole('file that came back', await readFile(join(local, 'back')), data);
  return OK;
};

/** `scp` there and back, with the old protocol every other time. */
const scp: Work = async (task) => {
  const folder = await task.lab.deviceFolder(task.name);
  const local = await task.lab.localFolder(task.name);
  const data = noise(task.name, task.chance.whole(500_000, 4_000_000));
  await writeFile(join(local, 'up'), data);
  const old = task.chance.pick([[], ['-O']]);
  setTimeout(task.begun, 300);
  for (const [from, to] of [[join(local, 'up'), `host:${folder}/file`], [`host:${folder}/file`, join(local, 'back')]] as const) {
    const result = await start(task, 'scp', [...old, ...task.lab.sshOptions(), from, to]).done;
    const cut = cutBy(result, [1, 255]);
    if (cut !== undefined) return cut;
    if (result.status !== 0) throw new Wrong(`status ${result.status}: ${sentence(result.stderr.toString())}`);
  }
  expectWhole('file on the device', await readFile(join(folder, 'file')), data);
  expectWhole('file that came back', await readFile(join(local, 'back')), data);
  return OK;
};

/** `rsync` of a small tree there and back. */
const rsync: Work = async (task) => {
  const folder = await task.lab.deviceFolder(task.name);
  const local = await task.lab.localFolder(task.name);
  const files = new Map<string, Buffer>();
  await mkdir(join(local, 'tree'));
  for (let n = 0; n < 30; n += 1) {
    const data = noise(`${task.name}-${n}`, task.chance.whole(0, 120_000));
    files.set(`f${n}`, data);
    await writeFile(join(local, 'tree', `f${n}`), data);
  }
  const shell = `ssh ${task.lab.sshOptions().join(' ')}`;
  setTimeout(task.begun, 300);
  for (const [from, to] of [[`${join(local, 'tree')}/`, `host:${folder}/tree/`], [`host:${folder}/tree/`, `${join(local, 'back')}/`]] as const) {
    const result = await start(task, 'rsync', ['-a', '-e', shell, from, to]).done;
    const cut = cutBy(result, [255, 12, 11, 30, 35, 10, 20]);
    if (cut !== undefined) return cut;
    if (result.status !== 0) throw new Wrong(`status ${result.status}: ${sentence(result.stderr.toString())}`);
  }
  for (const [name, data] of files) {
    expectWhole(`${name} on the device`, await readFile(join(folder, 'tree', name)), data);
    expectWhole(`${name} that came back`, await readFile(join(local, 'back', name)), data);
  }
  return OK;
};

/** `ssh -L`: a connection through the device to an echo server, both ways at once, with EOF. */
const forward: Work = async (task) => {
  const data = noise(task.name, task.chance.whole(500_000, 3_000_000));
  const port = await freePort();
  const program = ssh(task, ['-N', '-o', 'ExitOnForwardFailure=yes', '-L', `127.0.0.1:${port}:127.0.0.1:${task.lab.echoPort}`, 'host']);
  const socket = await waitFor<Socket | 'ended'>('the forwarding', async () => (program.running ? await reach(port) : 'ended'), task.deadlineMs);
  if (socket === 'ended') return cutBy(await program.done) ?? { verdict: 'cut', said: '' };
  const got: Buffer[] = [];
  let ended = false;
  socket.on('data', (bytes) => got.push(bytes));
  const over = new Promise<void>((resolve) => {
    socket.once('end', () => {
      ended = true;
      resolve();
    });
    socket.once('close', () => resolve());
    socket.once('error', () => resolve());
  });
  const pieces = task.chance.whole(10, 50);
  const size = Math.ceil(data.length / pieces);
  for (let at = 0; at < data.length && !socket.destroyed; at += size) {
    socket.write(data.subarray(at, at + size));
    task.begun();
    await new Promise((resolve) => setTimeout(resolve, PACE_MS));
  }
  socket.end();
  const deadline = new Promise<void>((_resolve, reject) => setTimeout(() => reject(new Wrong('the forwarded connection hung')), task.deadlineMs).unref());
  await Promise.race([over, deadline]);
  const result = Buffer.concat(got);
  if (ended && result.length === data.length) {
    expectWhole('echo', result, data);
    program.kill('SIGTERM');
    await program.done;
    return OK;
  }
  expectPrefix('echo', result, data);
  // The connection was cut: then so must be the client that carried it.
  const end = await Promise.race([program.done, new Promise<undefined>((resolve) => setTimeout(() => resolve(undefined), 10_000))]);
  if (end === undefined && task.lab.options.tier === 'sh') {
    // There each channel has its own part of the helper, and no more ends with that than the connection.
    program.kill('SIGTERM');
    await program.done;
    return { verdict: 'cut' };
  }
  if (end === undefined) throw new Wrong(`the forwarded connection ended after ${result.length} of ${data.length} bytes although ssh lives`);
  return cutBy(end) ?? { verdict: 'cut', said: '' };
};

function reach(port: number): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true });
    socket.once('connect', () => resolve(socket));
    socket.once('error', () => resolve(undefined));
  });
}

/** The device's service behind -L: sends back what comes, half-closes after it. */
export async function startEchoServer(): Promise<{ server: Server; port: number }> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => undefined);
    socket.pipe(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return { server, port: address.port };
}

export const WORKS = { up, both, down, bulk, storm, sessions, sftp, scp, rsync, forward } as const satisfies Record<string, Work>;
export type WorkName = keyof typeof WORKS;
