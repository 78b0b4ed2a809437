import { Fault, toFault } from '../base/errors.js';
import { peerWords } from '../base/words.js';
import type { LinkUser } from '../link/link.js';
import { MuxChannel, type ChannelHost } from './channel.js';
import type { Channel, ChannelEvents, Listener, ListenerEvents, ListenRequest, OpenRequest } from './device.js';
import { encodeMessage, MessageReader, type Message } from './message.js';
import { inflate, number, parseJson, parseOutcome, parsePath, parsePeer, parsePort, parseRefusal } from './parse.js';
import { DEVICE_CHANNEL_BIT, HEADER_BYTES, MSG, OPEN_LIMIT_BYTES } from './wire.js';

/** What the mux needs from below, and whom it tells. */
export interface MuxHost {
  /** There is something to pull. */
  wake(): void;
  info(info: Record<string, unknown>): void;
  /** The helper ended, or broke the protocol: nothing more will come. */
  ended(fault: Fault): void;
}

/** Smallest room worth starting a DATA message in. */
const MIN_SLICE_BYTES = 64;
/** Channels open at once on one device; more are refused. */
const CHANNEL_LIMIT = 1024;
/** Bytes of control messages that wait for a link that takes nothing, before channels are refused. */
const CONTROL_LIMIT_BYTES = 32 * 1024 * 1024;
/** Their number, before signals are dropped and a device that provokes answers is cut off. */
const CONTROL_LIMIT = 8192;

interface OpenListener {
  events: ListenerEvents;
  request: ListenRequest;
  /** The device said where it listens; it says so once. */
  listening: boolean;
}

/** Many channels over the link's one byte stream (PROTOCOL-DEVICE.md sections 3 and 4). */
export class Mux implements LinkUser, ChannelHost {
  readonly #host: MuxHost;
  readonly #reader = new MessageReader();
  readonly #channels = new Map<number, MuxChannel>();
  readonly #listeners = new Map<number, OpenListener>();
  #control: Buffer[] = [];
  #controlBytes = 0;
  /** The newest window size of each channel, sent behind all else that waits. */
  readonly #resizes = new Map<number, Buffer>();
  #introduced = false;
  /** What is left of a message larger than the room it found. */
  #remainder: Buffer | undefined;
  /** Channels with something to send, in turn. */
  readonly #turn = new Set<MuxChannel>();
  #nextChannel = 1;
  #dead: Fault | undefined;

  constructor(host: MuxHost) {
    this.#host = host;
  }

  /** Channels, and listeners, of which one may come at any moment. */
  get size(): number {
    return this.#channels.size + this.#listeners.size;
  }

