/** Whether the device is at the other end of the tunnel, as far as anybody says, and the wait until it is. */
import { Deadline } from '../base/deadline.js';
import type { Fault } from '../base/errors.js';
import type { Tunnel } from '../tunnel/tunnel.js';
import { DeviceAbsent } from './faults.js';

/** After a device leg went away: for its return before a login is tried regardless. */
export const DEVICE_RETURN_MS = 3_000;

/**
 * While somebody waits, the tunnel is opened again after this at the latest; its own ladder is for
 * nobody's sake and goes up to half a minute.
 */
const HURRY_MS = 5_000;

export class DeviceLeg {
  readonly #tunnel: Tunnel;
  readonly #waitMs: number;
  #present = false;
  #assumed = false;
  #lostAt = 0;
  /** Why the tunnel is not open, while it is not. */
  #unreachable: Fault | undefined;
  #ended: Fault | undefined;
  #returnTimer: NodeJS.Timeout | undefined;
  #waiters: (() => void)[] = [];

  /** `waitMs`: how long a login waits for the device. */
  constructor(tunnel: Tunnel, waitMs: number) {
    this.#tunnel = tunnel;
    this.#waitMs = waitMs;
  }

  /** Nobody said that the device is there; it is tried all the same. */
  get assumed(): boolean {
    return this.#assumed;
  }

  tunnelOpened(): void {
    this.#unreachable = undefined;
  }

  tunnelLost(cause: Fault): void {
    this.#present = false;
    this.#lostAt = performance.now();
    this.#unreachable = cause;
  }

  up(assumed: boolean): void {
    clearTimeout(this.#returnTimer);
    this.#assumed = assumed;
    this.#arrive();
  }

  /** Unknown until the tunnel says so anew. */
  forget(): void {
    this.#present = false;
  }

  /** It may be gone: a connect sent now would be lost with it. */
  mayBeGone(): void {
    this.#present = false;
    clearTimeout(this.#returnTimer);
    this.#returnTimer = setTimeout(() => {
      if (this.#ended === undefined && this.#tunnel.state === 'open') this.#arrive();
    }, DEVICE_RETURN_MS);
  }

  /** Nobody need wait any longer. */
  end(fault: Fault): void {
    clearTimeout(this.#returnTimer);
    this.#ended ??= fault;
    this.#wake();
  }

  /** Resolves when a login may be sent. Rejects with DeviceAbsent in the end, or why everything is over. */
  async wait(signal: AbortSignal): Promise<void> {
    const deadline = new Deadline(this.#waitMs, signal);
    const hurry = setInterval(() => {
      if (this.#tunnel.state !== 'waiting' || performance.now() - this.#lostAt < HURRY_MS) return;
      const cause = this.#unreachable;
      this.#tunnel.reset('a session waits for the tunnel');
      // Our impatience is not why it is not open.
      this.#unreachable = cause;
    }, HURRY_MS / 5);
    try {
      while (!this.#present) {
        if (this.#ended !== undefined) throw this.#ended;
        if (deadline.signal.aborted) throw new DeviceAbsent('has not come to', this.#unreachable);
        await new Promise<void>((resolve) => {
          this.#waiters.push(resolve);
          deadline.signal.addEventListener('abort', () => {
            resolve();
          }, { once: true });
        });
      }
    } finally {
      deadline.clear();
      clearInterval(hurry);
    }
  }

  #arrive(): void {
    this.#present = true;
    this.#wake();
  }

  #wake(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) waiter();
  }
}
