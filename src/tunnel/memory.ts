/**
 * A tunnel without a network, for testing what stands on it. Frames pass through the real encoder
 * and decoder, so that what cannot be sent fails here too. Delivery is synchronous.
 */
import { Fault } from '../base/errors.js';
import { decodeFrame } from '../protocol/decode.js';
import { encodeFrame, encodeUnchecked } from '../protocol/encode.js';
import type { Frame } from '../protocol/frames.js';
import type { PeerFrame, Tunnel, TunnelEvents, TunnelState } from './tunnel.js';

/** The platform's and the device's side of a memory tunnel. */
export interface MemoryPeer {
  /** Called with every frame the tunnel sent. */
  onFrame: (frame: Frame) => void;
  /** What `buffered` shows. */
  buffered: number;
  /** How often the tunnel was reset. */
  readonly resets: number;
  open(): void;
  deviceUp(device?: { repeated?: boolean; assumed?: boolean }): void;
  deliver(frame: PeerFrame): void;
  /** The connection is lost; open() brings it back. */
  lose(cause?: string): void;
  end(fault: Fault): void;
}

/** A started tunnel stays in `connecting` until the peer calls open(). */
export function memoryTunnel(): { tunnel: Tunnel; peer: MemoryPeer } {
  let state: TunnelState = 'idle';
  let events: TunnelEvents | undefined;
  let resets = 0;

  const peer: MemoryPeer = {
    onFrame: () => undefined,
    buffered: 0,
    get resets() {
      return resets;
    },
    open() {
      if (state !== 'connecting' && state !== 'waiting') throw new Error(`a tunnel that is ${state} cannot open`);
      state = 'open';
      events?.open();
    },
    deviceUp(device) {
      events?.deviceUp({ repeated: false, assumed: false, ...device });
    },
    deliver(frame) {
      if (state !== 'open') return;
      // The C agent's layout leaves out what others send as empty.
      const bare = frame.operation === 'connect_response' && frame.bare === true;
      const decoded = decodeFrame(encodeUnchecked(frame, bare ? 'cjson' : 'compact'));
      if (decoded.kind !== 'frame') throw new Error('the frame does not survive the wire');
      events?.frame(decoded.frame as PeerFrame);
    },
    lose(cause = 'the connection broke') {
      state = 'waiting';
      events?.lost({ cause: new Fault('TUNNEL', cause), retryInMs: 1_000 });
    },
    end(fault) {
      state = 'ended';
      events?.ended(fault);
    },
  };

  const tunnel: Tunnel = {
    get state() {
      return state;
    },
    get buffered() {
      return peer.buffered;
    },
    start(given) {
      if (state !== 'idle') throw new Fault('INTERNAL', 'a tunnel can be started once');
      events = given;
      state = 'connecting';
    },
    send(frame) {
      const decoded = decodeFrame(encodeFrame(frame));
      if (state !== 'open') return false;
      if (decoded.kind !== 'frame') throw new Error('the frame does not survive the wire');
      peer.onFrame(decoded.frame);
      return true;
    },
    reset(cause) {
      if (state !== 'open' && state !== 'connecting' && state !== 'waiting') return;
      resets++;
      state = 'connecting';
      events?.lost({ cause: new Fault('TUNNEL', `the tunnel was reset: ${cause}`), retryInMs: 0 });
    },
    close() {
      if (state !== 'ended') state = 'closed';
      events = undefined;
      return Promise.resolve();
    },
  };
  return { tunnel, peer };
}
