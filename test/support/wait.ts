/** How often a condition is looked at; short, because every test waits through here. */
const POLL_MS = 20;

/** Deadline of one wait unless the test names another: long enough for two busy cores. */
export const WAIT_MS = 20_000;

/**
 * Waits until `condition` gives something other than undefined, null or false, and returns it.
 * Fails with `what` (a sentence part: "the ready file") when the deadline passes first.
 */
export async function waitFor<T>(
  what: string,
  condition: () => T | undefined | null | false | Promise<T | undefined | null | false>,
  deadlineMs = WAIT_MS,
): Promise<T> {
  const end = performance.now() + deadlineMs;
  for (;;) {
    const value = await condition();
    if (value !== undefined && value !== null && value !== false) return value;
    if (performance.now() > end) throw new Error(`waited ${deadlineMs} ms in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}
