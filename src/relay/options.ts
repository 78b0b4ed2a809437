import type { Log } from '../base/log.js';
import { FRAME_LIMIT_BYTES, INBOUND_LIMIT_BYTES } from '../protocol/constants.js';
import type { TunnelEntry } from './config.js';

/** The two ends of a tunnel: the bridge's and the device agent's. */
export type LegName = 'source' | 'device';

/**
 * What a test wants done with a frame: relay it, lose it, or hold it and everything behind it in
 * this direction, for a time, until a promise settles, or both; `replace` changes its bytes.
 */
export type Verdict = 'pass' | 'drop' | { delayMs?: number; until?: Promise<unknown>; replace?: Buffer };

export interface RelayOptions {
  host: string;
  /** 0: any free port. */
  port: number;
  /** Checked by verifyTunnels. */
  tunnels: readonly TunnelEntry[];
  log: Log;
  /** PEM. Without it the relay speaks ws://. */
  tls?: { cert: string | Buffer; key: string | Buffer } | undefined;
  /** Artificial one-way delay in milliseconds, default 0. It neither reorders nor limits bandwidth. */
  delayMs?: number | undefined;
  /** Largest message of each leg in bytes; a larger one closes that leg with 1009. */
  limits?: { sourceBytes?: number; deviceBytes?: number } | undefined;
  timing?: Partial<RelayTiming> | undefined;
  /** Fault injection for tests: sees every message that a leg sent, before anything else does. */
  onFrame?: ((leg: LegName, bytes: Buffer, tunnelId: string) => Verdict) | undefined;
}

export const SOURCE_LIMIT_BYTES = FRAME_LIMIT_BYTES;

/**
 * The documented 10 KB limit is not enforced on devices by default: the stock C agent sends up to
 * 12,428 bytes when the shell prints 2,048 control characters, and cutting it off for that would
 * end every session that shows a binary file. What the platform does there is not known.
 */
export const DEVICE_LIMIT_BYTES = INBOUND_LIMIT_BYTES;

/** All in milliseconds. */
export interface RelayTiming {
  /** For a client's request headers. */
  headersMs: number;
  /** Between two WebSocket pings to each leg. */
  pingEveryMs: number;
  /** A leg without a sign of life for this long is cut. */
  silenceMs: number;
  /** For a leg's close frame when the relay closes it. */
  closeMs: number;
}

export const RELAY_TIMING: Readonly<RelayTiming> = {
  headersMs: 10_000,
  pingEveryMs: 20_000,
  silenceMs: 60_000,
  closeMs: 1_000,
};

/** Bytes waiting for one leg's socket above which the other leg is not read. */
export const HIGH_WATER_BYTES = 1024 * 1024;
/** …and below which it is read again. */
export const LOW_WATER_BYTES = HIGH_WATER_BYTES / 2;

/**
 * Bytes in one direction's artificial delay above which its sender is not read. Large, because a
 * small one would limit the bandwidth to bound / delay (64 MiB at 100 ms: 640 MB/s).
 */
export const DELAY_LIMIT_BYTES = 64 * 1024 * 1024;
