/**
 * Standard error as the log writes to it: at once, so that the last line before an end is there, and without waiting
 * for whoever reads it. A pager that stands still (`2>&1 | less`), or a terminal after Ctrl-S, would else stand the whole
 * bridge still.
 */
import { constants, openSync, writeSync } from 'node:fs';

/** Kept for a reader that is behind. What does not fit is left out as whole lines, and counted. */
export const WAITING_LIMIT_BYTES = 1024 * 1024;
const RETRY_MS = 50;
/** So long the end of the process waits for the reader. */
const FAREWELL_MS = 1000;

/** Writes some of the bytes and says how many; throws EAGAIN when none can be taken now. */
export type Put = (bytes: Buffer) => number;

export class PatientWriter {
  readonly #put: Put;
  #waiting: Buffer[] = [];
  #bytes = 0;
  #leftOut = 0;
  #retry: NodeJS.Timeout | undefined;
  #over = false;
  /** The line that says how many were left out before the next, in the form of the others. */
  notice: (leftOut: number) => string = (leftOut) => `iotda-ssh: ${String(leftOut)} lines were left out here: nobody read them.\n`;

  constructor(put: Put) {
    this.#put = put;
  }

  /** One line or more, each with its end. */
  write(text: string): void {
    if (this.#over) return;
    const line = Buffer.from(this.#leftOut > 0 ? this.notice(this.#leftOut) + text : text);
    if (this.#bytes + line.length > WAITING_LIMIT_BYTES) {
      this.#leftOut += 1;
      return;
    }
    this.#leftOut = 0;
    this.#waiting.push(line);
    this.#bytes += line.length;
    if (this.#retry === undefined) this.#write();
  }

  #write(): void {
    this.#retry = undefined;
    if (!this.#flush()) {
      this.#retry = setTimeout(() => {
        this.#write();
      }, RETRY_MS).unref();
    }
  }

  /** False when the reader takes no more now. */
  #flush(): boolean {
    try {
      for (let first = this.#waiting[0]; first !== undefined; first = this.#waiting[0]) {
        const written = this.#put(first);
        this.#bytes -= written;
        if (written === first.length) this.#waiting.shift();
        else this.#waiting[0] = first.subarray(written);
      }
    } catch (thrown) {
      if ((thrown as NodeJS.ErrnoException).code === 'EAGAIN') return false;
      // Nobody reads it any more, or there is no room for it: no reason to end.
      this.#over = (thrown as NodeJS.ErrnoException).code === 'EPIPE';
      this.#waiting = [];
      this.#bytes = 0;
    }
    return true;
  }

  /** For the end of the process: what waits, as far as it is read within a second. */
  finish(): void {
    const end = performance.now() + FAREWELL_MS;
    while (!this.#flush() && performance.now() < end) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10);
  }
}

/** Node makes a pipe one that does not wait when it is first asked for. A terminal (Ctrl-S) is opened once more for that. */
function openStandardError(): number {
  process.stderr.on('error', () => {});
  if (process.stderr.isTTY !== true) return 2;
  try {
    return openSync('/proc/self/fd/2', constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  } catch {
    // No /proc, or another user's terminal.
    return 2;
  }
}

const descriptor = openStandardError();
export const standardError = new PatientWriter((bytes) => writeSync(descriptor, bytes));
process.on('exit', () => {
  standardError.finish();
});
