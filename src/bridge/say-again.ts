import { delay, type Deadline } from '../base/deadline.js';
import { toFault } from '../base/errors.js';
import type { Log } from '../base/log.js';
import type { Carrier } from '../link/carrier.js';
import { HelperGone } from '../mux/backend.js';

/** A device that refuses at once is not asked faster than this. */
const PAUSE_MS = 500;

export interface SayAgain {
  /** When it is given up. */
  limit: Deadline;
  login(): Promise<Carrier>;
  attach(carrier: Carrier): Promise<void>;
  /** True when the helper has confirmed. */
  farewell(): Promise<boolean>;
  /** Replaces the tunnel's connection. */
  reset(cause: string): void;
  log: Log;
}

/**
 * Says goodbye to the helper over new logins, since the old one did not carry it: a session that nobody used has died
 * unnoticed, or was being repaired. True when the helper is gone.
 */
export async function sayAgain({ limit, login, attach, farewell, reset, log }: SayAgain): Promise<boolean> {
  for (let attempt = 1; !limit.signal.aborted; attempt += 1) {
    try {
      log.info({ attempt }, 'the helper has not confirmed its end; logging in once more to tell it');
      await attach(await login());
      if (await farewell()) return true;
    } catch (thrown) {
      const fault = toFault(thrown);
      if (fault instanceof HelperGone) return true;
      log.debug({ attempt, reason: fault.message }, 'that did not work');
      // No tunnel, or a password that is no longer right: devices lock accounts after a few.
      if (fault.code === 'TUNNEL' || fault.code === 'DENIED') return false;
      if (attempt % 2 === 0) reset(fault.message);
    }
    await delay(PAUSE_MS, limit.signal);
  }
  return false;
}
