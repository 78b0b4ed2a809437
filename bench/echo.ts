import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { Scope } from '../test/support/scope.js';
import { ssh, startSsh, type SshOptions, type Target } from '../test/support/ssh.js';
import { waitFor } from '../test/support/wait.js';

const KEYS = 200;
const BETWEEN_MS = 15;
const LATE_MS = 30_000;
const COPY_MS = 300_000;

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
  const scope = new Scope();
  try {
    return await measure(scope, target, control, beside, bulk);
  } finally {
    await scope.end();
  }
}

async function measure(scope: Scope, target: Target, control: string, beside: Beside, bulk: Buffer): Promise<Echoes> {
  const mux = (mode: string): string[] => ['-o', `ControlPath=${control}`, '-o', `ControlMaster=${mode}`];
  const started = (command: readonly string[], options: SshOptions): ReturnType<typeof startSsh> => {
    const program = startSsh(target, command, options);
    scope.add(() => program.stop());
    return program;
  };
  started([], { options: [...mux('yes'), '-N'] });
  await waitFor('the master connection', async () => (await ssh(target, [], { options: [...mux('no'), '-O', 'check'] })).status === 0);
  const terminal = started(['stty raw -echo; printf ready; exec cat'], { options: [...mux('no'), '-tt'], input: 'open' });
  let seen = '';
  terminal.child.stdout?.on('data', (bytes: Buffer) => (seen += bytes.toString('latin1')));
  const until = async (text: string): Promise<void> => {
    const signal = AbortSignal.timeout(LATE_MS);
    while (!seen.includes(text)) await once(terminal.child.stdout as NodeJS.ReadableStream, 'data', { signal });
  };
  await until('ready');
  const copy =
    beside === 'upload' ? started(['cat >/dev/null'], { options: mux('no'), input: bulk, timeoutMs: COPY_MS })
    : beside === 'download' ? started([`head -c ${String(bulk.length)} /dev/urandom`], { options: mux('no'), timeoutMs: COPY_MS })
    : undefined;
  const began = performance.now();
  let took = Number.NaN;
  copy?.done.then(() => (took = performance.now() - began), () => undefined);
  // The rate of the beginning is none.
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
  times.sort((a, b) => a - b);
  const at = (share: number): number => times[Math.floor(times.length * share)] ?? Number.NaN;
  return { median: at(0.5), p95: at(0.95), rate: bulk.length / 1000 / took };
}
