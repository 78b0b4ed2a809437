/**
 * `npm run bench`: the bridge against direct ssh to the same sshd, with the same delay on both sides,
 * in one run. Prints one table and writes bench/RESULTS.md. Nothing here fails for being slow.
 */
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { afterAll, test } from 'vitest';
import { run } from '../test/support/program.js';
import { Scope } from '../test/support/scope.js';
import { ssh, sshOptions, type Target } from '../test/support/ssh.js';
import { startStack } from '../test/support/stack.js';
import { delayProxy } from './delay-proxy.js';
import { echoes } from './echo.js';
import { markdown, median, type Row } from './table.js';

const scope = new Scope();
afterAll(() => scope.end());
const rows: Row[] = [];
const MB = 1024 * 1024;
const SIZE = 32 * MB;

async function seconds(work: () => Promise<{ status: number | null }>): Promise<number> {
  const start = performance.now();
  const { status } = await work();
  if (status !== 0) throw new Error(`a measured command ended with ${String(status)}`);
  return (performance.now() - start) / 1000;
}

/** Medians of the same work on both sides, in turn, so that a drift of the machine meets both. */
async function pair(ours: Target, direct: Target, runs: number, work: (target: Target) => Promise<{ status: number | null }>): Promise<[number, number]> {
  const a: number[] = [];
  const b: number[] = [];
  for (let i = 0; i < runs; i += 1) {
    a.push(await seconds(() => work(ours)));
    b.push(await seconds(() => work(direct)));
  }
  return [median(a), median(b)];
}

function sftp(target: Target, batch: string): Promise<{ status: number | null }> {
  const args = ['-e', 'sftp', '-q', '-o', 'BatchMode=no', '-b', '-', ...sshOptions(target), '-P', String(target.port), `${target.user}@${target.host}`];
  return run('sshpass', args, { env: { SSHPASS: target.password }, input: batch, timeoutMs: 300_000 });
}

test.each([0, 50])('with %i ms one-way delay', async (delayMs) => {
  const stack = await startStack(scope, { delayMs });
  const proxy = await delayProxy(stack.direct.port, delayMs);
  const dir = await scope.tempDir('bench');
  const hosts = join(dir, 'known_hosts');
  const key = execFileSync('cut', ['-d', ' ', '-f', '2-', stack.direct.knownHosts]).toString().trim();
  await writeFile(hosts, `[127.0.0.1]:${String(proxy.port)} ${key}\n`);
  const direct: Target = { ...stack.direct, port: proxy.port, knownHosts: hosts };
  const at = `${String(delayMs)} ms: `;
  const against = 'direct ssh';

  await ssh(stack, ['true']);
  const [exec, execDirect] = await pair(stack, direct, 7, (target) => ssh(target, ['true']));
  rows.push({ name: `${at}exec with connection set-up`, ours: exec * 1000, other: execDirect * 1000, unit: 'ms', against, ...(delayMs === 50 ? { goal: '<= 0.25' } : {}) });

  for (const beside of ['nothing', 'upload', 'download'] as const) {
    const bulk = Buffer.alloc(6 * SIZE, randomBytes(1 * MB));
    const ours = await echoes(stack, join(dir, 'ours'), beside, bulk);
    const other = await echoes(direct, join(dir, 'direct'), beside, bulk);
    const rates = beside === 'nothing' ? '' : ` (beside it ${ours.rate.toFixed(1)} and ${other.rate.toFixed(1)} MB/s)`;
    const link = 2 * delayMs;
    const rest = { unit: 'ms', against } as const;
    rows.push({ name: `${at}echo beside ${beside}, median${rates}`, ours: ours.median, other: other.median, ...rest, ...(beside === 'nothing' ? { goal: `<= ${String(link + 3)} ms` } : {}) });
    rows.push({ name: `${at}echo beside ${beside}, 95 %`, ours: ours.p95, other: other.p95, ...rest, ...(beside === 'nothing' ? {} : { goal: `<= ${String(link + 30)} ms` }) });
  }

  const random = randomBytes(SIZE);
  const text = Buffer.from('2026-11-22T20:43:00Z gateway-7 sensor[311]: temperature 21.5 C, humidity 40 %\n'.repeat(SIZE / 80)).subarray(0, SIZE);
  for (const [kind, data] of [['random', random], ['text', text]] as const) {
    const [up, upDirect] = await pair(stack, direct, 3, (target) => ssh(target, ['cat >/dev/null'], { input: data, timeoutMs: 300_000 }));
    rows.push({ name: `${at}upload, ${kind}`, ours: SIZE / MB / up, other: SIZE / MB / upDirect, unit: 'MB/s', against });
    await ssh(stack.direct, [`cat > data-${kind}`], { input: data });
    const [down, downDirect] = await pair(stack, direct, 3, (target) => ssh(target, [`cat data-${kind}`], { timeoutMs: 300_000 }));
    rows.push({ name: `${at}download, ${kind}`, ours: SIZE / MB / down, other: SIZE / MB / downDirect, unit: 'MB/s', against });
  }

  const files = join(dir, 'files');
  await mkdir(files);
  for (let i = 0; i < 100; i += 1) await writeFile(join(files, `f${String(i)}`), randomBytes(1000));
  const [put, putDirect] = await pair(stack, direct, 1, (target) => sftp(target, `-mkdir small\nput ${files}/* small/\n`));
  rows.push({ name: `${at}sftp put of 100 small files`, ours: put, other: putDirect, unit: 's', against });
  const [get, getDirect] = await pair(stack, direct, 1, (target) => sftp(target, `get small/* ${dir}/\n`));
  rows.push({ name: `${at}sftp get of 100 small files`, ours: get, other: getDirect, unit: 's', against });
  proxy.close();
}, 900_000);

afterAll(async () => {
  const version = (file: string, ...args: string[]): string => execFileSync('sh', ['-c', `${[file, ...args].join(' ')} 2>&1 | head -1`]).toString().trim();
  const head = [
    '# Results of `npm run bench`',
    '',
    `${new Date().toISOString().slice(0, 10)}, ${String(cpus().length)} cores (${cpus()[0]?.model ?? 'unknown'}), Node ${process.version}, ${version('ssh', '-V')}, ${version('python3', '-V')}.`,
    'Both sides reach the same sshd on loopback; the relay (ours) and a TCP forwarder (direct) add the',
    'same delay. Times: smaller is better. Rates: larger is better. The goals are those in `bench/bridge.bench.ts`.',
    '',
  ];
  await writeFile(new URL('RESULTS.md', import.meta.url), [...head, markdown(rows)].join('\n'));
  process.stdout.write(`\n${markdown(rows)}\n`);
});
