import type { Log } from '../base/log.js';
import type { Carrier } from './carrier.js';
import { directionKey, encodeAck, encodeBye, encodeData, PacketReader, payloadFor, type DirectionKey, type Packet } from './packet.js';
import { Receiver } from './receiver.js';
import { Sender } from './sender.js';
import { COMPANY_MS, DELAYED_ACK_BYTES, DELAYED_ACK_MS, DELAYED_ACK_RACES_BYTES, DELAYED_ACK_RACES_MS, FLAG_ACK_NOW, FLAG_REPLY, FLAG_STUCK, SMALL_FRAME_GAP_MS } from './wire.js';

/** The layer above: gives bytes when the link can send, takes bytes in order. */
export interface LinkUser {
  /** Up to `max` bytes to send next, or undefined when there is nothing. */
  pull(max: number): Buffer | undefined;
  push(bytes: Buffer): void;
  /** The helper says that it has ended. */
  bye(reason: string): void;
}

/** Bytes the WebSocket may hold before we wait for it. */
const CARRIER_BACKLOG_BYTES = 256 * 1024;
/** Room for one ACK with all its ranges in each frame. */
const ACK_CHARS = 560;
/** Frame sizes in characters: whole frames while they arrive, small ones where large ones are lost. */
const SMALL_FRAME_CHARS = 1_200;
/** Acknowledged bytes after which a path that lost frames is tried with larger ones again. */
const FRAME_GROW_BYTES = 128 * 1024;

export interface LinkStats {
  rttMs: number;
  windowBytes: number;
  unackedBytes: number;
  retransmittedBytes: number;
  framesSent: number;
  damagedPackets: number;
}

/**
 * The bridge's end of the link: an ordered byte stream each way, exactly once, over any number of
 * replaced carriers (PROTOCOL-DEVICE.md section 2).
 */
export class Link {
  readonly #up: DirectionKey;
  readonly #reader: PacketReader;
  readonly #sender = new Sender();
  readonly #receiver = new Receiver();
  readonly #user: LinkUser;
  readonly #log: Log;
  #carrier: Carrier | undefined;
  #attached: (() => void) | undefined;
  #ack: 'none' | 'delayed' | 'now' = 'none';
  #ackBytes = 0;
  #replyWanted = false;
  #replyAskedAt = 0;
  /** The device says that its bytes do not arrive: since when, on this carrier; 0 when they do. */
  #stuckSince = 0;
  /** Since when bytes have been missing before others that came; 0 when none are. */
  #gapSince = 0;
  #struggling = false;
  #silent = false;
  #ackTimer: NodeJS.Timeout | undefined;
  #rtoTimer: NodeJS.Timeout | undefined;
  #flushTimer: NodeJS.Timeout | NodeJS.Immediate | undefined;
  #lastFrameAt = 0;
  #frameChars = 0;
  #sinceFrameLoss = 0;
  #framesSent = 0;

  constructor(secret: Buffer, user: LinkUser, log: Log) {
    this.#up = directionKey(secret, 'up');
    this.#reader = new PacketReader(directionKey(secret, 'down'));
    this.#user = user;
    this.#log = log;
  }

  get rttMs(): number {
    return this.#sender.srttMs;
  }

  /** Bytes that arrived, both ways together. */
  get progress(): number {
    return this.#receiver.recv + this.#sender.ackedBytes;
  }

  /** The device had bytes for us that did not arrive, and nothing has arrived since. */
  get struggling(): boolean {
    return this.#struggling;
  }

  /** Whether there is a text stream to write to. */
  get isAttached(): boolean {
    return this.#carrier !== undefined;
  }

  get stats(): LinkStats {
    return {
      rttMs: this.#sender.srttMs,
      windowBytes: this.#sender.windowBytes,
      unackedBytes: this.#sender.unackedBytes,
      retransmittedBytes: this.#sender.retransmittedBytes,
      framesSent: this.#framesSent,
      damagedPackets: this.#reader.damaged,
    };
  }

  /** Continues over a fresh text stream on which a helper's front runs. Resolves at its first packet. */
  attach(carrier: Carrier): Promise<void> {
    this.detach();
    this.#carrier = carrier;
    this.#frameChars = Math.min(this.#frameChars || carrier.maxWrite, carrier.maxWrite);
    this.#sender.reset(carrier.manners?.windowBytes, carrier.manners?.races);
    this.#gapSince = this.#receiver.earlyBytes > 0 ? performance.now() : 0;
    return new Promise((resolve) => {
      this.#attached = resolve;
      this.probe();
    });
  }

