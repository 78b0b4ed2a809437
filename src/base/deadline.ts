/**
 * A time limit as an AbortSignal. AbortSignal.timeout will not do: combined by AbortSignal.any, Node may
 * collect it as garbage before its time, and what waits for it waits for ever.
 */
export class Deadline {
  readonly #controller = new AbortController();
  readonly #timer: NodeJS.Timeout;
  readonly #parent: AbortSignal | undefined;
  /** The time is over, whatever became of the parent. */
  passed = false;

  /** Aborts after `ms` milliseconds, or with `parent`. */
  constructor(ms: number, parent?: AbortSignal) {
    this.#parent = parent;
    this.#timer = setTimeout(() => {
      this.passed = true;
      this.#controller.abort(new DOMException('The time is over.', 'TimeoutError'));
    }, ms);
    if (parent?.aborted === true) this.#follow();
    else parent?.addEventListener('abort', this.#follow, { once: true });
  }

  readonly #follow = (): void => {
    clearTimeout(this.#timer);
    this.#controller.abort(this.#parent?.reason);
  };

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** What was limited is done. */
  clear(): void {
    clearTimeout(this.#timer);
    this.#parent?.removeEventListener('abort', this.#follow);
  }
}

/** Waits so long, or until the signal aborts. */
export async function delay(ms: number, signal: AbortSignal): Promise<void> {
  const timer = new Deadline(ms, signal);
  await passed(timer.signal);
  timer.clear();
}

/** Resolves when the signal aborts, or has. */
export async function passed(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => {
    signal.addEventListener('abort', () => {
      resolve();
    }, { once: true });
  });
}
