/**
 * One SSH channel (RFC 4254 section 5) from the server's side: its numbers, the window we gave, and
 * how it ends. What it is for (a session, a forwarded connection) is its handler's business.
 */
import { Fault } from '../base/errors.js';
import { CHANNEL_WINDOW, WINDOW_STEP } from './limits.js';
import { message } from './messages.js';
import { Outbox, type OutboxPort, type OutboxRemote, type TurnQueue } from './outbox.js';
import type { WireReader } from './wire.js';

export interface ChannelHandler {
  /** Bytes from the client. They count against its window until taken() is called for them. */
  data(bytes: Buffer): void;
  /** The client sends no more. */
  eof(): void;
  /**
   * A channel request; true means it is granted. A function means so too, and is called once the client
   * has been told: a device that answers at once must not overtake the reply.
   */
  request(type: string, body: WireReader): boolean | (() => void);
  /** The client closed the channel. Called once, unless we closed first or the client was lost. */
  closed(): void;
  /** The connection is gone, with the channel open. Called at most once, never after closed(). */
  lost(): void;
  /** The device took `bytes` of output: see Channel.consumed in mux/device.ts. */
  consumed(bytes: number): void;
}

export class SshChannel {
  readonly localId: number;
  readonly out: Outbox;
  readonly #port: OutboxPort;
  readonly #handler: ChannelHandler;
  readonly #forget: () => void;
  #remote: OutboxRemote | undefined;
  #window: number;
  #owed = 0;
  #excess = 0;
  #eofSeen = false;
  #closeSeen = false;

  constructor(options: {
    localId: number;
    /** Undefined for a channel that we open, until the client confirmed it. */
    remote: OutboxRemote | undefined;
    /** Bytes the client may send at once. */
    window: number;
    port: OutboxPort;
    turns: TurnQueue;
    handler: ChannelHandler;
    /** The channel is closed both ways: its number is free. */
    forget: () => void;
  }) {
    this.localId = options.localId;
    this.#remote = options.remote;
    this.#window = options.window;
    this.#port = options.port;
    this.#handler = options.handler;
    this.#forget = options.forget;
    this.out = new Outbox(options.port, options.turns, options.remote, (bytes) => options.handler.consumed(bytes));
    this.out.onCloseSent = () => this.#maybeForget();
  }

  confirmed(remote: OutboxRemote): void {
    this.#remote = remote;
    this.out.opened(remote);
  }

  /** Lets the client send more than it was told at the opening. */
  grant(bytes: number): void {
    if (this.#remote === undefined || this.out.closeSent) return;
    this.#window += bytes;
    this.#port.send(message.windowAdjust(this.#remote.id, bytes));
  }

  /** The handler has passed on `bytes` of what data() brought. */
  taken(bytes: number): void {
    this.#owed += bytes;
    if (this.#owed < WINDOW_STEP || this.#eofSeen || this.#closeSeen) return;
    const owed = this.#owed;
    this.#owed = 0;
    this.grant(owed);
  }

  onData(bytes: Buffer): void {
    if (this.#eofSeen || this.#closeSeen) return;
    this.#spend(bytes.length);
    if (this.out.closeSent) return;
    if (bytes.length > 0) this.#handler.data(bytes);
  }

  /** A client has no use for extended data; sshd counts it and drops it. */
  onExtendedData(bytes: Buffer): void {
    if (this.#eofSeen || this.#closeSeen) return;
    this.#spend(bytes.length);
    this.taken(bytes.length);
  }

  onEof(): void {
    if (this.#eofSeen || this.#closeSeen) return;
    this.#eofSeen = true;
    if (!this.out.closeSent) this.#handler.eof();
  }

  onClose(): void {
    if (this.#closeSeen) return;
    this.#closeSeen = true;
    if (!this.out.closeSent) {
      this.#handler.closed();
      this.out.abandon();
    }
    this.#maybeForget();
  }

  onRequest(type: string, wantReply: boolean, body: WireReader): void {
    // After our CLOSE the client's answer is its CLOSE; a reply would arrive on a freed number.
    if (this.out.closeSent || this.#closeSeen || this.#remote === undefined) return;
    const answer = this.#handler.request(type, body);
    if (wantReply) {
      this.#port.send(answer === false ? message.channelFailure(this.#remote.id) : message.channelSuccess(this.#remote.id));
    }
    if (typeof answer === 'function') answer();
  }

  /** The connection ended. */
  onConnectionLost(): void {
    this.out.discard();
    if (this.#closeSeen) return;
    this.#closeSeen = true;
    this.#handler.lost();
  }

  /** As sshd: a tenth of the window too much is forgiven, more ends the connection. */
  #spend(bytes: number): void {
    this.#window -= bytes;
    if (this.#window >= 0) return;
    this.#excess -= this.#window;
    this.#window = 0;
    if (this.#excess > CHANNEL_WINDOW / 10) {
      throw new Fault('PROTOCOL', 'The SSH client sent more data than the channel window allows.');
    }
  }

  #maybeForget(): void {
    if (this.#closeSeen && this.out.closeSent) this.#forget();
  }
}
