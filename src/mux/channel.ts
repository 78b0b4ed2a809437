import { ByteQueue } from '../base/byte-queue.js';
import type { Fault } from '../base/errors.js';
import type { Channel, ChannelEvents, WindowSize } from './device.js';
import { encodeMessage, header } from './message.js';
import { Squeezer } from './squeeze.js';
import { CREDIT_MOST_BYTES, CREDIT_TO_DEVICE_BYTES, CREDIT_TO_BRIDGE_BYTES, HEADER_BYTES, MSG, SLICE_BYTES } from './wire.js';

/** Input held for the device before write() asks the caller to wait; a caller that goes on is its own fault. */
const QUEUE_LIMIT_BYTES = 256 * 1024;

/** What is compressed becomes so much smaller, or others wait longer for their turn. */
const RATIO = 4;

/** What the device says of a channel at most once. */
export type Milestone = 'opened' | 'outcome' | 'eof';

/** What a channel needs from its mux. */
export interface ChannelHost {
  /** Queues a control message ahead of all data but the rest of a message that was begun. */
  control(message: Buffer): void;
  /** The same for what a client may ask for without end; false when it was dropped. */
  signal(message: Buffer): boolean;
  /** The same, in place of an earlier size that still waits. */
  resize(channel: number, message: Buffer): void;
  /** There is data to send on some channel. */
  ready(channel: MuxChannel): void;
  forget(channel: number): void;
}

/** One channel's bridge half: input queue under the device's credit, output under ours. */
export class MuxChannel implements Channel {
  readonly id: number;
  readonly #host: ChannelHost;
  #events: ChannelEvents;
  readonly #queue = new ByteQueue();
  #blocked = false;
  #ended = false;
  #eofSent = false;
  #closing = false;
  #done = false;
  #stopped = false;
  readonly #said = new Set<Milestone>();
  readonly #squeezer = new Squeezer();
  #sendCredit = CREDIT_TO_BRIDGE_BYTES;
  /** What the device may have on its way and in our hands together. */
  #window = CREDIT_TO_DEVICE_BYTES;
  #granted = CREDIT_TO_DEVICE_BYTES;
  #consumed = 0;
  /** Consumed since the window last grew. */
  #taken = 0;

  constructor(id: number, host: ChannelHost, events: ChannelEvents) {
    this.id = id;
    this.#host = host;
    this.#events = events;
  }

  /** For incoming channels, whose events are known only once the channel exists. */
  setEvents(events: ChannelEvents): void {
    this.#events = events;
  }

  write(bytes: Buffer): boolean {
    if (this.#done || this.#ended || this.#closing || bytes.length === 0) return true;
    this.#queue.push(bytes);
    this.#host.ready(this);
    if (this.#queue.length < QUEUE_LIMIT_BYTES) return true;
    this.#blocked = true;
    return false;
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#host.ready(this);
  }

  consumed(bytes: number): void {
    this.#consumed += bytes;
    this.#taken += bytes;
    if (this.#done || this.#consumed < this.#window / 4) return;
    // A whole window went through and all that came is gone again: it limits the device, not our reader.
    const keepsUp = this.#taken >= this.#window && this.#granted + this.#consumed === this.#window;
    if (keepsUp && this.#window < CREDIT_MOST_BYTES) {
      this.#consumed += this.#window;
      this.#window *= 2;
      this.#taken = 0;
    }
    const credit = Buffer.allocUnsafe(4);
    credit.writeUInt32BE(this.#consumed);
    this.#granted += this.#consumed;
    this.#consumed = 0;
    this.#host.control(encodeMessage(MSG.CREDIT, this.id, credit));
  }

  resize(size: WindowSize): void {
    const payload = Buffer.allocUnsafe(8);
    const numbers = [size.cols, size.rows, size.widthPx, size.heightPx];
    numbers.forEach((n, i) => payload.writeUInt16BE(Math.max(0, Math.min(n, 0xffff)), i * 2));
    if (!this.#over) this.#host.resize(this.id, encodeMessage(MSG.RESIZE, this.id, payload));
  }

  signal(name: string): void {
    if (!this.#over) this.#host.signal(encodeMessage(MSG.SIGNAL, this.id, Buffer.from(name)));
  }

  closeOutput(): void {
    if (this.#over || this.#stopped) return;
    this.#stopped = true;
    this.#host.control(encodeMessage(MSG.STOP, this.id));
  }

  close(): void {
    if (this.#closing || this.#done) return;
    this.#closing = true;
    this.#queue.clear();
    this.#host.control(encodeMessage(MSG.CLOSE, this.id));
  }

  get #over(): boolean {
    return this.#done || this.#closing;
  }

  /** True the first time. A device that repeats itself would else fill the client's queue. */
  once(milestone: Milestone): boolean {
    if (this.#said.has(milestone)) return false;
    this.#said.add(milestone);
    return true;
  }

  /** True when slice() has something to give. */
  get hasData(): boolean {
    if (this.#done || this.#closing) return false;
    return this.#queue.length > 0 ? this.#sendCredit > 0 : this.#ended && !this.#eofSent;
  }

  /** The next message: a slice of input that fits `max` bytes, unless compressed, or EOF after the last. */
  slice(max: number): Buffer[] {
    if (this.#queue.length === 0) {
      this.#eofSent = true;
      return [header(MSG.EOF, this.id, 0)];
    }
    const parts = this.#squeezed(max) ?? this.#plain(max);
    if (this.#blocked && this.#queue.length <= QUEUE_LIMIT_BYTES / 2) {
      this.#blocked = false;
      setImmediate(() => {
        if (!this.#done) this.#events.drain();
      });
    }
    return parts;
  }

  #squeezed(max: number): Buffer[] | undefined {
    const length = this.#squeezer.wants(Math.min(this.#queue.length, this.#sendCredit, RATIO * max));
    if (length === 0) return undefined;
    const bytes = Buffer.concat(this.#take(length));
    const packed = this.#squeezer.squeeze(bytes);
    if (packed !== undefined) return [header(MSG.ZDATA, this.id, packed.length), packed];
    this.#queue.unshift(bytes);
    this.#sendCredit += length;
    return undefined;
  }

  #plain(max: number): Buffer[] {
    const length = Math.min(this.#queue.length, max - HEADER_BYTES, this.#sendCredit, SLICE_BYTES);
    return [header(MSG.DATA, this.id, length), ...this.#take(length)];
  }

  /** So many bytes from the front of the queue, on the device's credit. */
  #take(length: number): Buffer[] {
    this.#sendCredit -= length;
    return this.#queue.take(length);
  }

  /** Credit from the device. */
  onCredit(bytes: number): void {
    this.#sendCredit += bytes;
    if (this.#queue.length > 0) this.#host.ready(this);
  }

  /** False when the device sent more than we allowed: it is not our helper that talks. */
  onData(stream: 'out' | 'err', bytes: Buffer): boolean {
    this.#granted -= bytes.length;
    if (this.#granted < 0) return false;
    if (this.#done) return true;
    if (this.#closing) this.consumed(bytes.length);
    else this.#events.data(stream, bytes);
    return true;
  }

  get events(): ChannelEvents {
    return this.#events;
  }

  finish(fault: Fault | undefined): void {
    if (this.#done) return;
    this.drop();
    this.#events.closed(fault);
  }

  /** Nothing more goes either way. */
  drop(): void {
    this.#done = true;
    this.#queue.clear();
    this.#host.forget(this.id);
  }
}
