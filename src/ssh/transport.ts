/**
 * One SSH connection's transport (RFC 4253): packets in, packets out, keys renewed. The only file that
 * touches ssh2's objects; what ssh2 gets wrong at this level is put right here, each marked "ssh2:".
 */
import type { Socket } from 'node:net';
import { Fault, toFault } from '../base/errors.js';
import * as limits from './limits.js';
import { DISCONNECT, MSG, message } from './messages.js';
import type { HostKey, Ssh2Core, Ssh2Protocol } from './ssh2-core.js';
import { WireReader } from './wire.js';

export interface TransportEvents {
  /** The first key exchange is done: the client may ask for services. */
  ready(): void;
  /** A packet of a service (number 5, or 50 and above). A throw ends the connection. */
  packet(type: number, payload: Buffer): void;
  /** canSend() may be true again. */
  writable(): void;
  /** Called once. `fault` is undefined when the client ended the connection in an orderly way. */
  closed(fault: Fault | undefined): void;
}

export interface TransportOptions {
  core: Ssh2Core;
  socket: Socket;
  hostKeys: Record<string, HostKey>;
  offer: object;
  ident: string;
  /** Signatures of users' keys that are accepted: told to clients. */
  signatures: readonly string[];
  /** New keys after so many bytes, or after so long. */
  rekeyBytes: number;
  rekeyMs: number;
  events: TransportEvents;
}

export class Transport {
  readonly #core: Ssh2Core;
  readonly #socket: Socket;
  readonly #events: TransportEvents;
  readonly #protocol: Ssh2Protocol;
  readonly #rekeyBytes: number;
  readonly #rekeyMs: number;
  #identLine: Buffer | undefined = Buffer.alloc(0);
  #exchanges = 0;
  #bytesSinceKeys = 0;
  #keysAt = performance.now();
  #kexDeadline: NodeJS.Timeout | undefined;
  /** What the client is told once it can read it. */
  #farewell: { reason: number; fault: Fault; timer: NodeJS.Timeout } | undefined;
  #renewal: NodeJS.Timeout | undefined;
  #authenticated = false;
  #closed = false;
  #corked = false;
  clientIdent = '';

