/** All channels of one authenticated connection (RFC 4254 section 5): numbers, opening, delivery. */
import { Fault } from '../base/errors.js';
import type { LineBudget, Log } from '../base/log.js';
import type { OpenRequest } from '../mux/device.js';
import { SshChannel, type ChannelHandler } from './channel.js';
import type { DeferredDevice } from './deferred-device.js';
import { DirectForward } from './forward-local.js';
import * as limits from './limits.js';
import { DISCONNECT, MSG, OPEN_FAILURE, STDERR, message } from './messages.js';
import { TurnQueue, type OutboxPort, type OutboxRemote } from './outbox.js';
import { permits, type SshPolicy } from './policy.js';
import { Session, type SessionContext } from './session.js';
import { WireReader } from './wire.js';

export interface ChannelsPort extends OutboxPort {
  disconnect(reason: number, fault: Fault): void;
}

export class Channels {
  readonly #port: ChannelsPort;
  readonly #device: DeferredDevice;
  readonly #policy: SshPolicy;
  readonly #session: SessionContext;
  readonly #log: Log;
  readonly #lines: LineBudget;
  readonly #earlier: () => Promise<void> | undefined;
  readonly #table = new Map<number, SshChannel>();
  readonly #turns: TurnQueue;
  #nextId = 0;
  #noMoreSessions = false;

  /** `earlier`: resolves when the requests that came before now have been answered; undefined when they have been. */
  constructor(options: { port: ChannelsPort; device: DeferredDevice; policy: SshPolicy; session: SessionContext; log: Log; lines: LineBudget; earlier(): Promise<void> | undefined }) {
    this.#port = options.port;
    this.#device = options.device;
    this.#policy = options.policy;
    this.#session = options.session;
    this.#log = options.log;
    this.#lines = options.lines;
    this.#earlier = () => options.earlier();
    this.#turns = new TurnQueue(() => options.port.canSend());
  }

  get count(): number {
    return this.#table.size;
  }

  writable(): void {
    this.#turns.run();
  }

  noMoreSessions(): void {
    this.#noMoreSessions = true;
  }

  /** A packet with number 90 to 100. Throws a Fault on what the protocol does not allow. */
  packet(type: number, payload: Buffer): void {
    const reader = new WireReader(payload, 1);
    if (type === MSG.CHANNEL_OPEN) {
      this.#open(reader);
      return;
    }
    const id = reader.uint32('channel number');
    const channel = this.#table.get(id);
    if (channel === undefined) throw new Fault('PROTOCOL', `The SSH client named channel ${id}, which is not open.`);
    switch (type) {
      case MSG.CHANNEL_OPEN_CONFIRMATION: {
        const remoteId = reader.uint32('sender channel');
        channel.confirmed(readRemote(remoteId, reader));
        return;
      }
      case MSG.CHANNEL_OPEN_FAILURE:
        this.#log.debug({ channel: id, reason: reader.uint32('reason') }, 'the client refused a channel');
        this.#table.delete(id);
        channel.onConnectionLost();
        return;
      case MSG.CHANNEL_WINDOW_ADJUST:
        channel.out.adjust(reader.uint32('window bytes'));
        return;
      case MSG.CHANNEL_DATA:
        channel.onData(reader.bytes('data'));
        return;
      case MSG.CHANNEL_EXTENDED_DATA: {
        const kind = reader.uint32('data type');
        const bytes = reader.bytes('data');
        if (kind === STDERR || bytes.length > 0) channel.onExtendedData(bytes);
        return;
      }
      case MSG.CHANNEL_EOF:
        channel.onEof();
        return;
      case MSG.CHANNEL_CLOSE:
        channel.onClose();
        return;
      case MSG.CHANNEL_REQUEST: {
        const name = reader.latin1('request type');
        channel.onRequest(name, reader.bool('reply flag'), reader);
        return;
      }
      default:
        // Replies to requests: we send none that ask for one.
        return;
    }
  }

