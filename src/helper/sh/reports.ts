import { Account } from './account.js';
import type { ShChannel } from './channel.js';
import { Ledger } from './ledger.js';
import type { OutputStream } from './output.js';
import type { Uplink } from './uplink.js';
import { EXIT_RECORD_CHARS, STREAM_SEGMENTS } from './wire.js';

/** A report waits so long for company: command frames are dear. */
const REPORT_DELAY_MS = 400;

/** What a report is made of. */
export interface ReportSource {
  readonly uplink: Uplink;
  readonly channels: () => Iterable<ShChannel>;
  /** False while nobody would hear it. */
  readonly attached: () => boolean;
}

/** When the device is told what became of its output: what arrived, what it may produce, what is missing. */
export class Reports {
  readonly #source: ReportSource;
  readonly #account = new Account();
  readonly #ledger = new Ledger(this.#account);
  #free: number[] = [];
  #timer: NodeJS.Timeout | undefined;
  #at = Number.POSITIVE_INFINITY;
  #segmentBytes = this.#account.segmentBytes;
  /** Segments that arrived. */
  arrived = 0;

  constructor(source: ReportSource) {
    this.#source = source;
  }

  /** A new front counts from zero and knows nothing of what was asked. */
  restart(): void {
    this.#account.restart();
    this.resume();
  }

  /** The same front hears us again; what we said last, and what it said, may be lost. */
  resume(): void {
    this.#ledger.forget();
    for (const channel of this.#source.channels()) this.touch(channel);
    this.#soon(0);
  }

  /** Something of this channel is to be told, whenever that will be. */
  touch(channel: ShChannel): void {
    this.#ledger.touch(channel);
  }

  /** A segment came to a stream; `fresh`: for the first time. */
  segment(stream: OutputStream, chars: number, fresh: boolean): void {
    if (!fresh) {
      // Known already: our acknowledgement was lost, or crossed it.
      this.#soon(REPORT_DELAY_MS);
      return;
    }
    this.arrived += 1;
    this.#account.arrived(chars);
    // Half of what the device may have of a stream, however small the pieces: soon it would wait for us.
    const waiting = this.#account.untold > this.#account.window / 3 || stream.arrived % (STREAM_SEGMENTS / 2) === 0;
    this.#soon(waiting ? 0 : REPORT_DELAY_MS);
  }

  exit(): void {
    this.#account.arrived(EXIT_RECORD_CHARS);
  }

  /** The device may produce more output of this channel. */
  granted(channel: ShChannel): void {
    this.touch(channel);
    this.#soon(REPORT_DELAY_MS);
  }

  finished(channel: ShChannel): void {
    this.#ledger.drop(channel);
  }

  /** The device may remove what it keeps of a channel. */
  free(number: number): void {
    if (!this.#free.includes(number)) this.#free.push(number);
    this.again();
  }

  /** The device repeats what it was told: it has not heard. */
  again(): void {
    this.#soon(REPORT_DELAY_MS);
  }

  /** A frame goes out anyway: the report that waits can travel along. */
  takeAlong(): void {
    if (Number.isFinite(this.#at)) this.#tell();
  }

  /** The segment that has been missing for longest, and since when. */
  oldestHole(): { since: number; name: string } | undefined {
    return Ledger.oldestHole(this.#source.channels());
  }

  /** Asks for what has been missing for too long. */
  askOverdue(now: number): void {
    const { uplink, channels } = this.#source;
    for (const note of this.#ledger.overdue(channels(), now, uplink.srtt)) uplink.note(note);
  }

  /** Nothing is outstanding any more. */
  forget(): void {
    this.#ledger.forget();
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  #soon(delay: number): void {
    const at = performance.now() + delay;
    if (at >= this.#at) return;
    this.#at = at;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#tell();
    }, delay).unref();
  }

  #tell(): void {
    clearTimeout(this.#timer);
    this.#at = Number.POSITIVE_INFINITY;
    const { uplink, channels, attached } = this.#source;
    if (!attached()) return;
    for (const number of this.#free.splice(0)) uplink.submit({ kind: 'line', body: `z ${number}` });
    if (this.#account.segmentBytes !== this.#segmentBytes) {
      this.#segmentBytes = this.#account.segmentBytes;
      uplink.submit({ kind: 'line', body: `n ${this.#segmentBytes}` });
    }
    for (const note of this.#ledger.notes(channels(), performance.now(), uplink.srtt)) uplink.note(note);
  }
}
