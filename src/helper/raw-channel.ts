import { StringDecoder } from 'node:string_decoder';
import { Fault } from '../base/errors.js';
import type { Carrier } from '../link/carrier.js';
import type { Channel, ChannelEvents, Refusal } from '../mux/device.js';
import { splitCommandData } from '../protocol/command.js';

/** Output nobody has taken yet; the terminal has no flow control, so beyond it the channel ends. */
const OUTPUT_LIMIT_BYTES = 4 * 1024 * 1024;
/** Typed text that has not left yet; beyond it the client is held back, and asked for more below half of it. */
const INPUT_LIMIT_BYTES = 64 * 1024;
const INPUT_STEP_MS = 20;
/** Input that nothing was printed after for this long: an empty command, a no-op, makes some agents go on. */
export const MUTE_NUDGE_MS = 1_000;
/** And for this long: the client is told, since nobody else can judge it. */
export const MUTE_NOTICE_MS = 15_000;
/** After the end of the input, where no terminal was asked for: this long without output is the end. */
export const QUIET_END_MS = 10_000;
/** How long before the end of an idle terminal its user is told of it (half of the bound, where that is less). */
const IDLE_NOTICE_MS = 60_000;

/** How long silence may last. */
export interface RawBounds {
  /** Input that nothing was printed after for this long means that the session is lost. */
  graceMs: number;
  /** Nothing typed and nothing printed for this long: likewise, since nothing else could show it. 0: for ever. */
  idleMs: number;
}

export interface RawChannelOptions extends RawBounds {
  events: ChannelEvents;
  carrier: Carrier;
  /** The client has a terminal: then the end of its input means nothing, as under sshd. */
  pty: boolean;
  /** The channel is over by itself, or by its client's wish. */
  gone(fault: Fault): void;
}

/** Refuses before anything was opened. */
export function refusedChannel(events: ChannelEvents, reason: Refusal): Channel {
  queueMicrotask(() => {
    events.refused(reason);
  });
  const nothing = (): void => undefined;
  return { write: () => true, end: nothing, consumed: nothing, closeOutput: nothing, resize: nothing, signal: nothing, close: nothing };
}

/**
 * One client at the login's own terminal. A terminal promises nothing, and the agent's session may die in silence: what
 * was typed and not even echoed is the only sign of it, and may as well be a program that is busy. So the client is told
 * after a while, and cut only after the grace. Where nothing is typed there is no sign at all; such a terminal is idle, and
 * ends as sshd's ChannelTimeout ends it.
 */
export class RawChannel implements Channel {
  readonly #options: RawChannelOptions;
  readonly #decoder = new StringDecoder('utf8');
  #untaken = 0;
  #done = false;
  #ended = false;
  /** Runs from input to the next output. */
  #mute: NodeJS.Timeout | undefined;
  /** Runs from output to output once the client has ended its input. */
  #quiet: NodeJS.Timeout | undefined;
  #drain: NodeJS.Timeout | undefined;
  /** Runs from whatever was typed or printed to the next of either. */
  #idle: NodeJS.Timeout | undefined;

  constructor(options: RawChannelOptions) {
    this.#options = options;
    this.#awaitIdle();
  }

