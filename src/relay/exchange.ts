/**
 * One tunnel: two legs, and what the platform does between them. Bytes pass untouched whether or
 * not they are frames; the relay adds connect_tunnel, disconnect and pong, and keeps ping.
 */
import type { Socket } from 'node:net';
import type { WebSocket } from 'ws';
import type { Log } from '../base/log.js';
import { CLOSE_NORMAL, CLOSE_REPLACED } from '../protocol/constants.js';
import { decodeFrame } from '../protocol/decode.js';
import { encodeFrame, newRequestId } from '../protocol/encode.js';
import type { Frame } from '../protocol/frames.js';
import { Leg } from './leg.js';
import type { LegName, RelayOptions, RelayTiming } from './options.js';

export interface LegStats {
  connected: boolean;
  /** Connections of this leg so far. */
  connections: number;
  framesIn: number;
  bytesIn: number;
  framesOut: number;
  bytesOut: number;
  /** Messages from this leg that found no peer, pings not answered, and what onFrame dropped. */
  framesDropped: number;
  /** True while this leg is not read because the other one takes nothing. */
  paused: boolean;
}

interface Side {
  leg: Leg | undefined;
  stats: LegStats;
}

/** Longest message looked into for a ping. Ours has 115 bytes; everything longer is relayed unseen. */
const PING_LIMIT_BYTES = 512;

/** What ws shows for a close frame without a code (RFC 6455 section 7.1.5). */
const CLOSE_WITHOUT_CODE = 1005;

export class Exchange {
  readonly #id: string;
  readonly #options: RelayOptions;
  readonly #timing: RelayTiming;
  readonly #log: Log;
  readonly #delayMs: number;
  readonly #sides: Record<LegName, Side> = { source: newSide(), device: newSide() };

  constructor(id: string, options: RelayOptions, timing: RelayTiming, log: Log) {
    this.#id = id;
    this.#options = options;
    this.#timing = timing;
    this.#log = log;
    this.#delayMs = options.delayMs ?? 0;
  }

