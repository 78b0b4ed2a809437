/**
 * The one writer of channel output. Everything a channel sends after it was opened goes through an
 * Outbox in one queue: stdout and stderr share the client's window and keep the order in which the
 * device sent them; exit status, EOF and CLOSE wait behind the data before them, so nothing overtakes.
 *
 * Memory is bounded by credit: bytes count as consumed (the device may send as many again) only when
 * they left within the client's window and the socket's backlog bound.
 */
import { Fault } from '../base/errors.js';
import type { Outcome } from '../mux/device.js';
import { MAX_WINDOW } from './limits.js';
import { message } from './messages.js';

/** The transport as the writer sees it. */
export interface OutboxPort {
  send(head: Buffer, body?: Buffer): void;
  canSend(): boolean;
}

export interface OutboxRemote {
  /** The client's number for the channel. */
  id: number;
  /** Bytes the client takes now. */
  window: number;
  /** Most bytes of one data packet. */
  maxPacket: number;
}

interface DataItem {
  kind: 'data';
  stream: 'out' | 'err';
  bytes: Buffer;
  credited: boolean;
}

type Item =
  | DataItem
  | { kind: 'message'; build: (remoteId: number) => Buffer; isClose: boolean };

/**
 * Items of one queue before its data is joined. Credit bounds bytes, not pieces: a device that sends
 * them one by one would else take a hundred times their memory, and more for what they are views of.
 */
const ITEMS_LIMIT = 1024;

export class Outbox {
  readonly #port: OutboxPort;
  readonly #turns: TurnQueue;
  readonly #consumed: (bytes: number) => void;
  readonly #queue: Item[] = [];
  #remote: OutboxRemote | undefined;
  #stopped: { out: boolean; err: boolean } = { out: false, err: false };
  #eofQueued = false;
  #closeQueued = false;
  #closeSent = false;
  /** Called once, when CLOSE has been sent. */
  onCloseSent: () => void = () => {};

  /** `remote` undefined: the client has not confirmed the channel yet; see opened(). */
  constructor(port: OutboxPort, turns: TurnQueue, remote: OutboxRemote | undefined, consumed: (bytes: number) => void) {
    this.#port = port;
    this.#turns = turns;
    this.#remote = remote;
    this.#consumed = consumed;
  }

  get closeSent(): boolean {
    return this.#closeSent;
  }

  /** EOF or CLOSE is on its way: no more data may follow. */
  get ended(): boolean {
    return this.#eofQueued || this.#closeQueued;
  }

  opened(remote: OutboxRemote): void {
    this.#remote = remote;
    this.#turns.add(this);
  }

