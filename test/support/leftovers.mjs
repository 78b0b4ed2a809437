import { readdirSync, readFileSync } from 'node:fs';

/**
 * Ends what a run has left behind, known by the mark that each process of it inherits in its environment, and says what
 * it was: a run that was interrupted leaves programs; a test that does has a fault, or the program has.
 */
export function endLeftovers(mark) {
  const left = [];
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      if (!readFileSync(`/proc/${pid}/environ`, 'latin1').includes(mark)) continue;
      left.push(`${pid} ${readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', ' ').slice(0, 200)}`);
      process.kill(Number(pid), 'SIGKILL');
    } catch {
      // It ended while we looked.
    }
  }
  return left;
}
