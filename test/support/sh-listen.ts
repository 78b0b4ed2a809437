/** Listeners of the sh helper, and the connections that they accept, as tests see them. */
import { connect, type Socket } from 'node:net';
import type { Fault } from '../../src/base/errors.js';
import type { ShBackend } from '../../src/helper/sh/backend.js';
import type { Channel, ChannelEvents, Listener, ListenRequest, Refusal } from '../../src/mux/device.js';
import { waitFor } from './wait.js';

/** One accepted connection and everything it said. */
export class Accepted {
  readonly channel: Channel;
  readonly peer: { host: string; port: number };
  readonly #parts: Buffer[] = [];
  #drained: (() => void) | undefined;
  bytes = 0;
  ended = false;
  closed = false;
  fault: Fault | undefined;
  readonly events: ChannelEvents = {
    opened: () => { throw new Error('an accepted connection is open already'); },
    refused: () => { throw new Error('an accepted connection cannot be refused'); },
    data: (_, bytes) => {
      this.#parts.push(bytes);
      this.bytes += bytes.length;
      queueMicrotask(() => { this.channel.consumed(bytes.length); });
    },
    drain: () => this.#drained?.(),
    outcome: () => { throw new Error('a connection has no exit status'); },
    eof: () => { this.ended = true; },
    closed: (fault) => {
      this.closed = true;
      this.fault = fault;
    },
  };

  constructor(channel: Channel, peer: { host: string; port: number }) {
    this.channel = channel;
    this.peer = peer;
  }

  get data(): Buffer {
    return Buffer.concat(this.#parts);
  }

  get text(): string {
    return this.data.toString('latin1');
  }

  async send(bytes: Buffer, pieceBytes = 16 * 1024): Promise<void> {
    for (let at = 0; at < bytes.length; at += pieceBytes) {
      if (this.channel.write(bytes.subarray(at, at + pieceBytes))) continue;
      await new Promise<void>((resolve) => (this.#drained = resolve));
    }
  }

  /** Gives back what comes, then ends. */
  async echo(): Promise<void> {
    await waitFor('the peer to end', () => this.ended, 60_000);
    await this.send(this.data);
    this.channel.end();
  }
}

/** A listener and whom it has accepted. */
export class Listening {
  readonly listener: Listener;
  readonly accepted: Accepted[] = [];
  /** Takes each new connection in hand. */
  onAccept: (accepted: Accepted) => void = () => undefined;
  port = 0;
  path: Buffer | undefined;
  refusal: Refusal | undefined;
  closed = false;
  fault: Fault | undefined;
  #up = false;

  constructor(backend: ShBackend, request: ListenRequest) {
    this.listener = backend.listen(request, {
      listening: (where) => {
        if ('port' in where) this.port = where.port;
        else this.path = where.path;
        this.#up = true;
      },
      refused: (reason) => { this.refusal = reason; },
      incoming: (channel, peer) => {
        const accepted = new Accepted(channel, peer);
        this.accepted.push(accepted);
        this.onAccept(accepted);
        return accepted.events;
      },
      closed: (fault) => {
        this.closed = true;
        this.fault = fault;
      },
    });
  }

  /** Waits for the answer, whichever it is. */
  async answered(): Promise<this> {
    await waitFor('the answer of the listener', () => this.#up || this.refusal !== undefined, 20_000);
    return this;
  }

  async next(count = 1): Promise<Accepted> {
    await waitFor(`connection ${count}`, () => this.accepted.length >= count, 20_000);
    const last = this.accepted[count - 1];
    if (last === undefined) throw new Error('unreachable');
    return last;
  }
}

/** A program on the device that connects, and what it is told. */
export class Peer {
  readonly socket: Socket;
  readonly #parts: Buffer[] = [];
  ended = false;
  closed = false;
  error: NodeJS.ErrnoException | undefined;

  constructor(where: { port: number; host?: string } | { path: string }) {
    this.socket = connect({ ...where, allowHalfOpen: true });
    this.socket.on('data', (bytes) => this.#parts.push(bytes));
    this.socket.on('end', () => { this.ended = true; });
    this.socket.on('error', (error) => { this.error = error; });
    this.socket.on('close', () => { this.closed = true; });
  }

  get data(): Buffer {
    return Buffer.concat(this.#parts);
  }

  get text(): string {
    return this.data.toString('latin1');
  }
}