  constructor(options: TransportOptions) {
    this.#core = options.core;
    this.#socket = options.socket;
    this.#events = options.events;
    this.#rekeyBytes = options.rekeyBytes;
    this.#rekeyMs = options.rekeyMs;
    this.#protocol = options.core.createProtocol({
      server: true,
      hostKeys: options.hostKeys,
      ident: Buffer.from(options.ident, 'latin1'),
      offer: options.offer,
      messageHandlers: {},
      onWrite: (data) => this.#write(data),
      onError: (error) => this.#end(new Fault('PROTOCOL', `The SSH client broke the protocol: ${error.message}.`, { cause: error })),
      onHandshakeComplete: () => this.#onKeys(),
    });
    this.#protocol._onPayload = (payload) => this.#onPayload(payload);
    this.#protocol._onPayloadInRenewal = (payload) => this.#onMessage(payload);
    this.#announceSignatures(options.signatures);

    const socket = this.#socket;
    socket.setNoDelay(true);
    socket.setKeepAlive(true, limits.TCP_KEEPALIVE_MS);
    socket.on('data', (chunk: Buffer) => this.#onData(chunk));
    socket.on('drain', () => this.#onDrain());
    socket.on('error', (cause) => this.#end(new Fault('PROTOCOL', `The SSH client's connection broke: ${cause.message}.`, { cause })));
    socket.on('end', () => this.#end(undefined));
    socket.on('close', () => this.#end(undefined));
    this.#protocol.start();
  }

  get sessionId(): Buffer {
    return this.#protocol._kex?.sessionID ?? Buffer.alloc(0);
  }

  /** Signature algorithm of the host key in the key exchange. */
  get hostKeyAlgorithm(): string {
    return this.#protocol._kex?.negotiated.serverHostKey ?? '';
  }

  get isClosed(): boolean {
    return this.#closed;
  }

  /** Sends one packet, after any that wait for a key exchange. Does nothing once closed. */
  send(head: Buffer, body?: Buffer): void {
    if (this.#closed) return;
    const writer = this.#protocol._packetRW.write;
    const start = writer.allocStart;
    const packet = writer.alloc(head.length + (body?.length ?? 0));
    packet.set(head, start);
    if (body !== undefined) packet.set(body, start + head.length);
    this.#core.sendPacket(this.#protocol, writer.finalize(packet));
    if ((this.#protocol._queue?.length ?? 0) > limits.MAX_PACKETS_IN_KEX) {
      this.disconnect(DISCONNECT.PROTOCOL_ERROR, new Fault('PROTOCOL', 'The SSH client asks without end but does not finish the key exchange.'));
    }
  }

  /** Whether channel data may be sent now; if not, writable() follows. */
  canSend(): boolean {
    return !this.#closed && this.#protocol._kexinit === undefined && this.#socket.writableLength < limits.SOCKET_BACKLOG;
  }

  /** USERAUTH_SUCCESS, after which delayed compression starts. */
  sendAuthSuccess(): void {
    this.#authenticated = true;
    this.#protocol._authsQueue.push('accepted');
    this.#protocol.authSuccess();
  }

  /** Tells the client why and closes. `fault.message` is what the client's user reads. */
  disconnect(reason: number, fault: Fault): void {
    if (this.#closed) return;
    const payload = message.disconnect(reason, fault.message);
    // ssh2 takes its new keys into use only at the client's NEWKEYS; after our own, what is sent with the
    // old ones is noise to the client ("Bad packet length"). Nothing can be said in between, so wait a moment.
    const kex = this.#protocol._kex;
    if (kex?._sentNEWKEYS === true && kex._kexinit !== undefined) {
      this.#farewell ??= { reason, fault, timer: setTimeout(() => this.#end(fault), limits.FAREWELL_MS) };
      return;
    }
    // Else the message may be sent at any time, even during a key exchange: a full packet is made by force.
    const writer = this.#protocol._packetRW.write;
    const start = writer.allocStartKEX;
    const packet = writer.alloc(payload.length, true);
    packet.set(payload, start);
    this.#core.sendPacket(this.#protocol, writer.finalize(packet, true), true);
    this.#end(fault);
  }

  #onData(chunk: Buffer): void {
    if (this.#closed) return;
    try {
      const bytes = this.#identLine === undefined ? chunk : this.#takeIdent(chunk);
      if (bytes === undefined) return;
      this.#count(bytes.length);
      this.#protocol.parse(bytes, 0, bytes.length);
    } catch (thrown) {
      this.#fail(thrown);
    }
  }

  /**
   * ssh2: an identification line that arrives in three or more pieces is lost. It is collected here
   * and handed over whole.
   */
  #takeIdent(chunk: Buffer): Buffer | undefined {
    const all = Buffer.concat([this.#identLine ?? Buffer.alloc(0), chunk]);
    const end = all.indexOf(0x0a);
    const line = (end < 0 ? all : all.subarray(0, end)).toString('latin1').replace(/\r$/, '');
    if ((end < 0 ? all.length : end) > limits.MAX_IDENT_BYTES || !'SSH-'.startsWith(line.slice(0, 4))) {
      return this.#refuseIdent(line);
    }
    if (end < 0) {
      this.#identLine = all;
      return undefined;
    }
    if (!/^SSH-(2\.0|1\.99)-[^ ]+( .*)?$/.test(line)) return this.#refuseIdent(line);
    this.#identLine = undefined;
    this.clientIdent = line;
    this.#armKexDeadline();
    return all;
  }

  #refuseIdent(line: string): undefined {
    this.#socket.write('Invalid SSH identification string.\r\n');
    const shown = JSON.stringify(line.slice(0, 80));
    this.#end(new Fault('PROTOCOL', `A client that does not speak SSH 2.0 connected: it began with ${shown}.`));
    return undefined;
  }

  /** ssh2: its own table of message handlers stops at what it knows; only KEXINIT is left to it. */
  #onPayload(raw: Buffer): unknown {
    // What inflates is freed by now.
    if (this.#closed) return Infinity;
    if (raw.length === 0) throw new Fault('PROTOCOL', 'The SSH client sent an empty packet.');
    const reader = this.#protocol._packetRW.read;
    if (reader._zlib !== undefined) reader._zlib._maxOutputLength = limits.MAX_INFLATED_BYTES;
    return this.#onMessage(reader.read(raw));
  }

  /** Infinity ends ssh2's loop through the packets of a segment. */
  #onMessage(payload: Buffer): unknown {
    if (this.#closed) return Infinity;
    const type = payload[0] ?? 0;
    switch (type) {
      case MSG.KEXINIT:
        this.#allowKeyExchange();
        this.#armKexDeadline();
        return this.#core.onKexInit(this.#protocol, payload);
      case MSG.DISCONNECT:
        this.#onDisconnect(payload);
        return Infinity;
      case MSG.IGNORE:
      case MSG.UNIMPLEMENTED:
      case MSG.DEBUG:
      case MSG.EXT_INFO:
        return undefined;
    }
    if (type === MSG.SERVICE_REQUEST || type >= MSG.USERAUTH_REQUEST) this.#events.packet(type, payload);
    else this.sendUnimplemented();
    // Whatever the handler did, ssh2's packet loop goes on unless the connection is over.
    return this.#closed ? Infinity : undefined;
  }

  /**
   * A key exchange is the dearest thing a stranger can ask for: he gets one. OpenSSH's client renews no
   * keys before it is let in, and nobody sends a gigabyte until then.
   */
  #allowKeyExchange(): void {
    if (this.#exchanges === 0 || this.#authenticated || this.#protocol._kexinit !== undefined) return;
    throw new Fault('PROTOCOL', 'The SSH client wants new keys before it has authenticated.');
  }

  /** RFC 4253 section 11.4: unknown messages are answered, not ignored. */
  sendUnimplemented(): void {
    this.send(message.unimplemented((this.#protocol._decipher.inSeqno - 1) >>> 0));
  }

  #onDisconnect(payload: Buffer): void {
    const reader = new WireReader(payload, 1);
    const reason = reader.uint32('disconnect reason');
    const text = reader.latin1('disconnect description');
    const orderly = reason === DISCONNECT.BY_APPLICATION;
    this.#end(orderly ? undefined : new Fault('PROTOCOL', `The SSH client disconnected (reason ${reason}): ${JSON.stringify(text.slice(0, 200))}.`));
  }

  /**
   * ssh2: the list it announces lacks a comma (rsa-sha2-512 is lost) and names ssh-rsa and ssh-dss.
   * Its own announcement is switched off and ours sent in the same place, right after NEWKEYS.
   */
  #announceSignatures(signatures: readonly string[]): void {
    const original = this.#protocol._onHandshakeComplete;
    this.#protocol._onHandshakeComplete = (...args) => {
      const kex = this.#protocol._kex;
      const wanted = this.#exchanges === 0 && kex?.remoteExtInfoEnabled === true;
      if (kex !== undefined) kex.remoteExtInfoEnabled = false;
      if (wanted) this.send(message.extInfo([['server-sig-algs', signatures.join(',')]]));
      original(...args);
    };
  }

  #onKeys(): void {
    if (this.#farewell !== undefined) {
      const { reason, fault } = this.#farewell;
      // ssh2 is done with the exchange when it has called this.
      queueMicrotask(() => this.disconnect(reason, fault));
      return;
    }
    clearTimeout(this.#kexDeadline);
    this.#kexDeadline = undefined;
    this.#bytesSinceKeys = 0;
    this.#keysAt = performance.now();
    this.#exchanges += 1;
    clearTimeout(this.#renewal);
    this.#renewal = setTimeout(() => this.#renewKeys(), this.#rekeyMs).unref();
    if (this.#exchanges === 1) this.#events.ready();
    this.#events.writable();
  }

  /** ssh2 never renews keys of its own accord. */
  #count(bytes: number): void {
    this.#bytesSinceKeys += bytes;
    if (this.#bytesSinceKeys >= this.#rekeyBytes || performance.now() - this.#keysAt >= this.#rekeyMs) this.#renewKeys();
  }

  /** As in sshd, not before the client is let in: until then a stranger would be worked for. */
  #renewKeys(): void {
    if (this.#closed || !this.#authenticated || this.#protocol._kexinit !== undefined) return;
    this.#armKexDeadline();
    this.#protocol.rekey();
  }

  #armKexDeadline(): void {
    if (this.#kexDeadline !== undefined) return;
    this.#kexDeadline = setTimeout(() => {
      this.#end(new Fault('PROTOCOL', `The SSH client did not finish the key exchange within ${limits.KEX_DEADLINE_MS / 1000} s.`));
    }, limits.KEX_DEADLINE_MS).unref();
  }

  /** Many small packets of one turn of the event loop leave in one system call. */
  #write(data: Buffer): void {
    const socket = this.#socket;
    if (!socket.writable) return;
    if (!this.#corked) {
      this.#corked = true;
      socket.cork();
      setImmediate(() => {
        this.#corked = false;
        socket.uncork();
      });
    }
    socket.write(data);
    if (socket.writableLength > limits.SOCKET_BACKLOG_STOP && !socket.isPaused()) socket.pause();
    this.#bytesSinceKeys += data.length;
  }

  #onDrain(): void {
    if (this.#closed) return;
    if (this.#socket.isPaused()) this.#socket.resume();
    try {
      this.#count(0);
      this.#events.writable();
    } catch (thrown) {
      this.#fail(thrown);
    }
  }

  #fail(thrown: unknown): void {
    const fault = thrown instanceof Fault
      ? thrown
      : new Fault('PROTOCOL', `The SSH client sent something that cannot be read: ${toFault(thrown).message}.`, { cause: thrown });
    try {
      this.disconnect(DISCONNECT.PROTOCOL_ERROR, fault);
    } catch {
      // The library may be past sending anything.
    }
    // No farewell either: it waits for packets, of which a reader that has thrown must not be given any more. It
    // takes the length that it refused for good, and memory for it.
    this.#end(fault);
  }

  #end(fault: Fault | undefined): void {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#kexDeadline);
    clearTimeout(this.#renewal);
    clearTimeout(this.#farewell?.timer);
    this.#protocol.cleanup();
    const socket = this.#socket;
    socket.removeAllListeners('data');
    socket.resume();
    if (!socket.destroyed) {
      const linger = setTimeout(() => socket.destroy(), limits.LINGER_MS).unref();
      socket.once('close', () => clearTimeout(linger));
      socket.end();
    }
    this.#events.closed(fault);
  }
}
