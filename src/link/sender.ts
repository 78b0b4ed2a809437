import type { Range } from './packet.js';
import { Path } from './path.js';
import { pnAfter } from './receiver.js';
import { RTO_MAX_MS, RTO_MIN_MS, UP_WINDOW_RACES_BYTES, UP_WINDOW_START_BYTES, WINDOW_MAX_BYTES, WINDOW_MIN_BYTES } from './wire.js';

/** One transmission in flight, or lost and waiting to be sent again. */
interface Segment {
  pn: number;
  offset: number;
  bytes: Buffer;
  sentAt: number;
  /** ACK NOW was set, so its ACK measures the round trip. */
  asked: boolean;
  /** Bytes that had been delivered when it was sent, and since when so many. */
  delivered: number;
  deliveredAt: number;
}

/** What to put into the next DATA packet. */
export interface Transmission {
  pn: number;
  offset: number;
  bytes: Buffer;
  askAck: boolean;
}

/**
 * The sending half of the link without clock or socket: which bytes to send next, how many may be in
 * flight, what was lost (the scheme of RFC 9002 with exact loss detection, since the path does not
 * reorder). Bytes stay here until acknowledged: at most WINDOW_MAX_BYTES.
 */
export class Sender {
  #window = UP_WINDOW_START_BYTES;
  /** What the agent bears, whatever the path would. */
  #ceiling = WINDOW_MAX_BYTES;
  /**
   * Ask for one acknowledgement a window instead of four: see `Manners.races`. The window stays as large as the
   * agent bears then, whatever queues: a small one would bring the acknowledgements that it does not bear.
   */
  #sparing = false;
  #threshold = WINDOW_MAX_BYTES;
  #inFlightBytes = 0;
  #nextPn = 1;
  #nextOffset = 0;
  /** Everything below is acknowledged. */
  #acked = 0;
  /** Losses of packets before this one belong to a loss event already answered. */
  #recoverPn = 0;
  #sinceAsked = 0;
  #srtt = 0;
  #path = new Path();
  #delivered = 0;
  #deliveredAt = 0;
  #backoff = 0;
  #limited = false;
  readonly #flight = new Map<number, Segment>();
  /** Lost segments by offset, ascending. */
  #lost: Segment[] = [];
  /** When the oldest outstanding promise was made or last kept; 0 when nothing is owed. */
  #owedSince = 0;
  /** The retransmission time-out counts from here: the last progress, time-out or first send. */
  #timerFrom = 0;
  retransmittedBytes = 0;
  /** Loss events seen on a living path (not the replacement of a stream). */
  lossEvents = 0;

  get windowBytes(): number {
    return this.#window;
  }
  get inFlightBytes(): number {
    return this.#inFlightBytes;
  }
  get ackedBytes(): number {
    return this.#acked;
  }
  get unackedBytes(): number {
    return this.#nextOffset - this.#acked;
  }
  get srttMs(): number {
    return this.#srtt;
  }
  get owedSince(): number {
    return this.#owedSince;
  }

  /** Bytes the window still allows; a lost segment goes out even into a window smaller than itself. */
  room(): number {
    const room = this.#window - this.#inFlightBytes;
    return room > 0 || this.#inFlightBytes === 0 ? Math.max(room, WINDOW_MIN_BYTES) : 0;
  }

  /** The next transmission of at most `max` bytes: lost bytes first, then new ones from `pull`. */
  next(max: number, now: number, pull: (max: number) => Buffer | undefined): Transmission | undefined {
    const room = this.room();
    if (room <= 0) {
      this.#limited = true;
      return undefined;
    }
    const lost = this.#takeLost(max);
    let offset: number;
    let bytes: Buffer;
    if (lost !== undefined) {
      ({ offset, bytes } = lost);
      this.retransmittedBytes += bytes.length;
    } else {
      const fresh = pull(Math.min(max, room));
      if (fresh === undefined || fresh.length === 0) {
        this.#limited = false;
        return undefined;
      }
      bytes = fresh;
      offset = this.#nextOffset;
      this.#nextOffset += bytes.length;
    }
    return this.#send(offset, bytes, now, false);
  }

