/** Pieces of a tool's standard error that are kept, and the most bytes of each. */
const ERRORS_KEPT = 64;
const ERROR_BYTES = 1024;

/** Runs one after the other, in the order asked for. */
export class Sequence {
  #tail: Promise<unknown> = Promise.resolve();

  run<T>(step: () => Promise<T>): Promise<T> {
    const next = this.#tail.then(step, step);
    this.#tail = next.catch(() => undefined);
    return next;
  }
}

/** Standard error is kept to tell what went wrong, not for a device that never stops. */
export function remember(errors: Buffer[], bytes: Buffer): void {
  if (errors.length < ERRORS_KEPT) errors.push(Buffer.from(bytes.subarray(0, ERROR_BYTES)));
}
