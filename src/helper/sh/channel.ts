import { Fault } from '../../base/errors.js';
import { ByteQueue } from '../../base/byte-queue.js';
import type { Channel, ChannelEvents, Outcome, Refusal, WindowSize } from '../../mux/device.js';
import { OutputStream } from './output.js';
import type { UpItem } from './uplink.js';
import { CONNECTED, escapeForPrintf, INLINE_CHARS, INPUT_SLOTS, STATUS_OUTPUT_LOST, type SegmentStream } from './wire.js';

/** Standard input held for one channel before write() asks to wait, in bytes. */
export const INPUT_QUEUE_BYTES = 64 * 1024;
/** Raw bytes of an inline item when every one of them has to be escaped. */
const INLINE_WORST_BYTES = Math.floor(INLINE_CHARS / 5);

/** Most characters of a program's complaint in a refusal. */
const COMPLAINT_CHARS = 1_000;

/** RFC 4254 section 6.10 names by Linux number (the generic table: x86, ARM, RISC-V). */
const SIGNALS: Readonly<Record<number, string>> = {
  1: 'HUP', 2: 'INT', 3: 'QUIT', 4: 'ILL', 6: 'ABRT', 8: 'FPE', 9: 'KILL', 10: 'USR1', 11: 'SEGV', 12: 'USR2',
  13: 'PIPE', 14: 'ALRM', 15: 'TERM',
};
/** Where MIPS has others. */
const SIGNALS_MIPS: Readonly<Record<number, string | undefined>> = { ...SIGNALS, 10: undefined, 12: undefined, 16: 'USR1', 17: 'USR2' };
const SIGNAL_NAMES = new Set([...Object.values(SIGNALS), 'CONT', 'STOP', 'TSTP', 'WINCH', 'BUS', 'TRAP']);

/** What a channel needs from the engine. */
export interface ChannelHost {
  submit(item: UpItem, done?: () => void, failed?: () => void): void;
  /** The channel has standard input to send. */
  wake(): void;
  /** The device may produce more output of this channel. */
  granted(): void;
  /** What the device says of its system: `uname -srm`. */
  readonly system?: string | undefined;
  /** Nothing more will come from this channel; `free`: the device still keeps its directory. */
  finished(number: number, free: boolean): void;
}

/** What a channel is, and what it fails to do. */
export type Role = 'process' | 'connection' | 'listener';
const FAILURES: Readonly<Record<Exclude<Role, 'process'>, string>> = { connection: 'connect', listener: 'listen' };

/** Signals of a channel that may be on their way at a time; a process does not count them either. */
const SIGNALS_WAITING = 16;

/** One channel of the sh tier: a command (or nc, or sftp-server) with its pumps on the device. */
export class ShChannel implements Channel {
  readonly number: number;
  #events: ChannelEvents;
  readonly streams: Readonly<Record<SegmentStream, OutputStream>>;
  readonly #host: ChannelHost;
  readonly #role: Role;
  #opened = false;
  #over = false;
  #closing = false;
  #mute = false;
  #outputEnded = false;
  /** What nc or socat said on standard error. */
  #complaint = '';
  /** Delivered and not yet consumed segments, in order of delivery. */
  readonly #delivered: { stream: SegmentStream; bytes: number }[] = [];
  readonly #input = new ByteQueue();
  #inputEnd = false;
  #endSent = false;
  #blocked = false;
  #itemsSent = 0;
  #itemsTaken = 0;
  #exit: { status: number; signal: number } | undefined;
  /** The last size that was asked for, while one is on its way. */
  #resizing: WindowSize | undefined;
  /** The peer of a connection ended before that counted as open. */
  #endedEarly = false;
  /** Signals on their way. */
  #signals = 0;
  /** When the device's slots became full, in the clock's ms. */
  fullSince: number | undefined;

  constructor(number: number, events: ChannelEvents, host: ChannelHost, role: Role) {
    this.number = number;
    this.#events = events;
    this.#host = host;
    this.#role = role;
    const stream = (name: SegmentStream): OutputStream =>
      new OutputStream((bytes) => {
        this.#deliver(name, bytes);
      });
    this.streams = { o: stream('o'), e: stream('e') };
  }

  get over(): boolean {
    return this.#over;
  }

  /** An accepted connection: it is open, and these are its events. */
  adopt(events: ChannelEvents): void {
    this.#opened = true;
    this.#events = events;
  }

  /** An accepted connection that the device has no more. */
  gone(): void {
    this.#finish(undefined, false);
  }

