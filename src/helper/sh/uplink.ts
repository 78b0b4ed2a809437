import { checksum, type SumTool } from './checksum.js';
import { PIECE_BYTES, Pieces } from './pieces.js';
import { Sizes } from './sizes.js';

/** Most characters sent and not acknowledged; a terminal and an agent take that much without blocking long. */
export const UP_WINDOW_CHARS = 96 * 1024;
/** Most lines sent and not acknowledged: a start costs the device some ten processes. */
export const UP_WINDOW_LINES = 64;
/** First and longest wait for an acknowledgement before lines are sent again, in ms. */
const RETRY_MIN_MS = 1_000;
const RETRY_MAX_MS = 20_000;
/** Sendings of one line that answer a complaint at once; further ones wait for the time-out. */
const QUICK_TRIES = 8;
/**
 * After so long, and so many sendings, it is no chance any more that a line does not get through to a device that is
 * heard: something in its way does not bear what it comes in. It is sent alone then, in small frames; and if that is in
 * vain as well, a block goes piece by piece. Both grow with the round trip, up to a margin (losses make that look long).
 */
const STUCK_MS = 3_000;
const PIECES_MS = 4_500;
const STUCK_ROUND_TRIPS = 2;
const STUCK_MARGIN_MS = 3_000;
const STUCK_TRIES = 3;
const FILLER = `${' '.repeat(499)}\n`;

export type UpItem =
  | { kind: 'line'; body: string }
  /** Standard input as a block; channel 0: a piece of a blob. */
  | { kind: 'block'; channel: number; slot: number; bytes: Buffer };

interface Entry {
  q: number;
  item: UpItem;
  chars: number;
  /** First and last time on the wire. */
  firstAt: number;
  sentAt: number;
  tries: number;
  done: (() => void) | undefined;
  failed: (() => void) | undefined;
}

/** Where text goes; undefined while no carrier is there. */
export interface UpTransport {
  write(text: string): void;
  /** There is room again, or the lines sent became fewer. */
  room(): void;
}

/**
 * The ordered, acknowledged lines up. Go-back-N: the device takes exactly the next number and refuses
 * the rest, so a repeated line is never done twice.
 */
export class Uplink {
  readonly #tag: string;
  readonly #transport: UpTransport;
  readonly #now: () => number;
  #sum: SumTool = 'cksum';
  #next = 1;
  #entries: Entry[] = [];
  /** Entries before this index were sent on the present carrier. */
  #sent = 0;
  #chars = 0;
  #live = false;
  #timer: NodeJS.Timeout | undefined;
  #retryMs = RETRY_MIN_MS;
  #progressAt = 0;
  /** When the device was last known to have done something. */
  #doneAt = 0;
  #windowChars = UP_WINDOW_CHARS;
  #rewoundAt = 0;
  #heardAt = Number.NEGATIVE_INFINITY;
  readonly #sizes = new Sizes();
  #srtt = 0;
  /** The oldest line's block, while that goes in pieces. */
  #pieces: Pieces | undefined;
  /** Characters of the largest block sent whole since the device was last given as many to swallow. */
  #swallows = 0;
  /** Lines sent again, for the log. */
  resent = 0;
  /** Grows with whatever the device tells to have that it had not told before. */
  arrived = 0;

  constructor(tag: string, transport: UpTransport, now: () => number = () => performance.now()) {
    this.#tag = tag;
    this.#transport = transport;
    this.#now = now;
  }

  get srtt(): number {
    return this.#srtt;
  }

  /** Bytes that the next block of standard input should have: two fit the window. */
  get blockBytes(): number {
    return this.#sizes.block(Math.floor((this.#windowChars * 3) / 8));
  }

  get idle(): boolean {
    return this.#entries.length === 0;
  }

  /** Whether bulk may be added; control lines are always taken. */
  get roomy(): boolean {
    return this.#entries.length < UP_WINDOW_LINES && this.waitingChars < this.#windowChars;
  }