  /** Takes a connection that showed the right token. The newest of each leg wins. */
  attach(name: LegName, ws: WebSocket, socket: Socket): void {
    const side = this.#sides[name];
    const older = side.leg;
    const leg: Leg = new Leg(ws, socket, this.#timing, {
      message: (bytes, binary) => {
        if (side.leg === leg) this.#message(name, bytes, binary);
      },
      congested: (full) => {
        if (side.leg === leg) this.#pauseOther(name, full);
      },
      closed: (code) => {
        side.stats.framesOut += leg.framesOut;
        side.stats.bytesOut += leg.bytesOut;
        if (side.leg === leg) this.#detached(name, code);
      },
    });
    side.leg = leg;
    side.stats.connected = true;
    side.stats.paused = false;
    side.stats.connections++;
    this.#log.info({ leg: name, replaced: older !== undefined }, 'leg connected');
    if (older !== undefined) {
      older.close(CLOSE_REPLACED, 'repeated connection');
      this.#pauseOther(name, false); // whatever clogged the older one went with it
    }
    if (this.#sides[other(name)].leg?.full === true) this.#pauseOther(other(name), true);
    if (this.#sides.device.leg !== undefined) this.#tell('source', { operation: 'connect_tunnel', requestId: newRequestId() });
  }

  /** Cuts a leg (1006 to its peer), or closes it with `code`. False when it is not there. */
  drop(name: LegName, code?: number): boolean {
    const leg = this.#sides[name].leg;
    if (leg === undefined) return false;
    if (code === undefined) leg.cut();
    else leg.close(code, 'dropped by the relay');
    return true;
  }

  /** Tells both legs and closes them. Resolves when they are gone. */
  async close(code: number): Promise<void> {
    const legs = [this.#sides.source, this.#sides.device].flatMap((side) => side.leg ?? []);
    this.#tell('source', disconnect(code, 'the relay ends'));
    for (const side of [this.#sides.source, this.#sides.device]) side.leg = undefined;
    for (const leg of legs) leg.close(code, 'relay ends');
    await Promise.all(legs.map((leg) => leg.gone));
  }

  stats(): Record<LegName, LegStats> {
    const of = ({ leg, stats }: Side): LegStats => ({
      ...stats,
      framesOut: stats.framesOut + (leg?.framesOut ?? 0),
      bytesOut: stats.bytesOut + (leg?.bytesOut ?? 0),
    });
    return { source: of(this.#sides.source), device: of(this.#sides.device) };
  }

  #message(name: LegName, bytes: Buffer, binary: boolean): void {
    const { stats } = this.#sides[name];
    stats.framesIn++;
    stats.bytesIn += bytes.length;
    const verdict = this.#options.onFrame?.(name, bytes, this.#id) ?? 'pass';
    if (verdict === 'drop') {
      stats.framesDropped++;
      return;
    }
    const ping = pingId(bytes);
    if (ping !== undefined) {
      // A leg that asks without reading the answers must not pile them up here.
      if (this.#sides[name].leg?.full === true) stats.framesDropped++;
      else this.#tell(name, { operation: 'pong', requestId: ping });
      return;
    }
    const peer = this.#sides[other(name)].leg;
    if (peer === undefined) {
      // The 1st, 2nd, 4th … : a bridge that types at an absent device must not fill the log.
      const count = ++stats.framesDropped;
      if ((count & (count - 1)) === 0) this.#log.warn({ leg: name, count }, 'frame dropped: the other leg is not connected');
      return;
    }
    if (verdict === 'pass') peer.send(bytes, binary, this.#delayMs);
    else peer.send(verdict.replace ?? bytes, binary, this.#delayMs + (verdict.delayMs ?? 0), verdict.until);
  }

  #detached(name: LegName, code: number): void {
    const side = this.#sides[name];
    side.leg = undefined;
    side.stats.connected = false;
    side.stats.paused = false;
    this.#log.info({ leg: name, code }, 'leg closed');
    this.#pauseOther(name, false);
    // A source that broke off comes back and finds the device as it was; one that closed normally
    // is done with it. The source hears of every loss of the device.
    if (name === 'device') this.#tell('source', disconnect(code, 'the device connection closed'));
    else if (code === CLOSE_NORMAL || code === CLOSE_WITHOUT_CODE) {
      this.#tell('device', disconnect(code, 'the application closed the tunnel'));
    }
  }

  /** A frame of the relay's own, behind everything under way to that leg. */
  #tell(name: LegName, frame: Frame): void {
    this.#sides[name].leg?.send(encodeFrame(frame), false, this.#delayMs);
  }

  #pauseOther(name: LegName, pause: boolean): void {
    const side = this.#sides[other(name)];
    if (side.leg === undefined || side.stats.paused === pause) return;
    side.stats.paused = pause;
    side.leg.flow(!pause);
  }
}

/** The platform's status codes are not documented: ours are the close code of the leg that went. */
function disconnect(code: number, message: string): Frame {
  return { operation: 'disconnect', requestId: newRequestId(), status: String(code), message };
}

function newSide(): Side {
  const stats = { connected: false, connections: 0, framesIn: 0, bytesIn: 0, framesOut: 0, bytesOut: 0, framesDropped: 0, paused: false };
  return { leg: undefined, stats };
}

function other(name: LegName): LegName {
  return name === 'source' ? 'device' : 'source';
}

/** The id to answer a ping with (a new one when the ping's own could not be sent), or undefined. */
function pingId(bytes: Buffer): string | undefined {
  if (bytes.length > PING_LIMIT_BYTES || !bytes.includes('ping')) return undefined;
  const decoded = decodeFrame(bytes);
  if (decoded.kind !== 'frame' || decoded.frame.operation !== 'ping') return undefined;
  return /^[\x21-\x7e]{36}$/.test(decoded.frame.requestId) ? decoded.frame.requestId : newRequestId();
}