  opened(): void {
    if (this.#opened || this.#over) return;
    this.#opened = true;
    this.#events.opened();
    if (this.#endedEarly) this.#endOutput();
  }

  refuse(reason: Refusal): void {
    if (this.#over || this.#opened) return;
    this.#over = true;
    this.#host.finished(this.number, false);
    this.#events.refused(reason);
  }

  write(bytes: Buffer): boolean {
    if (this.#over || this.#closing || this.#inputEnd || this.#exit !== undefined) return true;
    this.#input.push(bytes);
    this.#host.wake();
    // Who was told to wait waits until drain(), whatever else it writes: only that takes this back.
    if (this.#input.length >= INPUT_QUEUE_BYTES) this.#blocked = true;
    return !this.#blocked;
  }

  end(): void {
    if (this.#inputEnd || this.#over || this.#closing) return;
    this.#inputEnd = true;
    this.#host.wake();
  }

  /** The next piece of standard input, when the device has a slot for it. */
  nextInput(blockBytes: number, blocks: boolean): UpItem | undefined {
    if (this.#over || this.#closing || this.#endSent) return undefined;
    if (this.#itemsSent - this.#itemsTaken >= INPUT_SLOTS) return undefined;
    if (this.#input.length === 0) {
      if (!this.#inputEnd) return undefined;
      this.#endSent = true;
      return { kind: 'line', body: `E ${this.number}` };
    }
    const slot = this.#itemsSent % INPUT_SLOTS;
    const inlineBytes = Math.min(this.#input.length, INLINE_CHARS);
    const bytes = this.#dequeue(blocks && this.#input.length > inlineBytes ? blockBytes : inlineBytes);
    this.#itemsSent += 1;
    const text = bytes.length <= INLINE_CHARS ? escapeForPrintf(bytes) : '';
    if (bytes.length <= INLINE_CHARS && text.length <= INLINE_CHARS) return { kind: 'line', body: `i ${this.number} ${text}` };
    if (blocks) return { kind: 'block', channel: this.number, slot, bytes };
    this.#input.unshift(bytes.subarray(INLINE_WORST_BYTES));
    return { kind: 'line', body: `i ${this.number} ${escapeForPrintf(bytes.subarray(0, INLINE_WORST_BYTES))}` };
  }

  /** The device took so many items of standard input in all. */
  taken(count: number): void {
    if (count <= this.#itemsTaken || count > this.#itemsSent) return;
    this.#itemsTaken = count;
    this.fullSince = undefined;
    this.#host.wake();
  }

  /** Whether standard input waits for the device to take what it has. */
  get inputStuck(): boolean {
    const waiting = this.#input.length > 0 || (this.#inputEnd && !this.#endSent);
    return !this.#over && waiting && this.#itemsSent - this.#itemsTaken >= INPUT_SLOTS;
  }

  consumed(bytes: number): void {
    let left = bytes;
    let moved = false;
    while (left > 0) {
      const first = this.#delivered[0];
      if (first === undefined) break;
      const part = Math.min(left, first.bytes);
      first.bytes -= part;
      left -= part;
      if (first.bytes > 0) break;
      this.#delivered.shift();
      this.streams[first.stream].released();
      moved = true;
    }
    if (moved) this.#host.granted();
  }

  closeOutput(): void {
    if (this.#over || this.#closing || this.#mute) return;
    this.#mute = true;
    this.#host.submit({ kind: 'line', body: `O ${this.number}` });
    this.#settle();
  }

  resize(size: WindowSize): void {
    if (this.#over || size.rows === 0 || size.cols === 0) return;
    // While one is on its way, which may last, only the last counts.
    if (this.#resizing !== undefined) {
      this.#resizing = size;
      return;
    }
    this.#resizing = size;
    this.#host.submit({ kind: 'line', body: `w ${this.number} ${size.rows} ${size.cols}` }, () => {
      const last = this.#resizing;
      this.#resizing = undefined;
      if (last !== undefined && last !== size) this.resize(last);
    });
  }

  signal(name: string): void {
    if (this.#over || this.#exit !== undefined || !SIGNAL_NAMES.has(name) || this.#signals >= SIGNALS_WAITING) return;
    this.#signals += 1;
    this.#host.submit({ kind: 'line', body: `s ${this.number} ${name}` }, () => {
      this.#signals -= 1;
    });
  }

  close(): void {
    if (this.#over || this.#closing) return;
    this.#closing = true;
    this.#host.submit({ kind: 'line', body: `c ${this.number}` }, () => {
      this.#finish(undefined, false);
    });
  }

  /** One segment has arrived; false when it is old news. */
  segment(stream: SegmentStream, index: number, bytes: Buffer, now: number): boolean {
    if (this.#over) return false;
    const fresh = this.streams[stream].take(index, bytes, now);
    if (fresh) this.#settle();
    return fresh;
  }

  exited(exit: { status: number; signal: number; out: number; err: number }, now: number): boolean {
    if (this.#over || this.#exit !== undefined) return false;
    this.#exit = { status: exit.status, signal: exit.signal };
    this.streams.o.total = exit.out;
    this.streams.e.total = exit.err;
    this.streams.o.noteHoles(now);
    this.streams.e.noteHoles(now);
    this.#settle();
    return true;
  }

  /** The device is lost for good. */
  fail(fault: Fault): void {
    if (!this.#opened && !this.#over && !this.#closing) this.opened();
    this.#finish(fault, false);
  }

  #deliver(stream: SegmentStream, bytes: Buffer): void {
    const connection = this.#role === 'connection';
    if (connection && stream === 'e' && bytes.includes(CONNECTED)) this.opened();
    if (this.#role !== 'process' && stream === 'e') this.#complaint = (this.#complaint + bytes.toString('latin1')).slice(0, COMPLAINT_CHARS);
    if (connection && stream === 'o' && bytes.length === 0 && !this.#closing) {
      if (this.#opened) this.#endOutput();
      else this.#endedEarly = true;
    }
    const unwanted = this.#closing || (stream === 'o' ? this.#mute : this.#role !== 'process');
    if (unwanted || bytes.length === 0) {
      this.streams[stream].released();
      this.#host.granted();
      return;
    }
    this.opened();
    this.#delivered.push({ stream, bytes: bytes.length });
    this.#events.data(stream === 'o' ? 'out' : 'err', bytes);
  }

  #settle(): void {
    const exit = this.#exit;
    if (exit === undefined || this.#over || this.#closing) return;
    if (!(this.streams.o.complete || this.#mute) || !this.streams.e.complete) return;
    if (this.#role !== 'process' && !this.#opened && exit.status !== 0) {
      this.#over = true;
      this.#host.finished(this.number, true);
      this.#events.refused({ code: 'connect-failed', message: complaint(this.#complaint) ?? `The device could not ${FAILURES[this.#role]}.` });
      return;
    }
    this.opened();
    if (exit.status === STATUS_OUTPUT_LOST) {
      this.#finish(new Fault('DEVICE_LOST', 'What serves the command on the device was killed, or found no room (memory, a full file system): its end, or some of its output, is lost.'), true);
      return;
    }
    if (this.#role === 'process') this.#events.outcome(outcomeOf(exit, this.#host.system));
    this.#finish(undefined, true);
  }

  #finish(fault: Fault | undefined, free: boolean): void {
    if (this.#over) return;
    this.#over = true;
    this.#input.clear();
    this.#host.finished(this.number, free);
    if (fault === undefined) this.#endOutput();
    this.#events.closed(fault);
  }

  #endOutput(): void {
    if (this.#outputEnded) return;
    this.#outputEnded = true;
    this.#events.eof();
  }

  #dequeue(most: number): Buffer {
    const parts = this.#input.take(most);
    if (this.#blocked && this.#input.length < INPUT_QUEUE_BYTES / 2) {
      this.#blocked = false;
      this.#events.drain();
    }
    return Buffer.concat(parts);
  }
}

/**
 * The reason in what socat or nc said: the end of its last line, as sshd says it too ("… E connect(5,
 * AF=2 127.0.0.1:1, 16): Connection refused", "nc: bind: Address already in use").
 */
function complaint(said: string): string | undefined {
  const lines = said.split('\n').map((line) => line.replace(/[^\x20-\x7e]+/g, ' ').trim());
  const reason = lines.findLast((line) => line !== '')?.split(': ').at(-1);
  // BusyBox's own words for a name that nobody knows.
  if (reason?.startsWith('bad address ')) return 'Name or service not known';
  return reason === undefined ? undefined : `${reason.charAt(0).toUpperCase()}${reason.slice(1)}`;
}

function outcomeOf({ status, signal }: { status: number; signal: number }, system = ''): Outcome {
  if (signal <= 0) return { kind: 'status', status: status & 0xff };
  // What sshd says of signals that the RFC has no name for.
  return { kind: 'signal', signal: (/ mips\w*$/.test(system) ? SIGNALS_MIPS : SIGNALS)[signal] ?? 'SIG@openssh.com', coreDumped: false, message: '' };
}
