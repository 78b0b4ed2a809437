import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { ssh, startSsh, type Target } from '../test/support/ssh.js';

const KEYS = 200;
const BETWEEN_MS = 15;
const LATE_MS = 30_000;

/** What a copy beside the typing does: nothing, standard input to the device, or output from it. */
export type Beside = 'nothing' | 'upload' | 'download';

export interface Echoes {
  /** From a key to its echo, in ms. */
  median: number;
  p95: number;
  /** What the copy reached meanwhile, in MB/s. */
  rate: number;
}

/**
 * Types keys into a terminal of the device, one after the other's echo, beside a copy in another channel
 * of the same connection that is longer than the typing.
 */
export async function echoes(target: Target, control: string, beside: Beside, bulk: Buffer): Promise<Echoes> {
  const mux = (mode: string): string[] => ['-o', `ControlPath=${control}`, '-o', `ControlMaster=${mode}`];
  const master = startSsh(target, [], { options: [...mux('yes'), '-N'] });
  for (let tries = 0; (await ssh(target, [], { options: [...mux('no'), '-O', 'check'] })).status !== 0; tries += 1) {
    if (tries > 200) throw new Error(`no master connection: ${master.stderr}`);
    await delay(50);
  }
  const terminal = startSsh(target, ['stty raw -echo; printf ready; exec cat'], { options: [...mux('no'), '-tt'], input: 'open' });
  let seen = '';
  terminal.child.stdout?.on('data', (bytes: Buffer) => (seen += bytes.toString('latin1')));
  const until = async (text: string): Promise<void> => {
    const signal = AbortSignal.timeout(LATE_MS);
    while (!seen.includes(text)) await once(terminal.child.stdout as NodeJS.ReadableStream, 'data', { signal });
  };
  await until('ready');
  const copy =
    beside === 'upload' ? startSsh(target, ['cat >/dev/null'], { options: mux('no'), input: bulk })
    : beside === 'download' ? startSsh(target, [`head -c ${String(bulk.length)} /dev/urandom`], { options: mux('no') })
    : undefined;
  const began = performance.now();
  let took = Number.NaN;
  void copy?.done.then(() => (took = performance.now() - began));
  if (copy !== undefined) await delay(500);
  const times: number[] = [];
  for (let key = 0; key < KEYS && (copy === undefined || copy.running); key += 1) {
    const text = `${String(1000 + key)};`;
    const at = performance.now();
    terminal.child.stdin?.write(text);
    await until(text);
    times.push(performance.now() - at);
    await delay(BETWEEN_MS);
  }
  await copy?.done;
  terminal.child.stdin?.end();
  await terminal.stop();
  await master.stop();
  times.sort((a, b) => a - b);
  const at = (share: number): number => times[Math.floor(times.length * share)] ?? Number.NaN;
  return { median: at(0.5), p95: at(0.95), rate: bulk.length / 1000 / took };
}