  write(stream: 'out' | 'err', bytes: Buffer): void {
    if (this.ended || this.#stopped[stream]) {
      this.#consumed(bytes.length);
      return;
    }
    if (bytes.length === 0) return;
    this.#queue.push({ kind: 'data', stream, bytes, credited: true });
    if (this.#queue.length > ITEMS_LIMIT) this.#join();
    this.#turns.add(this);
  }

  /** A sentence of ours on the client's stderr; it was not sent by the device and gives no credit. */
  note(text: string): void {
    if (this.ended) return;
    this.#queue.push({ kind: 'data', stream: 'err', bytes: Buffer.from(text, 'utf8'), credited: false });
    this.#turns.add(this);
  }

  outcome(outcome: Outcome): void {
    if (!this.#closeQueued) this.#message((id) => message.outcome(id, outcome));
  }

  eof(): void {
    if (this.ended) return;
    this.#eofQueued = true;
    this.#message((id) => message.channelEof(id));
  }

  close(): void {
    if (this.#closeQueued) return;
    this.#closeQueued = true;
    this.#message((id) => message.channelClose(id), true);
  }

  /** The client does not read this stream any more: what waits is dropped, what comes is too. */
  stop(stream: 'out' | 'err'): void {
    this.#stopped[stream] = true;
    this.#drop((item) => item.kind === 'data' && item.stream === stream);
    this.#turns.add(this);
  }

  /** The client closed the channel: the rest is dropped, and CLOSE is all that is sent. */
  abandon(): void {
    if (this.#closeSent) return;
    this.#drop(() => true);
    this.#closeQueued = false;
    this.close();
  }

  /** The connection is gone: nothing can be sent, and nobody needs credit. */
  discard(): void {
    this.#queue.length = 0;
    this.#closeQueued = true;
  }

  adjust(bytes: number): void {
    const remote = this.#remote;
    if (remote === undefined) return;
    if (remote.window + bytes > MAX_WINDOW) {
      throw new Fault('PROTOCOL', 'The SSH client opened a channel window beyond 4 GiB.');
    }
    remote.window += bytes;
    this.#turns.add(this);
  }

  /** Sends at most one data packet and the messages around it. True: there is more to send now. */
  sendSome(): boolean {
    const remote = this.#remote;
    if (remote === undefined) return false;
    let sentData = false;
    for (;;) {
      const item = this.#queue[0];
      if (item === undefined) return false;
      if (item.kind === 'message') {
        this.#queue.shift();
        this.#port.send(item.build(remote.id));
        if (item.isClose) {
          this.#closeSent = true;
          this.onCloseSent();
          return false;
        }
        continue;
      }
      if (sentData) return true;
      const size = Math.min(item.bytes.length, remote.window, remote.maxPacket);
      if (size === 0) return false;
      this.#port.send(message.dataHead(remote.id, item.stream, size), item.bytes.subarray(0, size));
      remote.window -= size;
      if (size === item.bytes.length) this.#queue.shift();
      else item.bytes = item.bytes.subarray(size);
      if (item.credited) this.#consumed(size);
      sentData = true;
    }
  }

  #message(build: (id: number) => Buffer, isClose = false): void {
    this.#queue.push({ kind: 'message', build, isClose });
    this.#turns.add(this);
  }

  /** One piece for each stream; between the two the order is lost, which under sshd nobody has. */
  #join(): void {
    const joined: Item[] = [];
    let run: DataItem[] = [];
    const flush = (): void => {
      for (const stream of ['out', 'err'] as const) {
        for (const credited of [true, false]) {
          const parts = run.filter((item) => item.stream === stream && item.credited === credited);
          if (parts.length > 0) joined.push({ kind: 'data', stream, credited, bytes: Buffer.concat(parts.map((item) => item.bytes)) });
        }
      }
      run = [];
    };
    for (const item of this.#queue.splice(0)) {
      if (item.kind === 'data') {
        run.push(item);
      } else {
        flush();
        joined.push(item);
      }
    }
    flush();
    this.#queue.push(...joined);
  }

  #drop(which: (item: Item) => boolean): void {
    let dropped = 0;
    const kept = this.#queue.filter((item) => {
      if (!which(item)) return true;
      if (item.kind === 'data' && item.credited) dropped += item.bytes.length;
      return false;
    });
    this.#queue.length = 0;
    this.#queue.push(...kept);
    if (dropped > 0) this.#consumed(dropped);
  }
}

/**
 * Whose turn it is to send: channels take turns, one data packet each, so that a keystroke's echo
 * waits for one packet of a bulk transfer and not for all of it.
 */
export class TurnQueue {
  readonly #waiting = new Set<Outbox>();
  readonly #canSend: () => boolean;
  #running = false;

  constructor(canSend: () => boolean) {
    this.#canSend = canSend;
  }

  /** The outbox may have something to send. */
  add(outbox: Outbox): void {
    this.#waiting.add(outbox);
    this.run();
  }

  /** Sends as long as the transport takes it. Reentrant calls (credit brings new data) only queue. */
  run(): void {
    if (this.#running) return;
    this.#running = true;
    try {
      while (this.#canSend()) {
        const [next] = this.#waiting;
        if (next === undefined) return;
        this.#waiting.delete(next);
        if (next.sendSome()) this.#waiting.add(next);
      }
    } finally {
      this.#running = false;
    }
  }

  clear(): void {
    this.#waiting.clear();
  }
}
