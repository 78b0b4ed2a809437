/** What takes the python helper's program line by line, stage 1 and the guard, given damaged lines before the right one. */
import { spawn } from 'node:child_process';
import { deflateSync, inflateSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { silentLog } from '../../src/base/log.js';
import { guardProgram } from '../../src/helper/python/program.js';
import { PythonBackend } from '../../src/helper/python-backend.js';
import type { Carrier } from '../../src/link/carrier.js';
import { seeded } from '../support/lossy-carrier.js';
import { PYTHON } from '../support/py/run.js';
import { mutate } from './engine.js';

const SECONDS = process.env['FUZZ_SECONDS'];
const SEED = Number(process.env['FUZZ_SEED'] ?? 1);
/** Damaged lines that one process is given; each process takes a tenth of a second to start. */
const LINES = 120;
/** A shorter line is passed over, a longer one complained of. */
const SHORT_CHARS = 99;

/** The line by which stage 1 is started, with a mark that it chose, and the word by which it complains. */
async function stage1(): Promise<{ script: string; mark: string }> {
  let script = '';
  const carrier: Carrier = { maxWrite: 9_000, buffered: 0, write: () => undefined, onText: () => undefined, onLost: () => undefined };
  const abort = new AbortController();
  const boot = { facts: { python3: 'yes' }, run: (line: string) => { script ||= line; } };
  const attached = new PythonBackend({ graceSeconds: 600, log: silentLog() }).attach(carrier, boot, abort.signal);
  abort.abort();
  await expect(attached).rejects.toThrow();
  return { script: script.split('\n')[0] ?? '', mark: /_I=(\w+)/.exec(script)?.[1] ?? '' };
}

function guard(): { script: string; mark: string } {
  const text = inflateSync(Buffer.from(guardProgram('mark'), 'base64')).toString();
  return { script: `exec '${PYTHON ?? ''}' -c '${text.replaceAll("'", `'\\''`)}'`, mark: 'mark' };
}

async function output(script: string, input: Buffer): Promise<string> {
  const child = spawn('/bin/sh', ['-c', script], { stdio: ['pipe', 'pipe', 'pipe'] });
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  child.stdout.on('data', (bytes: Buffer) => out.push(bytes));
  child.stderr.on('data', (bytes: Buffer) => err.push(bytes));
  child.stdin.on('error', () => undefined);
  child.stdin.end(input);
  await new Promise((resolve) => child.once('close', resolve));
  expect(Buffer.concat(err).toString()).toBe('');
  return Buffer.concat(out).toString();
}

describe.runIf(PYTHON !== undefined)('fuzzing the start of the python helper', () => {
  it.each([['stage 1', stage1], ['the guard', guard]])('%s runs nothing but the whole program, and takes nothing behind it', { timeout: Number(SECONDS ?? 0) * 1_000 + 60_000 }, async (_, get) => {
    const random = seeded(SEED);
    const deadline = performance.now() + Number(SECONDS ?? 0) * 1_000;
    const { script, mark } = await get();
    const program = `import os\n# ${Array.from({ length: 200 }, () => Math.floor(random() * 1e6).toString(36)).join('')}\nos.write(1,b"RAN"+os.read(0,9))\n`;
    const whole = deflateSync(Buffer.from(program)).toString('base64');
    do {
      const lines = Array.from({ length: LINES }, () => damaged(Buffer.from(whole), random));
      const said = await output(script, Buffer.concat([...lines, Buffer.from(`\n${whole}\nbehind`)]));
      const complaint = `@NAK-${mark}@`;
      const complaints = Buffer.concat(lines).toString('latin1').split('\n').filter((line) => line.length >= SHORT_CHARS).length;
      expect(said).toBe(`${complaint.repeat(complaints)}RANbehind`);
    } while (performance.now() < deadline);
  });
});

/** Never one that is still the program: what is no base64 is passed over, and padding may end it or not. */
function damaged(whole: Buffer, random: () => number): Buffer {
  for (;;) {
    const line = Buffer.concat([random() < 0.2 ? whole.subarray(0, Math.floor(random() * whole.length)) : mutate(whole, [whole], ['=', '==', '\n', ':', ';'], random), Buffer.from('\n')]);
    const parts = line.toString('latin1').split('\n').map((part) => part.replace(/[^A-Za-z0-9+/=]/g, ''));
    if (!parts.some((part) => decodes(part) || decodes(part.replaceAll('=', '')))) return line;
  }
}

function decodes(text: string): boolean {
  try {
    inflateSync(Buffer.from(text, 'base64'));
    return true;
  } catch {
    return false;
  }
}
