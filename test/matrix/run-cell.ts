/** One cell of the matrix: a device of its own, each check on both ways to it. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Scope } from '../support/scope.js';
import type { Stack } from '../support/stack.js';
import { startCell, type Cell } from './cells.js';
import { CHECKS } from './checks.js';
import { differences, Side } from './observe.js';
import type { Result } from './report.js';

/** So much of each log is shown when a stack does not work, in characters. */
const LOG_CHARS = 1_500;

/** Runs the checks whose names match; rejects never, what is wrong is in the result. */
export async function runCell(cell: Cell, only?: RegExp): Promise<Result> {
  const began = performance.now();
  const checks = CHECKS.filter((check) => only?.test(check.name) ?? true);
  const wrong: Result['wrong'] = [];
  const scope = new Scope();
  let stack: Stack | undefined;
  try {
    const running = await startCell(scope, cell);
    stack = running;
    const dir = await scope.tempDir('matrix');
    const side = async (name: string, target: Stack['direct']): Promise<Side> => {
      await mkdir(join(dir, name));
      const one = new Side(name, target, join(dir, name));
      await one.open(scope);
      return one;
    };
    const [direct, bridge] = [await side('direct', running.direct), await side('bridge', running)];
    for (const check of checks) {
      const why = await compare(() => check.look(direct, cell), () => check.look(bridge, cell), check.differs?.(cell));
      if (why !== undefined) wrong.push({ check: check.name, why });
    }
  } catch (error) {
    wrong.push({ check: 'the stack', why: `${String(error)}${stack === undefined ? '' : lastWords(stack)}` });
  }
  try {
    await scope.end();
  } catch (error) {
    wrong.push({ check: 'the end', why: String(error) });
  }
  return { cell, seconds: (performance.now() - began) / 1000, checks: checks.length, wrong };
}

/** The end of what each part of the stack has logged, and whether it still runs. */
function lastWords(stack: Stack): string {
  const parts = { sshd: stack.sshd.program, relay: stack.relay, device: stack.device, bridge: stack.bridge };
  return Object.entries(parts).map(([name, part]) => `\n${name} (${part.running ? 'runs' : 'has ended'}): ${part.stderr.slice(-LOG_CHARS)}`).join('');
}

/** Why the two sights are not as they should be, or undefined. */
async function compare(direct: () => Promise<unknown>, bridge: () => Promise<unknown>, differs: string | undefined): Promise<string | undefined> {
  try {
    const [reference, ours] = await Promise.all([direct(), bridge()]);
    const found = differences(ours, reference);
    if (found.length > 0) return differs === undefined ? found.join('\n') : undefined;
    return differs === undefined ? undefined : `it is as under sshd now, so this reason has to go: ${differs}`;
  } catch (error) {
    return String(error);
  }
}
