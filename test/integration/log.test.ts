/** The log of a program whose standard error nobody reads for a while. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { spawn as spawnOnPty } from '@lydell/node-pty';
import { describe, expect, it } from 'vitest';
import { WAITING_LIMIT_BYTES } from '../../src/base/stderr.js';
import { Scope } from '../support/scope.js';
import { waitFor } from '../support/wait.js';

const LINES = 6_000;
const PROGRAM = `
  const { createLog } = await import(process.argv[1]);
  const log = createLog({ level: 'info', format: process.argv[2] });
  for (let n = 0; n < ${LINES}; n += 1) log.info({ n, filling: 'x'.repeat(400) }, 'line');
  // Written by a later turn of the loop, which therefore goes round.
  setTimeout(() => process.stdout.write('alive\\n'), 20);
  process.stdin.once('data', () => { log.info('the end'); process.exit(3); });
`;

/** Its standard streams are one terminal: it says in a file that it lives. */
const ON_A_TERMINAL = `
  const { createLog } = await import(process.argv[1]);
  const { writeFileSync } = await import('node:fs');
  const log = createLog({ level: 'info', format: 'text' });
  for (let n = 0; n < ${LINES}; n += 1) log.info({ n, filling: 'x'.repeat(400) }, 'line');
  setTimeout(() => {
    writeFileSync(process.argv[2], 'alive');
    process.exit(3);
  }, 20);
`;

it('a log on a terminal that stands still stops nothing', async () => {
  const scope = new Scope();
  try {
    const file = join(await scope.tempDir('log'), 'alive');
    const log = new URL('../../dist/base/log.js', import.meta.url).href;
    const terminal = spawnOnPty(process.execPath, ['--input-type=module', '-e', ON_A_TERMINAL, log, file], {});
    terminal.pause();
    const ended = new Promise<number>((resolve) => {
      terminal.onExit(({ exitCode }) => {
        resolve(exitCode);
      });
    });
    await waitFor('the program to go on', () => existsSync(file));
    terminal.resume();
    expect(await ended).toBe(3);
  } finally {
    await scope.end();
  }
});

describe.each(['text', 'json'])('a log that nobody reads (%s)', (format) => {
  it('stops nothing; what fits is there when it is read, and the end is told', async () => {
    const log = new URL('../../dist/base/log.js', import.meta.url).href;
    const child = spawn(process.execPath, ['--input-type=module', '-e', PROGRAM, log, format], { stdio: 'pipe' });
    const ended = once(child, 'close');
    const [alive] = (await once(child.stdout, 'data')) as [Buffer];
    expect(alive.toString()).toBe('alive\n');
    let text = '';
    child.stderr.on('data', (bytes: Buffer) => (text += bytes.toString()));
    // More than that waits nowhere but in the pipe: there is room for a line again.
    await waitFor('what was kept', () => text.length >= WAITING_LIMIT_BYTES);
    child.stdin.write('go\n');
    expect((await ended)[0]).toBe(3);
    const lines = text.trimEnd().split('\n');
    const kept = lines.length - 2;
    expect(kept).toBeGreaterThan(1_000);
    expect(kept).toBeLessThan(LINES);
    lines.slice(0, kept).forEach((line, n) => {
      expect(line).toMatch(format === 'json' ? new RegExp(`"n":${n},.*"msg":"line"}$`) : new RegExp(`line .*"n":${n},`));
    });
    expect(lines.at(-2)).toContain('lines were left out here: nobody read the log');
    expect(lines.at(-2)).toMatch(new RegExp(`"leftOut":${LINES - kept}`));
    expect(lines.at(-1)).toContain('the end');
  });

  it('does not keep the program from ending', async () => {
    const log = new URL('../../dist/base/log.js', import.meta.url).href;
    const child = spawn(process.execPath, ['--input-type=module', '-e', PROGRAM, log, format], { stdio: 'pipe' });
    const ended = once(child, 'exit');
    await once(child.stdout, 'data');
    child.stdin.write('go\n');
    expect((await ended)[0]).toBe(3);
    child.stderr.destroy();
  });
});
