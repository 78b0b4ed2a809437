import type { ShChannel } from './channel.js';
import { decodeSegment, type Encoding } from './encoding.js';
import type { Reports } from './reports.js';
import type { Uplink } from './uplink.js';
import type { Vigil } from './vigil.js';
import type { SegmentStream, ShRecord } from './wire.js';

/** Whom the device's records are for. */
export interface IntakeSource {
  readonly uplink: Uplink;
  readonly reports: Reports;
  readonly vigil: Vigil;
  /** A channel that is open. */
  channel(number: number): ShChannel | undefined;
  /** Whether there has been a channel of this number. */
  existed(number: number): boolean;
  encoding(): Encoding;
  /** The helper is gone, as it was told. */
  gone(): void;
}

/** Gives each record of the device to whom it is for. */
export class Intake {
  readonly #source: IntakeSource;

  constructor(source: IntakeSource) {
    this.#source = source;
  }

  take(record: ShRecord): void {
    const { uplink, vigil } = this.#source;
    const now = performance.now();
    vigil.heard(now);
    uplink.heard();
    switch (record.type) {
      case 'a':
        uplink.acknowledged(record.value);
        return;
      case 'n':
        uplink.outOfStep(record.value);
        return;
      case 'm':
        uplink.damaged(record.value);
        return;
      case 'A':
        return;
      case 'F':
        uplink.impossible(record.value);
        return;
      case 'v':
        uplink.pieceArrived(record.line, record.index);
        return;
      case 'S':
        this.#sentAgain(record, now);
        return;
      case 'c':
        this.#source.channel(record.channel)?.taken(record.taken);
        vigil.taken();
        return;
      case 'p':
        vigil.answered();
        for (const [number, count] of record.taken) this.#source.channel(number)?.taken(count);
        return;
      case 'o':
      case 'e':
        this.#segment(record.type, record, now);
        return;
      case 'x':
        this.#exit(record, now);
        return;
      case 'b':
        this.#source.gone();
        return;
      default:
        return;
    }
  }

  #segment(stream: SegmentStream, record: { channel: number; index: number; text: string }, now: number): void {
    const channel = this.#source.channel(record.channel);
    if (channel === undefined) {
      this.#forgotten(record.channel);
      return;
    }
    const bytes = decodeSegment(record.text, this.#source.encoding());
    if (bytes === undefined) return;
    this.#source.reports.touch(channel);
    this.#source.reports.segment(channel.streams[stream], record.text.length, channel.segment(stream, record.index, bytes, now));
  }

  /** The device has had a segment for us for a while. */
  #sentAgain(record: { stream: SegmentStream; channel: number; index: number }, now: number): void {
    const channel = this.#source.channel(record.channel);
    if (channel === undefined) this.#forgotten(record.channel);
    else if (!channel.streams[record.stream].exists(record.index, now)) {
      this.#source.reports.touch(channel);
      this.#source.reports.again();
    }
  }

  #exit(record: Extract<ShRecord, { type: 'x' }>, now: number): void {
    const channel = this.#source.channel(record.channel);
    if (channel === undefined) {
      this.#forgotten(record.channel);
      return;
    }
    if (channel.exited(record, now)) this.#source.reports.exit();
  }

  /** Told again of a channel whose end we have seen: the device has not heard so yet. */
  #forgotten(number: number): void {
    if (this.#source.uplink.idle && this.#source.existed(number)) this.#source.reports.free(number);
    else this.#source.reports.again();
  }
}
