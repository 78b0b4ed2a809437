import { BOOT_ATTEMPT_MS, NoShell, ShellBusy } from '../helper/boot.js';

/** The boot line of a device that answered it in less than a quarter of this may be that quick again. */
const SHORTEST_MS = 2_000;
/** Each time that was too short is doubled for the next login, up to this: a device may be under load now. */
const LONGEST_MS = 15_000;

/** How long one try of the boot line may take, from what the device has shown so far. */
export class BootPatience {
  #ms = BOOT_ATTEMPT_MS;

  get ms(): number {
    return this.#ms;
  }

  /** It was answered, all tries together in so many milliseconds. */
  answered(tookMs: number): void {
    this.#ms = Math.min(BOOT_ATTEMPT_MS, Math.max(SHORTEST_MS, 4 * tookMs));
  }

  /** Only what the time was too short for counts: a session that is lost says nothing of the device. */
  failed(error: unknown): void {
    if (error instanceof ShellBusy || error instanceof NoShell) this.#ms = Math.min(2 * this.#ms, LONGEST_MS);
  }
}
