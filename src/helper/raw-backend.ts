import { StringDecoder } from 'node:string_decoder';
import { Fault } from '../base/errors.js';
import type { Carrier } from '../link/carrier.js';
import { HelperGone, type Backend } from '../mux/backend.js';
import type { Channel, ChannelEvents, DeviceInfo, Listener, ListenerEvents, ListenRequest, OpenRequest, Refusal } from '../mux/device.js';
import { splitCommandData } from '../protocol/command.js';

/** Output nobody has taken yet; the terminal has no flow control, so beyond it the channel ends. */
const OUTPUT_LIMIT_BYTES = 4 * 1024 * 1024;
/** Text printed before the client's shell opened (MOTD, prompt). */
const GREETING_LIMIT_BYTES = 64 * 1024;

const ONLY_A_TERMINAL: Refusal = {
  code: 'unsupported',
  message:
    'This device gives only a plain terminal (neither python3 nor a POSIX sh could be started behind its login), so only one interactive session works: ssh without a command.',
};

/** The raw tier: the login's own terminal for one shell channel, as it is. */
export class RawBackend implements Backend {
  readonly info: DeviceInfo;
  readonly rttMs = 0;
  #carrier: Carrier | undefined;
  #greeting: Buffer[] = [];
  #greetingBytes = 0;
  #shell: RawChannel | undefined;
  #used = false;
  onEnd: (fault: Fault) => void = () => undefined;

  constructor(user: string) {
    this.info = { tier: 'raw', detail: 'plain terminal', user, home: '', shell: '', sftpServer: undefined };
  }

  get channels(): number {
    return this.#shell === undefined ? 0 : 1;
  }

  attach(carrier: Carrier): Promise<void> {
    // A terminal's content cannot be resumed: a new login is a new shell.
    if (this.#used) return Promise.reject(new HelperGone('The session on the device was lost, and a plain terminal cannot be resumed.'));
    this.#carrier = carrier;
    carrier.onText = (bytes) => {
      if (this.#shell !== undefined) this.#shell.deliver(bytes);
      else if (this.#greetingBytes < GREETING_LIMIT_BYTES) {
        this.#greeting.push(bytes);
        this.#greetingBytes += bytes.length;
      }
    };
    return Promise.resolve();
  }

  detach(cause: Error): void {
    this.#carrier = undefined;
    this.#finish(new Fault('DEVICE_LOST', cause.message, { cause }));
  }

  #finish(fault: Fault | undefined): void {
    const shell = this.#shell;
    this.#shell = undefined;
    shell?.finish(fault);
  }

  owedMs(): number {
    return 0;
  }

  nudge(): void {
    // An empty command is a no-op for every agent, and makes the older ones send what they hold.
    this.#carrier?.write('');
  }

  open(request: OpenRequest, events: ChannelEvents): Channel {
    const carrier = this.#carrier;
    const channel = new RawChannel(events, (text) => carrier?.write(text), (gone) => {
      if (this.#shell !== gone) return;
      this.#shell = undefined;
      this.onEnd(new Fault('DEVICE_LOST', 'The client of the plain terminal is gone.'));
    });
    if (request.kind !== 'exec' || request.command !== undefined) return channel.refuse(ONLY_A_TERMINAL);
    if (this.#shell !== undefined || this.#used || carrier === undefined) {
      return channel.refuse({ code: 'resource', message: "The device's one terminal is in use by another session; end that one first." });
    }
    this.#shell = channel;
    this.#used = true;
    queueMicrotask(() => {
      events.opened();
      for (const bytes of this.#greeting) channel.deliver(bytes);
      this.#greeting = [];
    });
    return channel;
  }

  listen(_request: ListenRequest, events: ListenerEvents): Listener {
    queueMicrotask(() => {
      events.refused(ONLY_A_TERMINAL);
    });
    return { close: () => undefined };
  }

  shutdown(fault: Fault): Promise<boolean> {
    this.#finish(fault);
    return Promise.resolve(true);
  }
}

class RawChannel implements Channel {
  readonly #events: ChannelEvents;
  readonly #type: (text: string) => void;
  readonly #gone: (channel: RawChannel) => void;
  readonly #decoder = new StringDecoder('utf8');
  #untaken = 0;
  #done = false;

  constructor(events: ChannelEvents, type: (text: string) => void, gone: (channel: RawChannel) => void) {
    this.#events = events;
    this.#type = type;
    this.#gone = gone;
  }

  refuse(reason: Refusal): this {
    this.#done = true;
    queueMicrotask(() => {
      this.#events.refused(reason);
    });
    return this;
  }

  deliver(bytes: Buffer): void {
    if (this.#done) return;
    this.#untaken += bytes.length;
    if (this.#untaken > OUTPUT_LIMIT_BYTES) {
      this.finish(new Fault('DEVICE_LOST', 'The device prints faster than the client reads, and a plain terminal cannot be held back.'));
      this.#gone(this);
      return;
    }
    this.#events.data('out', bytes);
  }

  finish(fault: Fault | undefined): void {
    if (this.#done) return;
    this.#done = true;
    this.#events.eof();
    this.#events.closed(fault);
  }

  write(bytes: Buffer): boolean {
    if (this.#done) return true;
    // The protocol cannot carry NUL: the agent would cut the frame there.
    const text = this.#decoder.write(bytes).replaceAll('\0', '');
    for (const piece of splitCommandData(text)) this.#type(piece);
    return true;
  }

  end(): void {
    // A terminal has no end of input; Ctrl-D would end the login shell, which the agent does not survive.
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
    // Nothing to close: the terminal prints on.
  }

  close(): void {
    if (this.#done) return;
    this.#done = true;
    this.#events.closed(undefined);
    this.#gone(this);
  }
}