  deliver(bytes: Buffer): void {
    if (this.#done) return;
    this.#heard();
    this.#awaitIdle();
    this.print(bytes);
  }

  /** What came before the client did: no answer to what it has typed. */
  print(bytes: Buffer): void {
    if (this.#done) return;
    this.#untaken += bytes.length;
    if (this.#untaken > OUTPUT_LIMIT_BYTES) {
      this.#fail('The device prints faster than the client reads, and a plain terminal cannot be held back.');
      return;
    }
    this.#options.events.data('out', bytes);
  }

  finish(fault: Fault | undefined): void {
    if (this.#done) return;
    this.#done = true;
    for (const timer of [this.#mute, this.#quiet, this.#drain, this.#idle]) clearTimeout(timer);
    // With a fault no eof: nothing can be told after it.
    if (fault === undefined) this.#options.events.eof();
    this.#options.events.closed(fault);
  }

  write(bytes: Buffer): boolean {
    if (this.#done) return true;
    // The protocol cannot carry NUL: the agent would cut the frame there.
    const text = this.#decoder.write(bytes).replaceAll('\0', '');
    this.#type(text);
    return this.#drain === undefined;
  }

  #type(text: string): void {
    const { carrier } = this.#options;
    if (text === '') return;
    this.#awaitIdle();
    for (const piece of splitCommandData(text, carrier.maxWrite)) carrier.write(piece);
    this.#mute ??= setTimeout(() => {
      this.#nudge();
    }, MUTE_NUDGE_MS);
    if (carrier.buffered > INPUT_LIMIT_BYTES) this.#drain ??= setInterval(() => {
      this.#drained();
    }, INPUT_STEP_MS);
  }

  #drained(): void {
    if (this.#options.carrier.buffered > INPUT_LIMIT_BYTES / 2) return;
    clearInterval(this.#drain);
    this.#drain = undefined;
    this.#options.events.drain();
  }

  end(): void {
    if (this.#done || this.#ended) return;
    this.#ended = true;
    // A terminal has no end of input; Ctrl-D would end the login shell, which the agent does not survive.
    if (!this.#options.pty) this.#awaitQuiet();
  }

  consumed(bytes: number): void {
    this.#untaken -= bytes;
  }

  resize(): void {
    // The protocol has no resize, and typing stty into an unknown program would be wrong.
  }

  signal(name: string): void {
    if (!this.#done && name === 'INT') this.#type('\u0003');
  }

  closeOutput(): void {
    // The terminal prints on; but with no input either, the client is done with it, and others may have it.
    if (this.#ended && !this.#options.pty) this.close();
  }

  close(): void {
    this.#over(undefined, 'The client of the plain terminal is gone.');
  }

  #heard(): void {
    clearTimeout(this.#mute);
    this.#mute = undefined;
    if (this.#quiet !== undefined) this.#awaitQuiet();
  }

  #awaitQuiet(): void {
    clearTimeout(this.#quiet);
    this.#quiet = setTimeout(() => {
      this.#fail(`The input has ended, and the device has printed nothing for ${String(QUIET_END_MS / 1000)} s; a plain terminal knows no end of input and no exit status.`);
    }, QUIET_END_MS);
  }

  #nudge(): void {
    this.#options.carrier.write('');
    this.#mute = setTimeout(() => {
      this.#notice();
    }, MUTE_NOTICE_MS - MUTE_NUDGE_MS);
  }

  #notice(): void {
    const { graceMs } = this.#options;
    this.#tell(`The device has printed nothing since the input of ${String(MUTE_NOTICE_MS / 1000)} s ago: a program is busy there, or the session is lost.`);
    this.#mute = setTimeout(() => {
      this.#fail(`The device has printed nothing for ${String(graceMs / 1000)} s after input; its session is taken for lost.`);
    }, Math.max(0, graceMs - MUTE_NOTICE_MS));
  }

  #awaitIdle(): void {
    const { idleMs } = this.#options;
    clearTimeout(this.#idle);
    if (idleMs === 0) return;
    const noticeMs = Math.min(IDLE_NOTICE_MS, idleMs / 2);
    this.#idle = setTimeout(() => {
      this.#tell(`Nothing was typed or printed for ${String((idleMs - noticeMs) / 1000)} s, and whether the session still lives shows only then: it ends in ${String(noticeMs / 1000)} s unless something is (--raw-timeout).`);
      this.#idle = setTimeout(() => {
        this.#fail(`Nothing was typed or printed for ${String(idleMs / 1000)} s (--raw-timeout); the session on the device is taken for lost.`);
      }, noticeMs);
    }, idleMs - noticeMs);
  }

  /** A word of ours between what the device prints. */
  #tell(sentence: string): void {
    const { events, pty } = this.#options;
    const end = pty ? '\r\n' : '\n';
    const note = Buffer.from(`${pty ? end : ''}iotda-ssh: ${sentence}${end}`);
    this.#untaken += note.length;
    events.data('err', note);
  }

  #fail(reason: string): void {
    const fault = new Fault('DEVICE_LOST', reason);
    this.#over(fault, reason);
  }

  #over(fault: Fault | undefined, reason: string): void {
    if (this.#done) return;
    this.finish(fault);
    this.#options.gone(fault ?? new Fault('DEVICE_LOST', reason));
  }
}
