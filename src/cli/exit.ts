/**
 * How a command ends: one code per cause, so that scripts can tell what to do next. The table in
 * README.md is held to this one by a test.
 */
import type { FaultCode } from '../base/errors.js';

export const EXIT_OK = 0;
export const EXIT_USAGE = 2;
/** Added to a signal's number when a command is cut short by it, as shells do. */
export const EXIT_SIGNAL = 128;

export const EXIT_CODES: Readonly<Record<FaultCode, number>> = {
  USAGE: EXIT_USAGE,
  LOCAL: 3,
  TUNNEL: 4,
  DENIED: 5,
  DEVICE_LOST: 6,
  BUSY: 7,
  UNSUPPORTED: 8,
  PROTOCOL: 9,
  INTERNAL: 70,
};
