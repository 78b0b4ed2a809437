import type { ChannelEvents, Listener, ListenerEvents, ListenRequest } from '../../mux/device.js';
import { peerOfSocat, peerOfTable, type Peer } from './address.js';
import { MOST_ACCEPTED } from './listen.js';
import type { ShChannel } from './channel.js';

/** Most characters of one line that a listener says. */
const LINE_CHARS = 4_096;

/** Most accepted connections, those that are being sent away included; a device that tells of more is not believed. */
const MOST_TOLD = 1_024;

/** What a listener needs from the engine. */
export interface ListenerHost {
  /** Starts the listener's own channel. */
  run(events: ChannelEvents): ShChannel;
  /** Takes the connection that waits under this name in the helper's directory. */
  accept(name: string, events: ChannelEvents): ShChannel;
}

/**
 * A listener of the sh tier: a channel whose output tells, line by line and as reliably as all output,
 * that it listens and who has connected (listen.sh).
 */
export class ShListener implements Listener {
  readonly #events: ListenerEvents;
  readonly #host: ListenerHost;
  readonly #channel: ShChannel;
  readonly #tcp: boolean;
  #text = '';
  #listening = false;
  /** Who came between the moment it listened and the moment it could say so. */
  #early: string[] = [];
  #bigEndian = false;
  /** Accepted connections that are open. */
  #open = 0;

  constructor(request: ListenRequest, events: ListenerEvents, host: ListenerHost) {
    this.#events = events;
    this.#host = host;
    this.#tcp = request.kind === 'tcp';
    this.#channel = host.run({
      opened: () => undefined,
      refused: (reason) => {
        events.refused(reason);
      },
      data: (_, bytes) => {
        this.#take(bytes);
      },
      drain: () => undefined,
      outcome: () => undefined,
      eof: () => undefined,
      closed: (fault) => {
        events.closed(fault);
      },
    });
  }

  /** The connections that it has accepted go on. */
  close(): void {
    this.#channel.close();
  }

  #take(bytes: Buffer): void {
    const channel = this.#channel;
    queueMicrotask(() => {
      channel.consumed(bytes.length);
    });
    const lines = (this.#text + bytes.toString('latin1')).split('\n');
    // A line without end is not ours.
    this.#text = (lines.pop() ?? '').slice(0, LINE_CHARS);
    for (const line of lines) this.#line(line);
  }

  #line(line: string): void {
    const at = line.indexOf(' ');
    const [word, rest] = [line.slice(0, at), line.slice(at + 1)];
    if (word === 'l' && !this.#listening) {
      this.#begin(rest);
      for (const early of this.#early.splice(0)) this.#accept(early);
    } else if (word === 'a' && this.#listening) this.#accept(rest);
    else if (word === 'a' && this.#early.length < MOST_ACCEPTED) this.#early.push(rest);
  }

  #begin(rest: string): void {
    this.#listening = true;
    if (!this.#tcp) {
      this.#events.listening({ path: Buffer.from(rest, 'latin1') });
      return;
    }
    const [port, order] = rest.split(' ');
    this.#bigEndian = order === 'big';
    this.#events.listening({ port: Number(port) & 0xffff });
  }

  #accept(rest: string): void {
    const [name = '', host = '', port] = rest.split(' ');
    if (!/^\d{1,10}$/.test(name) || this.#open >= MOST_TOLD) return;
    const over = (): void => {
      this.#open -= 1;
    };
    this.#open += 1;
    const channel = this.#host.accept(`${this.#channel.number}/a.${name}`, watched(IGNORED, over));
    if (this.#open > MOST_ACCEPTED) channel.close();
    else channel.adopt(watched(this.#events.incoming(channel, this.#peer(host, port)), over));
  }

  #peer(host: string, port: string | undefined): Peer {
    if (!this.#tcp) return { host: '', port: 0 };
    return port === undefined ? peerOfTable(host, this.#bigEndian) : peerOfSocat(host, port);
  }
}

/** The same events, and a word when the channel is over. */
function watched(events: ChannelEvents, over: () => void): ChannelEvents {
  return {
    opened: () => { events.opened(); },
    refused: (reason) => { events.refused(reason); },
    data: (stream, bytes) => { events.data(stream, bytes); },
    drain: () => { events.drain(); },
    outcome: (outcome) => { events.outcome(outcome); },
    eof: () => { events.eof(); },
    closed: (fault) => {
      over();
      events.closed(fault);
    },
  };
}

const IGNORED: ChannelEvents = {
  opened: () => undefined, refused: () => undefined, data: () => undefined, drain: () => undefined,
  outcome: () => undefined, eof: () => undefined, closed: () => undefined,
};