  open(request: OpenRequest, events: ChannelEvents, extra: Record<string, unknown> = {}): Channel {
    const channel = new MuxChannel(this.#nextChannel++, this, events);
    const message = encodeMessage(MSG.OPEN, channel.id, JSON.stringify({ ...openJson(request), ...extra }));
    const problem = this.#dead?.message ?? this.#noRoomFor(message);
    if (problem !== undefined) {
      channel.drop();
      queueMicrotask(() => {
        events.refused({ code: 'resource', message: problem });
      });
      return channel;
    }
    this.#channels.set(channel.id, channel);
    this.control(message);
    return channel;
  }

  #noRoomFor(message: Buffer): string | undefined {
    if (this.size >= CHANNEL_LIMIT) return `This device has ${String(CHANNEL_LIMIT)} channels open; close some first.`;
    if (message.length > HEADER_BYTES + OPEN_LIMIT_BYTES) return 'The command and its environment are longer than the device takes.';
    if (this.#controlBytes + message.length > CONTROL_LIMIT_BYTES) return 'The device takes nothing at the moment; try again later.';
    return undefined;
  }

  listen(request: ListenRequest, events: ListenerEvents): Listener & { id: number } {
    const id = this.#nextChannel++;
    const message = encodeMessage(MSG.OPEN, id, JSON.stringify(listenJson(request)));
    const problem = this.#dead?.message ?? this.#noRoomFor(message);
    if (problem !== undefined) {
      queueMicrotask(() => {
        events.refused({ code: 'resource', message: problem });
      });
    } else {
      this.#listeners.set(id, { events, request, listening: false });
      this.control(message);
    }
    return {
      id,
      close: () => {
        if (this.#listeners.has(id)) this.control(encodeMessage(MSG.CLOSE, id));
      },
    };
  }

  /** Hands a named program text to the helper, before the channel that needs it. */
  program(name: string, packed: string): void {
    this.control(encodeMessage(MSG.PROGRAM, 0, JSON.stringify({ name, text: packed })));
  }

  // --- towards the link

  control(message: Buffer): void {
    if (this.#dead !== undefined) return;
    this.#control.push(message);
    this.#controlBytes += message.length;
    this.#host.wake();
  }

  /** False when too much waits already. */
  signal(message: Buffer): boolean {
    if (this.#control.length >= CONTROL_LIMIT) return false;
    this.control(message);
    return true;
  }

  resize(channel: number, message: Buffer): void {
    if (this.#dead !== undefined) return;
    this.#resizes.set(channel, message);
    this.#host.wake();
  }

  ready(channel: MuxChannel): void {
    if (channel.hasData) this.#turn.add(channel);
    this.#host.wake();
  }

  forget(channel: number): void {
    const known = this.#channels.get(channel);
    if (known !== undefined) this.#turn.delete(known);
    this.#channels.delete(channel);
    this.#resizes.delete(channel);
  }

  pull(max: number): Buffer | undefined {
    const parts: Buffer[] = [];
    let room = max;
    for (const message of this.#resizes.values()) this.control(message);
    this.#resizes.clear();
    for (;;) {
      const next = this.#remainder ?? this.#control.shift();
      if (next === undefined) break;
      if (this.#remainder === undefined) this.#controlBytes -= next.length;
      this.#remainder = undefined;
      parts.push(next.subarray(0, room));
      if (next.length > room) {
        this.#remainder = next.subarray(room);
        return Buffer.concat(parts);
      }
      room -= next.length;
      if (room === 0) return Buffer.concat(parts);
    }
    for (const channel of this.#turn) {
      if (room < HEADER_BYTES + MIN_SLICE_BYTES) break;
      this.#turn.delete(channel);
      if (!channel.hasData) continue;
      for (const part of channel.slice(room)) {
        parts.push(part.subarray(0, room));
        // The last part of a compressed message only; then there is no room for another.
        if (part.length > room) this.#remainder = part.subarray(room);
        room -= Math.min(room, part.length);
      }
      if (channel.hasData) this.#turn.add(channel);
    }
    return parts.length === 0 ? undefined : Buffer.concat(parts);
  }

  // --- from the link

  push(bytes: Buffer): void {
    if (this.#dead !== undefined) return;
    try {
      this.#reader.push(bytes, (message) => {
        this.#take(message);
      });
    } catch (error) {
      this.#end(toFault(error));
    }
  }

  bye(reason: string): void {
    this.#end(new Fault('DEVICE_LOST', `The helper on the device ended: ${peerWords(reason)}.`));
  }

  #end(fault: Fault): void {
    if (this.#dead === undefined) this.fail(fault);
    this.#host.ended(fault);
  }

  /** Ends every channel and listener with this fault; nothing works afterwards. */
  fail(fault: Fault): void {
    this.#dead ??= fault;
    this.#control = [];
    this.#controlBytes = 0;
    this.#remainder = undefined;
    this.#resizes.clear();
    for (const channel of [...this.#channels.values()]) channel.finish(fault);
    for (const listener of this.#listeners.values()) listener.events.closed(fault);
    this.#listeners.clear();
  }

  #take(message: Message): void {
    const { type, payload } = message;
    if (type === MSG.INFO && message.channel === 0) {
      if (!this.#introduced) this.#host.info(parseJson(payload, 'its introduction'));
      this.#introduced = true;
      return;
    }
    if (type === MSG.OPEN) {
      this.#incoming(message.channel, payload);
      return;
    }
    const listener = this.#listeners.get(message.channel);
    if (listener !== undefined) {
      this.#takeForListener(message, listener);
      return;
    }
    const channel = this.#channels.get(message.channel);
    if (channel === undefined) return;
    switch (type) {
      case MSG.OPENED:
        if (channel.once('opened')) channel.events.opened();
        return;
      case MSG.REFUSED:
        if (!channel.once('opened')) return;
        channel.drop();
        channel.events.refused(parseRefusal(payload));
        return;
      case MSG.DATA:
        this.#data(channel, 'out', payload);
        return;
      case MSG.ERR:
        this.#data(channel, 'err', payload);
        return;
      case MSG.ZDATA:
        this.#data(channel, 'out', inflate(payload));
        return;
      case MSG.ZERR:
        this.#data(channel, 'err', inflate(payload));
        return;
      case MSG.CREDIT:
        if (payload.length === 4) channel.onCredit(payload.readUInt32BE());
        return;
      case MSG.EXIT:
        if (channel.once('outcome')) channel.events.outcome(parseOutcome(payload));
        return;
      case MSG.EOF:
        if (channel.once('eof')) channel.events.eof();
        return;
      case MSG.CLOSE:
        channel.finish(closingFault(payload));
    }
  }

  #data(channel: MuxChannel, stream: 'out' | 'err', bytes: Buffer): void {
    if (!channel.onData(stream, bytes)) {
      throw new Fault('PROTOCOL', "The device's helper sent more output than it was allowed to; the session is not trustworthy.");
    }
  }

  #takeForListener(message: Message, listener: OpenListener): void {
    const gone = (): void => {
      this.#listeners.delete(message.channel);
    };
    switch (message.type) {
      case MSG.OPENED: {
        if (listener.listening) return;
        listener.listening = true;
        const json = parseJson(message.payload, 'a listener');
        listener.events.listening(listener.request.kind === 'tcp' ? { port: parsePort(json) } : { path: parsePath(json) });
        return;
      }
      case MSG.REFUSED:
        if (listener.listening) return;
        gone();
        listener.events.refused(parseRefusal(message.payload));
        return;
      case MSG.CLOSE:
        gone();
        listener.events.closed(closingFault(message.payload));
    }
  }

  #incoming(id: number, payload: Buffer): void {
    const json = parseJson(payload, 'an incoming connection');
    const listener = this.#listeners.get(number(json, 'listener'));
    if (id < DEVICE_CHANNEL_BIT || this.#channels.has(id)) {
      throw new Fault('PROTOCOL', "The device's helper opened a channel under a number that is not its own.");
    }
    if (listener === undefined || this.#channels.size >= CHANNEL_LIMIT) {
      if (!this.signal(encodeMessage(MSG.CLOSE, id))) {
        throw new Fault('PROTOCOL', "The device's helper opens connections without end and takes no answer.");
      }
      return;
    }
    const channel = new MuxChannel(id, this, NO_EVENTS);
    this.#channels.set(id, channel);
    channel.setEvents(listener.events.incoming(channel, parsePeer(json)));
  }
}

/** A CLOSE with text tells of a fault. */
function closingFault(payload: Buffer): Fault | undefined {
  return payload.length > 0 ? new Fault('DEVICE_LOST', peerWords(payload.toString())) : undefined;
}

const NO_EVENTS: ChannelEvents = {
  opened: () => undefined,
  refused: () => undefined,
  data: () => undefined,
  drain: () => undefined,
  outcome: () => undefined,
  eof: () => undefined,
  closed: () => undefined,
};

function openJson(request: OpenRequest): Record<string, unknown> {
  switch (request.kind) {
    case 'exec': {
      const { pty } = request;
      return {
        kind: 'exec',
        cmd: request.command?.toString('latin1') ?? null,
        pty:
          pty === undefined
            ? null
            : { term: pty.term, cols: pty.size.cols, rows: pty.size.rows, x: pty.size.widthPx, y: pty.size.heightPx, modes: pty.modes },
        env: request.env,
      };
    }
    case 'sftp':
      return { kind: 'sftp' };
    case 'tcp':
      return { kind: 'tcp', host: request.host, port: request.port };
    case 'unix':
      return { kind: 'unix', path: request.path.toString('latin1') };
  }
}

function listenJson(request: ListenRequest): Record<string, unknown> {
  switch (request.kind) {
    case 'tcp':
      return { kind: 'listen', host: request.host, port: request.port };
    case 'unix':
      return { kind: 'listen-unix', path: request.path.toString('latin1') };
    case 'agent':
      return { kind: 'listen-agent' };
  }
}
