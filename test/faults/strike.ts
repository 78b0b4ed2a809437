import { waitFor } from '../support/wait.js';

/** The fault found nothing to strike, or nobody felt it: the run says nothing, and counts as failed. */
export class Unstruck extends Error {
  constructor(what: string, cause?: unknown) {
    super(`did not strike: ${what}`, { cause });
  }
}

/** Waits until the fault has struck. */
export async function struck<T>(what: string, condition: () => T | undefined | null | false | Promise<T | undefined | null | false>, deadlineMs?: number): Promise<T> {
  try {
    return await waitFor(what, condition, deadlineMs);
  } catch (error) {
    throw new Unstruck(error instanceof Error ? error.message : String(error), error);
  }
}
