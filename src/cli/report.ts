/** What a person or a script reads on standard error when a command fails: built here alone. */
import type { Fault } from '../base/errors.js';
import type { LogFormat } from '../base/log.js';
import { visible } from '../base/words.js';

/** Deepest chain of causes that is shown. */
const CAUSES = 5;

/**
 * One line: the fault's sentence. A defect of ours adds the causes with their stacks, because
 * nobody can act on the sentence alone. JSON carries the code as well.
 */
export function faultText(fault: Fault, format: LogFormat): string {
  if (format === 'json') {
    return `${JSON.stringify({ level: 60, time: Date.now(), code: fault.code, msg: fault.message, ...(fault.code === 'INTERNAL' ? { stack: stacks(fault) } : {}) })}\n`;
  }
  const line = `iotda-ssh: ${visible(fault.message)}\n`;
  if (fault.code !== 'INTERNAL') return line;
  return `${line}This is a defect of iotda-ssh. Please report it with these lines:\n${stacks(fault)}\n`;
}

function stacks(fault: Fault): string {
  const lines: string[] = [];
  let next: unknown = fault;
  for (let depth = 0; depth < CAUSES && next !== undefined; depth++) {
    lines.push(next instanceof Error ? (next.stack ?? String(next)) : String(next));
    next = next instanceof Error ? next.cause : undefined;
  }
  return lines.join('\ncaused by: ');
}
