/**
 * Opening channels on a device whose helper is still being started: requests of a client that was just
 * let in are kept and carried out in order once the device is there. Kept input is bounded by the
 * window its sender was given, the rest by the bounds in limits.ts.
 */
import { ByteQueue } from '../base/byte-queue.js';
import { toFault } from '../base/errors.js';
import type {
  Channel, ChannelEvents, Device, Listener, ListenerEvents, ListenRequest, OpenRequest, WindowSize,
} from '../mux/device.js';
import { MAX_WAITING_SIGNALS } from './limits.js';

/** A Device that can be used before it exists. */
export class DeferredDevice {
  readonly #device: Promise<Device>;
  #ready: Device | undefined;

  constructor(device: Promise<Device>) {
    this.#device = device;
    // The rejection reaches each waiting request; without any, it is the lease's business.
    device.then((ready) => { this.#ready = ready; }, () => {});
  }

  /** `request` may be a promise where a part of it is still to come (the agent's socket). */
  open(request: OpenRequest | Promise<OpenRequest>, events: ChannelEvents): Channel {
    if (this.#ready !== undefined && !(request instanceof Promise)) return this.#ready.open(request, events);
    return new WaitingChannel(this.#device, request, events);
  }

  /** The path of the device's SFTP server, if it has one. */
  async sftpServer(): Promise<string | undefined> {
    return (await this.#device).info.sftpServer;
  }

  listen(request: ListenRequest, events: ListenerEvents): Listener {
    if (this.#ready !== undefined) return this.#ready.listen(request, events);
    let listener: Listener | undefined;
    let closed = false;
    this.#device.then(
      (device) => {
        if (!closed) listener = device.listen(request, events);
      },
      (thrown: unknown) => {
        if (!closed) events.closed(toFault(thrown, 'DEVICE_LOST'));
      },
    );
    return {
      close: () => {
        closed = true;
        listener?.close();
      },
    };
  }
}

class WaitingChannel implements Channel {
  #channel: Channel | undefined;
  #over = false;
  readonly #input = new ByteQueue();
  #ended = false;
  #size: WindowSize | undefined;
  #signals: string[] = [];
  #outputClosed = false;

  constructor(device: Promise<Device>, request: OpenRequest | Promise<OpenRequest>, events: ChannelEvents) {
    Promise.all([device, request]).then(
      ([ready, complete]) => {
        if (this.#over) events.closed(undefined);
        else this.#start(ready.open(complete, events), events);
      },
      (thrown: unknown) => {
        this.#input.clear();
        this.#over = true;
        events.closed(toFault(thrown, 'DEVICE_LOST'));
      },
    );
  }

  #start(channel: Channel, events: ChannelEvents): void {
    this.#channel = channel;
    if (this.#size !== undefined) channel.resize(this.#size);
    const input = this.#input.take(Infinity);
    let flowing = true;
    for (const bytes of input) flowing = channel.write(bytes);
    if (this.#ended) channel.end();
    else if (flowing && input.length > 0) events.drain();
    for (const name of this.#signals) channel.signal(name);
    if (this.#outputClosed) channel.closeOutput();
  }

  /** False while waiting, so that the client's window is not refilled. */
  write(bytes: Buffer): boolean {
    if (this.#channel !== undefined) return this.#channel.write(bytes);
    if (!this.#over) this.#input.push(bytes);
    return false;
  }

  end(): void {
    this.#ended = true;
    this.#channel?.end();
  }

  consumed(bytes: number): void {
    this.#channel?.consumed(bytes);
  }

  closeOutput(): void {
    this.#outputClosed = true;
    this.#channel?.closeOutput();
  }

  resize(size: WindowSize): void {
    this.#size = size;
    this.#channel?.resize(size);
  }

  signal(name: string): void {
    if (this.#channel !== undefined) this.#channel.signal(name);
    else if (this.#signals.length < MAX_WAITING_SIGNALS) this.#signals.push(name);
  }

  close(): void {
    this.#over = true;
    this.#input.clear();
    this.#channel?.close();
  }
}