  /** A channel of ours to the client; undefined when the connection has too many already. */
  openToClient(type: string, rest: Buffer, handler: ChannelHandler): SshChannel | undefined {
    if (this.#table.size >= limits.MAX_CHANNELS) return undefined;
    const channel = this.#create(undefined, limits.CHANNEL_WINDOW, handler);
    this.#port.send(message.channelOpen(type, channel.localId, limits.CHANNEL_WINDOW, limits.CHANNEL_PACKET, rest));
    return channel;
  }

  /** The connection is over: every program and socket behind a channel is let go. */
  closeAll(): void {
    const all = [...this.#table.values()];
    this.#table.clear();
    this.#turns.clear();
    for (const channel of all) channel.onConnectionLost();
  }

  #open(reader: WireReader): void {
    const type = reader.latin1('channel type');
    const remote = readRemote(reader.uint32('sender channel'), reader);
    if (this.#table.size >= limits.MAX_CHANNELS) {
      this.#refuse(remote.id, OPEN_FAILURE.RESOURCE_SHORTAGE, `one connection may have ${limits.MAX_CHANNELS} channels at a time`);
      return;
    }
    switch (type) {
      case 'session':
        this.#openSession(remote);
        return;
      case 'direct-tcpip':
        this.#openDirect(remote, this.#policy.forwardTcp, {
          kind: 'tcp', host: reader.latin1('host'), port: reader.uint32('port'),
        });
        return;
      case 'direct-streamlocal@openssh.com':
        this.#openDirect(remote, this.#policy.forwardUnix, { kind: 'unix', path: Buffer.from(reader.bytes('socket path')) });
        return;
      default:
        this.#refuse(remote.id, OPEN_FAILURE.UNKNOWN_TYPE, `unknown channel type ${JSON.stringify(type.slice(0, 60))}`);
    }
  }

  #openSession(remote: OutboxRemote): void {
    if (this.#noMoreSessions) {
      // OpenSSH promises this after its only session; another one means that somebody else speaks.
      this.#port.disconnect(DISCONNECT.PROTOCOL_ERROR, new Fault('PROTOCOL', 'The SSH client opened a session after it said that there would be no more.'));
      return;
    }
    const session = new Session(this.#session);
    // Window 0 until a program is started, as in sshd: nothing is buffered for nobody.
    const channel = this.#create(remote, 0, session);
    session.bind(channel);
    const confirm = (): void => this.#port.send(message.channelConfirm(remote.id, channel.localId, 0, limits.CHANNEL_PACKET));
    // sshd answers one after the other: a program may count on the -R before it, and does not run if that
    // fails and the client gives up (ExitOnForwardFailure).
    const earlier = this.#earlier();
    if (earlier === undefined) confirm();
    else void earlier.then(confirm);
  }

  #openDirect(remote: OutboxRemote, allowed: SshPolicy['forwardTcp'], request: OpenRequest): void {
    if (allowed === 'no' || allowed === 'remote') {
      this.#refuse(remote.id, OPEN_FAILURE.PROHIBITED, 'this kind of forwarding is switched off by the operator');
      return;
    }
    if (request.kind === 'tcp' && !permits(this.#policy.permitOpen, request.host, request.port)) {
      this.#refuse(remote.id, OPEN_FAILURE.PROHIBITED, 'this destination is not among those that are permitted');
      return;
    }
    if (request.kind === 'tcp' && request.port > 0xffff) {
      this.#refuse(remote.id, OPEN_FAILURE.CONNECT_FAILED, `there is no port ${request.port}`);
      return;
    }
    const forward = new DirectForward();
    const channel = this.#create(undefined, limits.CHANNEL_WINDOW, forward);
    forward.start(channel, this.#device, request, {
      confirm: () => {
        this.#port.send(message.channelConfirm(remote.id, channel.localId, limits.CHANNEL_WINDOW, limits.CHANNEL_PACKET));
        channel.confirmed(remote);
      },
      refuse: (reason, text) => {
        this.#table.delete(channel.localId);
        channel.out.discard();
        this.#refuse(remote.id, reason, text);
      },
    });
  }

  #refuse(remoteId: number, reason: number, text: string): void {
    const more = this.#lines.take();
    if (more !== undefined) this.#log.info({ reason: text, ...more }, 'refused to open a channel');
    this.#port.send(message.channelRefuse(remoteId, reason, text));
  }

  #create(remote: OutboxRemote | undefined, window: number, handler: ChannelHandler): SshChannel {
    while (this.#table.has(this.#nextId)) this.#nextId = (this.#nextId + 1) % limits.MAX_CHANNELS;
    const localId = this.#nextId;
    this.#nextId = (this.#nextId + 1) % limits.MAX_CHANNELS;
    const channel = new SshChannel({
      localId, remote, window, port: this.#port, turns: this.#turns, handler,
      forget: () => {
        if (this.#table.get(localId) === channel) this.#table.delete(localId);
      },
    });
    this.#table.set(localId, channel);
    return channel;
  }
}

function readRemote(id: number, reader: WireReader): OutboxRemote {
  const window = reader.uint32('window');
  const maxPacket = reader.uint32('packet size');
  if (maxPacket < limits.MIN_CHANNEL_PACKET) {
    throw new Fault('PROTOCOL', `The SSH client takes packets of ${maxPacket} bytes only; at least ${limits.MIN_CHANNEL_PACKET} are needed.`);
  }
  return { id, window, maxPacket: Math.min(maxPacket, limits.CHANNEL_PACKET) };
}