  /** Text of the carrier, from when its front was started. */
  receive(text: Buffer): void {
    this.#reader.push(text, (packet) => {
      this.#take(packet);
    });
  }

  detach(): void {
    this.#carrier = undefined;
    this.#attached = undefined;
    this.#replyAskedAt = 0;
    if (this.#stuckSince > 0 || this.#gapSince > 0) this.#struggling = true;
    this.#stuckSince = this.#gapSince = 0;
    clearTimeout(this.#ackTimer);
    clearTimeout(this.#rtoTimer);
    this.#ackTimer = this.#rtoTimer = undefined;
    this.#cancelFlush();
  }

  /** The user has something to send. Cheap; call it often. */
  wake(): void {
    this.#schedule(this.#carrier?.manners?.races === true ? COMPANY_MS : 0);
  }

  /** Asks the device for a sign of life. */
  probe(): void {
    this.#replyWanted = true;
    this.#ack = 'now';
    this.#schedule();
  }

  /** Milliseconds since a promise of the device was made or last kept; 0 when it owes nothing. */
  owedMs(): number {
    const since = [this.#sender.owedSince, this.#replyAskedAt, this.#stuckSince, this.#gapSince].filter((at) => at > 0);
    return since.length === 0 ? 0 : Math.max(1, performance.now() - Math.min(...since));
  }

  bye(reason: string): void {
    this.#carrier?.write(encodeBye(this.#up, reason));
  }

  /** Nothing but acknowledgements and the farewell goes out any more: what was opened and is lost must not start now. */
  silence(): void {
    this.#silent = true;
  }

  /** True when every byte given was acknowledged. */
  get settled(): boolean {
    return this.#sender.unackedBytes === 0;
  }

  #take(packet: Packet): void {
    const now = performance.now();
    if (this.#attached !== undefined) {
      this.#attached();
      this.#attached = undefined;
    }
    this.#replyAskedAt = 0;
    switch (packet.type) {
      case 'bye':
        this.#user.bye(packet.reason);
        return;
      case 'ack': {
        if ((packet.flags & FLAG_REPLY) !== 0) this.#ack = 'now';
        if ((packet.flags & FLAG_STUCK) !== 0) {
          this.#stuckSince ||= now;
          this.#struggling = true;
        }
        const before = this.#sender.unackedBytes;
        const losses = this.#sender.lossEvents;
        this.#sender.acknowledge(packet.recv, packet.pn, packet.ranges, now);
        this.#sizeFrames(before - this.#sender.unackedBytes, this.#sender.lossEvents > losses);
        this.#schedule();
        return;
      }
      case 'data': {
        const arrival = this.#receiver.take(packet.pn, packet.offset, packet.payload, (bytes) => {
          this.#stuckSince = this.#gapSince = 0;
          this.#struggling = false;
          this.#user.push(bytes);
        });
        if (this.#receiver.earlyBytes > 0) this.#gapSince ||= now;
        this.#ackBytes += packet.payload.length;
        if (arrival !== 'in-order' || (packet.flags & FLAG_ACK_NOW) !== 0 || this.#ackBytes >= (this.#carrier?.manners?.races === true ? DELAYED_ACK_RACES_BYTES : DELAYED_ACK_BYTES)) {
          this.#ack = 'now';
          this.#schedule();
        } else if (this.#ack === 'none') {
          this.#ack = 'delayed';
          this.#ackTimer = setTimeout(() => {
            this.#ack = 'now';
            this.#schedule();
          }, this.#carrier?.manners?.races === true ? DELAYED_ACK_RACES_MS : DELAYED_ACK_MS);
        }
      }
    }
  }

  /** Large frames are lost as a whole where the agent reads fragments: learn the size that arrives. */
  #sizeFrames(ackedBytes: number, lost: boolean): void {
    const full = this.#carrier?.maxWrite ?? this.#frameChars;
    if (lost) {
      this.#frameChars = Math.max(SMALL_FRAME_CHARS, Math.floor(this.#frameChars / 2));
      this.#sinceFrameLoss = 0;
    } else if (this.#frameChars < full) {
      this.#sinceFrameLoss += ackedBytes;
      if (this.#sinceFrameLoss > FRAME_GROW_BYTES) {
        this.#frameChars = Math.min(full, this.#frameChars * 2);
        this.#sinceFrameLoss = 0;
      }
    }
  }

  #schedule(delayMs = 0): void {
    if (this.#flushTimer !== undefined || this.#carrier === undefined) return;
    const run = (): void => {
      this.#flushTimer = undefined;
      this.#flush();
    };
    this.#flushTimer = delayMs > 0 ? setTimeout(run, delayMs) : setImmediate(run);
  }

  #cancelFlush(): void {
    clearTimeout(this.#flushTimer as NodeJS.Timeout | undefined);
    clearImmediate(this.#flushTimer as NodeJS.Immediate | undefined);
    this.#flushTimer = undefined;
  }

  /** Writes at most one frame: the agent takes one message per turn of its loop. */
  #flush(): void {
    const carrier = this.#carrier;
    if (carrier === undefined) return;
    if (carrier.buffered > CARRIER_BACKLOG_BYTES) {
      this.#schedule(5);
      return;
    }
    const now = performance.now();
    const frameGapMs = carrier.manners?.frameGapMs ?? 0;
    if (now - this.#lastFrameAt < frameGapMs) {
      this.#schedule(frameGapMs - (now - this.#lastFrameAt));
      return;
    }
    if (now - this.#lastFrameAt < SMALL_FRAME_GAP_MS && this.#sender.inFlightBytes > 0 && this.#ack !== 'now') {
      // Let a burst of small writes become one frame; a full frame does not come this way twice.
      if (!this.#bulk) {
        this.#schedule(SMALL_FRAME_GAP_MS - (now - this.#lastFrameAt));
        return;
      }
    }
    const text = this.#frame(now);
    if (text === '') return;
    this.#lastFrameAt = now;
    this.#framesSent += 1;
    carrier.write(text);
    this.#armTimeout();
    this.#schedule();
  }

  /** The last frame was full, so more is likely waiting: do not hold back for small writes. */
  #bulk = false;

  #frame(now: number): string {
    let text = '';
    const budget = this.#frameChars - ACK_CHARS;
    while (!this.#silent) {
      const max = payloadFor(budget - text.length);
      if (max < 256) break;
      const sent = this.#sender.next(max, now, (limit) => this.#user.pull(limit));
      if (sent === undefined) break;
      text += encodeData(this.#up, sent.pn, sent.askAck ? FLAG_ACK_NOW : 0, sent.offset, sent.bytes);
    }
    this.#bulk = text.length > budget - 512;
    if (this.#ack === 'now' || (this.#ack === 'delayed' && text !== '')) text = this.#encodeAck(now) + text;
    return text;
  }

  #encodeAck(now: number): string {
    const flags = this.#replyWanted ? FLAG_REPLY : 0;
    if (this.#replyWanted) this.#replyAskedAt ||= now;
    this.#replyWanted = false;
    this.#ack = 'none';
    this.#ackBytes = 0;
    clearTimeout(this.#ackTimer);
    this.#ackTimer = undefined;
    return encodeAck(this.#up, flags, this.#receiver.recv, this.#receiver.pn, this.#receiver.ranges());
  }

  #armTimeout(): void {
    if (this.#rtoTimer !== undefined || this.#silent) return;
    const at = this.#sender.timeoutAt;
    if (at === Infinity) return;
    this.#rtoTimer = setTimeout(() => {
      this.#rtoTimer = undefined;
      this.#onTimeout();
    }, Math.max(1, at - performance.now()));
  }

  #onTimeout(): void {
    const carrier = this.#carrier;
    if (carrier === undefined || this.#silent) return;
    const now = performance.now();
    if (now >= this.#sender.timeoutAt) {
      // A small packet: whatever ate the last one may eat large frames only.
      const sent = this.#sender.timeout(payloadFor(SMALL_FRAME_CHARS), now);
      if (sent !== undefined) {
        this.#log.debug({ offset: sent.offset, bytes: sent.bytes.length }, 'link: no acknowledgement in time; sending the oldest bytes again');
        this.#framesSent += 1;
        carrier.write(this.#encodeAck(now) + encodeData(this.#up, sent.pn, FLAG_ACK_NOW, sent.offset, sent.bytes));
      }
    }
    this.#armTimeout();
    this.#schedule();
  }
}
