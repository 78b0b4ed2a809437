import { Fault } from '../base/errors.js';
import type { Carrier } from '../link/carrier.js';
import type { Device } from './device.js';

/** What the boot sh on the device told, and the way to have it run something. */
export interface Boot {
  /** Executes one sh command line in the boot sh (raw, no-echo terminal; it stays when the command ends). */
  run(line: string): void;
  /** Facts of the probe: tool name to 'yes'; `bash` when the boot sh itself is bash. */
  readonly facts: Readonly<Record<string, string>>;
}

/** The state on the device is gone (a reboot, the grace time): nothing can be resumed. */
export class HelperGone extends Fault {
  constructor(message: string) {
    super('DEVICE_LOST', message);
  }
}

/** One tier's engine: a Device that survives the loss of its carrier. */
export interface Backend extends Device {
  /**
   * Starts, or re-attaches to, the helper over a fresh carrier whose boot sh is ready for command
   * lines. Resolves when the helper answers. Rejects with HelperGone when nothing is left to re-attach
   * to, DEVICE_LOST when this try failed, UNSUPPORTED when this tier cannot run there.
   */
  attach(carrier: Carrier, boot: Boot, signal: AbortSignal): Promise<void>;
  /**
   * Goes on over a carrier that types into the same terminal as the one before, where the helper's
   * front still runs. False when nothing answered: the terminal is gone. Undefined: cannot do that.
   */
  resume?(carrier: Carrier, signal: AbortSignal): Promise<boolean>;
  /** The carrier is gone; keep everything and wait for attach. */
  detach(cause: Error): void;
  /** Milliseconds since the device last kept a promise while one is outstanding; 0 when nothing is owed. */
  owedMs(): number;
  /** Sends something harmless that the device must answer. */
  nudge(): void;
  /** Smoothed round trip of the link in ms, 0 when unknown. */
  readonly rttMs: number;
  /**
   * Grows with what arrived, either way; undefined where it is not counted. A session that
   * is repaired again and again without getting anywhere is known by it.
   */
  readonly progress?: number;
  /** The device had something for us that did not arrive, and nothing has since, whatever else it does. */
  readonly struggling?: boolean;
  /** Channels open now. */
  readonly channels: number;
  /** Called when the helper itself ended (its grace, a fatal error), with the reason. */
  onEnd: (fault: Fault) => void;
  /**
   * Fails all channels with `fault` and ends the device side: true once that has confirmed it, or there is none; false
   * when the signal aborts before, or no carrier is there. Then attach may give it another one, for this alone.
   */
  shutdown(fault: Fault, signal: AbortSignal): Promise<boolean>;
}
