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
import { MAX_WAITING_OPEN_BYTES, MAX_WAITING_OPENS, MAX_WAITING_SIGNALS } from './limits.js';

/** A Device that can be used before it exists. */
export class DeferredDevice {
  readonly #device: Promise<Device>;
  #ready: Device | undefined;
  /** What was asked for and neither begun nor failed. */
  #opens = 0;
  #bytes = 0;

  constructor(device: Promise<Device>) {
    this.#device = device;
    // The rejection reaches each waiting request; without any, it is the lease's business.
    device.then((ready) => { this.#ready = ready; }, () => {});
  }

  get isReady(): boolean {
    return this.#ready !== undefined;
  }

  /** `complete` gives the request where a part of it is still to come (the agent's socket). */
  open(request: OpenRequest, events: ChannelEvents, complete?: Promise<OpenRequest>): Channel {
    if (this.#ready !== undefined && complete === undefined) return this.#ready.open(request, events);
    const bytes = bytesOf(request);
    // A client may close what waits and ask for more, for as long as the device keeps it waiting.
    if (this.#opens >= MAX_WAITING_OPENS || this.#bytes + bytes > MAX_WAITING_OPEN_BYTES) {
      queueMicrotask(() => {
        events.refused({ code: 'resource', message: 'The device is not there yet, and too much waits for it; try again later.' });
      });
      return new RefusedChannel();
    }
    this.#opens += 1;
    this.#bytes += bytes;
    const settled = (): void => {
      this.#opens -= 1;
      this.#bytes -= bytes;
    };
    return new WaitingChannel(this.#device, complete ?? request, events, settled);
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

/** Of what is kept of a request while it waits. */
function bytesOf(request: OpenRequest): number {
  switch (request.kind) {
    case 'exec': return (request.command?.length ?? 0) + Object.entries(request.env).reduce((sum, [name, value]) => sum + name.length + value.length, 0);
    case 'tcp': return request.host.length;
    case 'unix': return request.path.length;
    case 'sftp': return 0;
  }
}

class RefusedChannel implements Channel {
  write(): boolean {
    return true;
  }

  end(): void {}
  consumed(): void {}
  closeOutput(): void {}
  resize(): void {}
  signal(): void {}
  close(): void {}
}

class WaitingChannel implements Channel {
  #channel: Channel | undefined;
  #over = false;
  readonly #input = new ByteQueue();
  #ended = false;
  #size: WindowSize | undefined;
  #signals: string[] = [];
  #outputClosed = false;

  /** `settled`: it waits no more, whatever became of it. */
  constructor(device: Promise<Device>, request: OpenRequest | Promise<OpenRequest>, events: ChannelEvents, settled: () => void) {
    Promise.all([device, request]).then(
      ([ready, complete]) => {
        settled();
        if (this.#over) events.closed(undefined);
        else this.#start(ready.open(complete, events), events);
      },
      (thrown: unknown) => {
        settled();
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