  /** When the oldest unanswered line began to wait, in the clock's ms; undefined when nothing waits. */
  get owedSince(): number | undefined {
    const oldest = this.#entries[0];
    if (!this.#live || this.#sent === 0 || oldest === undefined) return undefined;
    return Math.max(oldest.firstAt, this.#progressAt);
  }

  /** Most characters of a frame; the carrier has its own bound. */
  get frameChars(): number {
    return this.#sizes.frameChars;
  }

  /** The oldest line that was sent and is not acknowledged: its number, and what it takes on the wire. */
  get head(): { q: number; chars: number } | undefined {
    const first = this.#entries[0];
    return first === undefined || first.tries === 0 ? undefined : { q: first.q, chars: first.chars };
  }

  /** Characters of the longest block that may be on its way. */
  get blockChars(): number {
    return Math.max(0, ...this.#entries.map(({ item, chars }) => (item.kind === 'block' ? chars : 0)));
  }

  useChecksum(tool: SumTool): void {
    this.#sum = tool;
  }

  /** Characters that wait for the device, or for its answer. */
  get waitingChars(): number {
    return this.#entries.reduce((sum, entry) => sum + entry.chars, 0);
  }

  /** `failed`: the device says that it cannot do it (no room); the line is then skipped. */
  submit(item: UpItem, done?: () => void, failed?: () => void): void {
    const chars = item.kind === 'line' ? item.body.length + 24 : Math.ceil(item.bytes.length / 3) * 4 + 64;
    this.#entries.push({ q: this.#next, item, chars, firstAt: 0, sentAt: 0, tries: 0, done, failed });
    this.#next += 1;
    this.#send();
  }

  /** A note: not numbered, not repeated. */
  note(body: string): void {
    if (this.#live) this.#transport.write(this.#line(0, body));
  }

  /** A note as text for every checksum tool, before it is known which one the device has. */
  static blindNote(tag: string, body: string): string {
    return (['cksum', 'md5sum', 'sha1sum', 'sha256sum'] as const)
      .map((tool) => `${tag} 0 ${checksum(tool, Buffer.from(`0 ${body}`))} ${body}\n`)
      .join('');
  }

  /** Something came from the device. */
  heard(): void {
    this.#heardAt = this.#now();
  }

  /** A front answered on a new carrier, and has done everything up to `last`. */
  resume(last: number, windowChars = UP_WINDOW_CHARS): void {
    this.#live = true;
    this.#windowChars = Math.min(windowChars, UP_WINDOW_CHARS);
    this.#retryMs = RETRY_MIN_MS;
    this.#progressAt = this.#now();
    this.#drop(last);
    this.#rewind();
  }

  pause(): void {
    this.#live = false;
    this.#sent = 0;
    this.#chars = 0;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  acknowledged(last: number): void {
    const newest = this.#entries[Math.min(this.#sent, last - (this.#entries[0]?.q ?? 0) + 1) - 1];
    if (newest?.q === last && newest.tries === 1) {
      const sample = this.#now() - newest.sentAt;
      this.#srtt = this.#srtt === 0 ? sample : this.#srtt * 0.875 + sample * 0.125;
    }
    if (!this.#drop(last)) return;
    this.#retryMs = this.#floor();
    this.#progressAt = this.#now();
    this.#arm();
    this.#send();
    this.#transport.room();
  }

  /** The device is out of step: it has done `last` and wants the one after it. */
  outOfStep(last: number): void {
    this.acknowledged(last);
    const first = this.#entries[0];
    if (first === undefined || first.q !== last + 1 || this.#sent === 0) return;
    // Several lines behind a gap are refused one by one; one rewind answers them all.
    if ((this.#now() - this.#rewoundAt < this.#srtt + 100 && first.tries > 1) || first.tries >= QUICK_TRIES) return;
    this.#shrink();
    this.#rewind();
  }

  /** The line after `last` came damaged, or could not be stored for want of room. */
  damaged(last: number): void {
    this.acknowledged(last);
    const first = this.#entries[0];
    if (first === undefined || first.q !== last + 1 || this.#sent === 0) return;
    this.#shrink();
    // Whole, and yet not right.
    if (this.#pieces?.complete === true) this.#pieces.restart();
    if (first.tries < QUICK_TRIES) this.#rewind();
  }

  /** The device holds a piece of line `q`. */
  pieceArrived(q: number, index: number): void {
    const first = this.#entries[0];
    if (first?.q !== q || this.#sent === 0 || this.#pieces?.arrived(q, index) !== true) return;
    this.#retryMs = this.#floor();
    this.#progressAt = this.#now();
    first.sentAt = this.#progressAt;
    this.arrived += 1;
    this.#transport.write(this.#encode(first));
    this.#arm();
  }

  /** The session is over: what has not been done will not be. */
  abandon(): void {
    const live = this.#live;
    this.#entries = [];
    this.pause();
    this.#live = live;
  }

  /** The device cannot do line `q`. */
  impossible(q: number): void {
    const first = this.#entries[0];
    if (first?.q !== q || (first.item.kind === 'line' && first.item.body === 'y')) return;
    const { failed } = first;
    this.#entries[0] = { ...first, item: { kind: 'line', body: 'y' }, chars: 25, done: undefined, failed: undefined };
    this.#rewind();
    failed?.();
  }

  /** Sends what is unacknowledged again, if it has had its time. */
  nudge(): void {
    const oldest = this.#entries[0];
    if (oldest === undefined || this.#sent === 0 || !this.#live) return;
    if (this.#now() - oldest.sentAt >= this.#floor() / 2) this.#rewind();
  }

  #floor(): number {
    return Math.max(RETRY_MIN_MS, 2 * this.#srtt + 300);
  }

  #drop(last: number): boolean {
    let gone = 0;
    while (gone < this.#entries.length && (this.#entries[gone]?.q ?? 0) <= last) gone += 1;
    if (gone === 0) return false;
    this.#doneAt = this.#now();
    const done = this.#entries.splice(0, gone);
    this.arrived += gone;
    for (const [index, entry] of done.entries()) {
      if (index < this.#sent) this.#chars -= entry.chars;
      // So it gets there, and not otherwise.
      if (entry.q === this.#pieces?.q) this.#sizes.bearsPieces();
      this.#sizes.arrived(entry.chars);
      if (entry.item.kind === 'block' && entry.tries === 1) this.#sizes.blockArrived();
    }
    this.#sent = Math.max(0, this.#sent - gone);
    for (const entry of done) entry.done?.();
    return true;
  }

  #shrink(): void {
    this.#sizes.lost(this.#stuck ? this.#windowChars : undefined);
  }

  /** The oldest line does not get through, though the device is heard. */
  get #stuck(): boolean {
    return this.#vainMs > STUCK_MS;
  }

  /** How long the oldest line has been sent in vain to a device that is heard. */
  get #vainMs(): number {
    const first = this.#entries[0];
    if (first === undefined || first.tries < STUCK_TRIES || this.#heardAt <= first.firstAt) return 0;
    return this.#now() - Math.max(first.firstAt, this.#doneAt) - Math.min(STUCK_MARGIN_MS, STUCK_ROUND_TRIPS * this.#srtt);
  }

  /** The oldest line is a block that has to go in pieces, as itself has shown, or a larger one before. */
  get #inPieces(): boolean {
    const item = this.#entries[0]?.item;
    if (item?.kind !== 'block' || item.bytes.length <= PIECE_BYTES) return false;
    return item.bytes.length > this.#sizes.blockMost || this.#vainMs > PIECES_MS;
  }

  #rewind(): void {
    this.resent += this.#sent;
    this.#sent = 0;
    this.#chars = 0;
    this.#rewoundAt = this.#now();
    // Ends whatever half a line the device holds.
    if (this.#entries.length > 0) this.#transport.write('\n');
    // A block that came without its end takes what follows for it: that would be piece after piece, a time-out each.
    if (this.#stuck && this.#swallows > 0) {
      this.#transport.write(FILLER.repeat(Math.ceil(this.#swallows / FILLER.length)));
      this.#swallows = 0;
    }
    this.#send();
  }

  #send(): void {
    if (!this.#live) return;
    const first = this.#entries[0];
    if (this.#pieces !== undefined && this.#pieces.q !== first?.q) this.#pieces = undefined;
    if (first?.item.kind === 'block' && this.#inPieces) this.#pieces ??= new Pieces(first.q, first.item.bytes);
    const alone = this.#stuck || this.#pieces !== undefined;
    const most = Math.min(this.#windowChars, this.#sizes.burstChars);
    for (;;) {
      const entry = this.#entries[this.#sent];
      if (entry === undefined) break;
      const tooLarge = entry.item.kind === 'block' && entry.item.bytes.length > this.#sizes.blockMost;
      if (this.#sent > 0 && (alone || tooLarge || this.#chars + entry.chars > most || this.#sent >= UP_WINDOW_LINES)) break;
      this.#sent += 1;
      this.#chars += entry.chars;
      entry.tries += 1;
      if (entry.item.kind === 'block' && this.#pieces?.q !== entry.q) this.#swallows = Math.max(this.#swallows, entry.chars);
      entry.sentAt = this.#now();
      if (entry.tries === 1) entry.firstAt = entry.sentAt;
      this.#transport.write(this.#encode(entry));
    }
    if (this.#timer === undefined) this.#arm();
  }

  #arm(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#sent === 0 || !this.#live) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      // A device that talks is not overwhelmed; something was lost on the way to it.
      const silent = this.#heardAt < (this.#entries[0]?.sentAt ?? 0) || (this.#entries[0]?.tries ?? 0) >= QUICK_TRIES;
      this.#retryMs = silent ? Math.min(RETRY_MAX_MS, this.#retryMs * 2) : this.#floor();
      this.#shrink();
      this.#rewind();
    }, this.#retryMs);
    this.#timer.unref();
  }

  #encode({ q, item }: Entry): string {
    if (item.kind === 'line') return this.#line(q, item.body);
    const text = item.bytes.toString('base64');
    const sum = checksum(this.#sum, item.bytes);
    if (this.#pieces?.q === q) {
      const piece = this.#pieces.next;
      if (piece === undefined) return this.#line(q, `D ${item.channel} ${item.slot} ${this.#pieces.count} ${sum}`);
      const part = piece.bytes.toString('base64');
      return `${this.#line(0, `v ${q}=${piece.index} 0 ${part.length} ${checksum(this.#sum, piece.bytes)}`)}${part}\n`;
    }
    return `${this.#line(q, `d ${item.channel} ${item.slot} ${text.length} ${sum}`)}${text}\n`;
  }

  #line(q: number, body: string): string {
    return `${this.#tag} ${q} ${checksum(this.#sum, Buffer.from(`${q} ${body}`, 'latin1'))} ${body}\n`;
  }
}
