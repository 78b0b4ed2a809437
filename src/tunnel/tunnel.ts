/**
 * What the layers above see of the secure tunnel: it is up or it is not, frames come in order, and
 * it repairs itself until it cannot. `TunnelClient` is the real one, `memoryTunnel` the one for tests.
 */
import type { Fault } from '../base/errors.js';
import type { Frame } from '../protocol/frames.js';

/**
 * `idle` before start; `connecting`; `open`; `waiting` for the next attempt; `ended` for good by the
 * platform's decision; `closed` by our own.
 */
export type TunnelState = 'idle' | 'connecting' | 'open' | 'waiting' | 'ended' | 'closed';

export interface DeviceUp {
  /** True when the device leg had been reported up on this connection: its session is gone. */
  repeated: boolean;
  /** True when the platform said nothing and the grace time ran out: the device may be there. */
  assumed: boolean;
}

export interface Lost {
  /** Why, as one sentence for people (code TUNNEL). */
  cause: Fault;
  /** Milliseconds until the next attempt; 0 when it is under way. */
  retryInMs: number;
}

/** Frames that are handed up; heartbeats and connect_tunnel stay in this layer. */
export type PeerFrame = Extract<Frame, { operation: 'connect_response' | 'command_response' | 'disconnect' }>;

/**
 * Per connection: open, then deviceUp and frames (in any order), then lost or ended. After ended,
 * and after close() of ours, nothing more comes. `lost` also reports every failed attempt.
 */
export interface TunnelEvents {
  /** The platform accepted the token. */
  open(): void;
  /** `connect` may be sent: first news of the device on this connection, or a new one. */
  deviceUp(device: DeviceUp): void;
  frame(frame: PeerFrame): void;
  /** The connection is gone, or an attempt failed; the next attempt comes by itself. */
  lost(lost: Lost): void;
  /** There will be no further attempt (code TUNNEL); the message says what to do. */
  ended(fault: Fault): void;
}

export interface Tunnel {
  readonly state: TunnelState;
  /** Bytes that send() took and the socket has not; callers hold back above a bound of their own. */
  readonly buffered: number;
  /** Connects for the first time. To be called once. */
  start(events: TunnelEvents): void;
  /**
   * Sends one frame as one message. False when it was dropped: not open, or more than the limit is
   * buffered already. Throws a Fault (PROTOCOL) for a frame that encodeFrame refuses.
   */
  send(frame: Frame): boolean;
  /** Drops this connection and makes the next one at once; `lost` is called before it returns. */
  reset(cause: string): void;
  /** Ends the tunnel normally (close code 1000). Resolves when the socket is gone. */
  close(): Promise<void>;
}
