/**
 * Wire constants of the mux (PROTOCOL-DEVICE.md section 3). The helper on the device holds the same
 * values; test/unit/helper/python-wire.test.ts compares the two.
 */
export const MSG = {
  OPEN: 1,
  OPENED: 2,
  REFUSED: 3,
  DATA: 4,
  ERR: 5,
  EOF: 6,
  CREDIT: 7,
  SIGNAL: 8,
  RESIZE: 9,
  EXIT: 10,
  CLOSE: 11,
  INFO: 12,
  ZDATA: 13,
  ZERR: 14,
  STOP: 15,
  PROGRAM: 16,
} as const;

export const HEADER_BYTES = 8;
export const PAYLOAD_LIMIT_BYTES = 65_536;
export const OPEN_LIMIT_BYTES = 1024 * 1024;
/** Credit that the device has at the opening of a channel, and our bound of what one channel holds. */
export const CREDIT_TO_DEVICE_BYTES = 1024 * 1024;
/** Credit that the bridge has at the opening of a channel. */
export const CREDIT_TO_BRIDGE_BYTES = 256 * 1024;
/** A receiver that keeps up lets its channel's window double up to this, for paths with delay. */
export const CREDIT_MOST_BYTES = 2 * 1024 * 1024;
/** Most payload of one channel between two turns of the others, as it is; compressed: squeeze.ts. */
export const SLICE_BYTES = 16 * 1024;
/** Channel numbers given out by the device have this bit. */
export const DEVICE_CHANNEL_BIT = 0x8000_0000;
