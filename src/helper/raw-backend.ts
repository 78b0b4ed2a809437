import { Fault } from '../base/errors.js';
import { unpinned } from '../base/unpinned.js';
import type { Carrier } from '../link/carrier.js';
import { HelperGone, type Backend, type Boot } from '../mux/backend.js';
import type { Channel, ChannelEvents, DeviceInfo, Listener, ListenerEvents, ListenRequest, OpenRequest, Refusal } from '../mux/device.js';
import { RawChannel, refusedChannel, type RawBounds } from './raw-channel.js';

/** Text printed before the client's shell opened (MOTD, prompt). */
const GREETING_LIMIT_BYTES = 64 * 1024;

const ONLY_A_TERMINAL: Refusal = {
  code: 'unsupported',
  message:
    'This device gives only a plain terminal (neither python3 nor a POSIX sh could be started behind its login), so only one interactive session works: ssh without a command.',
};

const IN_USE: Refusal = { code: 'resource', message: "The device's one terminal is in use by another session; end that one first." };

/** The raw tier needs no boot sh; asking it for one would be a defect. */
export const NO_BOOT: Boot = {
  facts: {},
  run: () => {
    throw new Fault('INTERNAL', 'The raw tier has no sh to run commands in.');
  },
};

/** The raw tier: the login's own terminal for one shell channel, as it is. */
export class RawBackend implements Backend {
  readonly info: DeviceInfo;
  readonly rttMs = 0;
  readonly #bounds: RawBounds;
  #carrier: Carrier | undefined;
  #greeting: Buffer[] = [];
  #greetingBytes = 0;
  #shell: RawChannel | undefined;
  #used = false;
  onEnd: (fault: Fault) => void = () => undefined;

  constructor(user: string, bounds: RawBounds) {
    this.#bounds = bounds;
    this.info = { tier: 'raw', detail: 'plain terminal', user, home: '', shell: '', sftpServer: undefined };
  }

  get channels(): number {
    return this.#shell === undefined ? 0 : 1;
  }

  attach(carrier: Carrier): Promise<void> {
    // A terminal's content cannot be resumed: a new login is a new shell.
    if (this.#used) return Promise.reject(new HelperGone('The session on the device was lost, and a plain terminal cannot be resumed.'));
    this.#carrier = carrier;
    carrier.onText = (text) => {
      // It waits for the client, and is a view of all that came with it.
      const bytes = unpinned(text);
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
    this.#greeting = [];
    this.#greetingBytes = 0;
    if (!this.#used) return;
    // Nothing is left to go back to; the next client gets a new login.
    const fault = new HelperGone(cause.message);
    this.#finish(fault);
    this.onEnd(fault);
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
    // Nothing makes a terminal answer; each frame in vain is one more that may end the stock agent's session.
  }

  open(request: OpenRequest, events: ChannelEvents): Channel {
    const carrier = this.#carrier;
    if (request.kind !== 'exec' || request.command !== undefined) return refusedChannel(events, ONLY_A_TERMINAL);
    if (this.#used || carrier === undefined) return refusedChannel(events, IN_USE);
    const channel: RawChannel = new RawChannel({
      events,
      carrier,
      pty: request.pty !== undefined,
      ...this.#bounds,
      gone: (fault) => {
        this.#shell = undefined;
        this.onEnd(fault);
      },
    });
    this.#shell = channel;
    this.#used = true;
    queueMicrotask(() => {
      events.opened();
      for (const bytes of this.#greeting) channel.print(bytes);
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