  #send(offset: number, bytes: Buffer, now: number, mustAsk: boolean): Transmission {
    const pn = this.#nextPn;
    this.#nextPn = (pn + 1) >>> 0 || 1;
    this.#inFlightBytes += bytes.length;
    this.#sinceAsked += bytes.length;
    const asked = mustAsk || (!this.#sparing && this.#sinceAsked >= this.#window / 4) || this.#inFlightBytes >= this.#window;
    if (asked) this.#sinceAsked = 0;
    if (this.#flight.size === 0) {
      this.#owedSince ||= now;
      this.#timerFrom = now;
      this.#deliveredAt = now;
    }
    this.#flight.set(pn, { pn, offset, bytes, sentAt: now, asked, delivered: this.#delivered, deliveredAt: this.#deliveredAt });
    return { pn, offset, bytes, askAck: asked };
  }

  #takeLost(max: number): Segment | undefined {
    for (let first = this.#lost[0]; first !== undefined; first = this.#lost[0]) {
      const skip = this.#acked - first.offset;
      if (skip >= first.bytes.length) {
        this.#lost.shift();
        continue;
      }
      if (skip > 0) {
        first.offset += skip;
        first.bytes = first.bytes.subarray(skip);
      }
      if (first.bytes.length <= max) {
        this.#lost.shift();
        return first;
      }
      const head = { ...first, bytes: first.bytes.subarray(0, max) };
      first.offset += max;
      first.bytes = first.bytes.subarray(max);
      return head;
    }
    return undefined;
  }

  /** Digests an ACK; true when it kept a promise (acknowledged something new or found a loss). */
  acknowledge(recv: number, pn: number, ranges: readonly Range[], now: number): boolean {
    if (recv > this.#nextOffset) return false;
    const advanced = recv > this.#acked;
    let progress = advanced;
    if (advanced) this.#acked = recv;
    let ackedBytes = 0;
    let lossEvent = false;
    for (const segment of this.#flight.values()) {
      const end = segment.offset + segment.bytes.length;
      const later = pn === 0 || pnAfter(segment.pn, pn);
      // An earlier transmission of the same bytes may have arrived: then this one is owed no more.
      if (later && end > recv) continue;
      this.#flight.delete(segment.pn);
      this.#inFlightBytes -= segment.bytes.length;
      progress = true;
      if (end <= recv || ranges.some((r) => r.start <= segment.offset && end <= r.end)) {
        ackedBytes += segment.bytes.length;
        if (segment.pn === pn && segment.asked) this.#measure(segment, this.#delivered + ackedBytes, now);
      } else {
        this.#addLost(segment);
        if (pnAfter(segment.pn, this.#recoverPn)) lossEvent = true;
      }
    }
    this.#delivered += ackedBytes;
    this.#deliveredAt = now;
    if (lossEvent) {
      this.lossEvents += 1;
      this.#shrink();
    } else if (ackedBytes > 0) this.#grow(ackedBytes);
    if (progress) {
      this.#backoff = 0;
      this.#timerFrom = now;
      if (this.#acked === this.#nextOffset) this.#lost = [];
      // What arrives behind a hole keeps no promise: the hole may be of a kind that never passes.
      if (this.#acked === this.#nextOffset) this.#owedSince = 0;
      else if (advanced || this.#owedSince === 0) this.#owedSince = now;
    }
    return progress;
  }

  #addLost(segment: Segment): void {
    let at = this.#lost.length;
    while (at > 0 && (this.#lost[at - 1]?.offset ?? 0) > segment.offset) at -= 1;
    this.#lost.splice(at, 0, segment);
  }

  #measure({ sentAt, delivered, deliveredAt }: Segment, deliveredNow: number, now: number): void {
    const rtt = now - sentAt;
    const rate = (deliveredNow - delivered) / Math.max(now - deliveredAt, 1e-3);
    this.#srtt = this.#srtt === 0 ? rtt : this.#srtt * 0.875 + rtt * 0.125;
    this.#path.measured(rtt, rate, this.#limited, now);
    const renewal = this.#sparing ? undefined : this.#path.renew(this.#window, this.#limited, this.#srtt, now);
    if (renewal === undefined) return;
    if ('window' in renewal) this.#window = renewal.window;
    // What is still growing quickly goes on so.
    else this.#threshold = Math.min(this.#ceiling, Math.max(this.#threshold, renewal.threshold));
  }

  #grow(bytes: number): void {
    if (this.#path.draining) return;
    const most = Math.min(this.#ceiling, this.#sparing ? Infinity : this.#path.mostBytes);
    if (this.#window > most) {
      this.#window = this.#threshold = Math.max(most, this.#window - (bytes >>> 3));
      return;
    }
    if (!this.#limited) return;
    const step = this.#window < this.#threshold ? bytes : (bytes * UP_WINDOW_START_BYTES) / (2 * this.#window);
    // Whole bytes: a fraction here would become a fraction of a byte in the layer above.
    this.#window = Math.min(this.#window + Math.ceil(step), most);
  }

  #shrink(): void {
    this.#recoverPn = (this.#nextPn - 1) >>> 0;
    this.#threshold = Math.max(Math.floor((this.#path.cancelDrain() ?? this.#window) / 2), WINDOW_MIN_BYTES);
    this.#window = Math.min(this.#window, this.#threshold);
  }

  /**
   * Everything in flight is lost: a new text stream has taken the old one's place, whose agent bears
   * `ceilingBytes` in flight, and does not bear acknowledgements in the middle of a window (`sparing`).
   */
  reset(ceilingBytes = WINDOW_MAX_BYTES, sparing = false): void {
    this.#sparing = sparing;
    this.#ceiling = Math.min(ceilingBytes, WINDOW_MAX_BYTES);
    for (const segment of this.#flight.values()) this.#addLost(segment);
    if (this.#flight.size > 0 && !sparing) this.#threshold = Math.max(Math.floor(this.#window / 2), UP_WINDOW_START_BYTES);
    this.#flight.clear();
    this.#inFlightBytes = 0;
    this.#window = sparing ? Math.min(UP_WINDOW_RACES_BYTES, this.#ceiling) : UP_WINDOW_START_BYTES;
    this.#recoverPn = (this.#nextPn - 1) >>> 0;
    this.#backoff = 0;
    this.#owedSince = 0;
    this.#srtt = 0;
    this.#path = new Path();
  }

  /** When the retransmission time-out fires, or Infinity. */
  get timeoutAt(): number {
    if (this.#flight.size === 0) return Infinity;
    const base = Math.max(RTO_MIN_MS, 2 * this.#srtt + 100);
    return this.#timerFrom + Math.min(base * 2 ** this.#backoff, RTO_MAX_MS);
  }

  /** The retransmission time-out: the oldest bytes once more, as one packet that asks for its ACK. */
  timeout(max: number, now: number): Transmission | undefined {
    this.#backoff = Math.min(this.#backoff + 1, 5);
    this.#timerFrom = now;
    let oldest: Segment | undefined;
    for (const segment of this.#flight.values()) {
      if (oldest === undefined || segment.offset < oldest.offset) oldest = segment;
    }
    if (oldest === undefined) return undefined;
    this.#flight.delete(oldest.pn);
    this.#inFlightBytes -= oldest.bytes.length;
    this.#addLost(oldest);
    if (this.#backoff === 2) this.#shrink();
    const lost = this.#takeLost(max);
    if (lost === undefined) return undefined;
    this.retransmittedBytes += lost.bytes.length;
    return this.#send(lost.offset, lost.bytes, now, true);
  }
}
