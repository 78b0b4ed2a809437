/** One SSH client: transport, then authentication, then channels on the device it was let in to. */
import type { Socket } from 'node:net';
import { Fault } from '../base/errors.js';
import type { LineBudget, Log } from '../base/log.js';
import { peerWords } from '../base/words.js';
import { Authentication, type FailurePace } from './auth.js';
import { Channels } from './channels.js';
import { DeferredDevice } from './deferred-device.js';
import { RemoteForwards } from './forward-remote.js';
import type { Gateway, Lease } from './gateway.js';
import { GlobalRequests } from './global-requests.js';
import { announceHostKeys, proveHostKeys } from './host-key-proof.js';
import { limitedPolicy, type KeyLimits } from './key-options.js';
import { DISCONNECT, MSG } from './messages.js';
import type { SshPolicy } from './policy.js';
import type { HostKey, Ssh2Core } from './ssh2-core.js';
import { Transport } from './transport.js';
import { WireReader } from './wire.js';

export interface ConnectionOptions {
  socket: Socket;
  core: Ssh2Core;
  /** By signature algorithm: what the key exchange uses. */
  hostKeys: Record<string, HostKey>;
  /** All of them, those that only wait for their turn included. */
  allHostKeys: readonly HostKey[];
  offer: object;
  ident: string;
  gateway: Gateway;
  policy: SshPolicy;
  pace: FailurePace;
  loginGraceMs: number;
  rekeyBytes: number;
  rekeyMs: number;
  log: Log;
  /** For lines about clients that are not let in, all connections together. */
  strangerLines: LineBudget;
  /** The same for what clients that were let in are refused: who comes again and again has no more of them. */
  clientLines: LineBudget;
  /** The connection no longer counts as unauthenticated: it is let in, or gone and its refusal told. */
  settled(): void;
  closed(): void;
}

export class Connection {
  readonly #options: ConnectionOptions;
  readonly #log: Log;
  readonly #transport: Transport;
  readonly #auth: Authentication;
  readonly #env: Record<string, string>;
  readonly #grace: NodeJS.Timeout;
  #service: { channels: Channels; requests: GlobalRequests; forwards: RemoteForwards } | undefined;
  #lease: Lease | undefined;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    const { socket } = options;
    const address = plainAddress(socket.remoteAddress);
    this.#log = options.log.child({ client: socket.remotePort === undefined ? address : `${address}:${socket.remotePort}` });
    this.#env = connectionEnv(socket);
    this.#transport = new Transport({
      core: options.core,
      socket,
      hostKeys: options.hostKeys,
      offer: options.offer,
      ident: options.ident,
      signatures: options.policy.algorithms.publicKeys,
      rekeyBytes: options.rekeyBytes,
      rekeyMs: options.rekeyMs,
      events: {
        ready: () => this.#log.debug({ ident: this.#transport.clientIdent }, 'key exchange done'),
        packet: (type, payload) => this.#packet(type, payload),
        writable: () => this.#service?.channels.writable(),
        closed: (fault) => this.#closed(fault),
      },
    });
    this.#auth = new Authentication({
      port: this.#transport,
      gateway: options.gateway,
      policy: options.policy,
      address,
      log: this.#log,
      lines: options.strangerLines,
      pace: options.pace,
      succeeded: (lease, user, limits) => this.#loggedIn(lease, user, limits),
    });
    this.#grace = setTimeout(() => this.#graceOver(), options.loginGraceMs);
  }

  /** Tells the client's user why, and ends the connection. */
  disconnect(fault: Fault): void {
    this.#transport.disconnect(DISCONNECT.SERVICE_NOT_AVAILABLE, fault);
  }

  /** Nothing runs for this client: it may be cut off without loss. */
  get isIdle(): boolean {
    return this.#service === undefined || this.#service.channels.count === 0;
  }

  #packet(type: number, payload: Buffer): void {
    if (type < MSG.GLOBAL_REQUEST) {
      if (type > 79) this.#transport.sendUnimplemented();
      else this.#auth.packet(type, payload);
      return;
    }
    const service = this.#service;
    if (service === undefined) throw new Fault('PROTOCOL', `The SSH client sent message ${type} before it was authenticated.`);
    if (type >= MSG.CHANNEL_OPEN && type <= MSG.CHANNEL_FAILURE) {
      service.channels.packet(type, payload);
    } else if (type === MSG.GLOBAL_REQUEST) {
      const reader = new WireReader(payload, 1);
      service.requests.handle(reader.latin1('request name'), reader);
    } else if (type !== MSG.REQUEST_SUCCESS && type !== MSG.REQUEST_FAILURE) {
      this.#transport.sendUnimplemented();
    }
  }

  /** sshd's LoginGraceTime, except that the time a device takes to answer is not the client's fault. */
  #graceOver(): void {
    if (this.#lease !== undefined || this.#transport.isClosed) return;
    if (this.#auth.gatewayBusy) {
      this.#grace.refresh();
      return;
    }
    const seconds = this.#options.loginGraceMs / 1000;
    this.#transport.disconnect(DISCONNECT.BY_APPLICATION, new Fault('DENIED', `Nobody authenticated within ${seconds} s.`));
  }

  #loggedIn(lease: Lease, user: string, limits: KeyLimits): void {
    clearTimeout(this.#grace);
    this.#lease = lease;
    this.#log.info({ user }, 'client logged in');
    lease.onEnd = (fault) => this.#transport.disconnect(DISCONNECT.CONNECTION_LOST, fault);
    const device = new DeferredDevice(lease.device);
    const lines = this.#options.clientLines;
    const refused = (what: string, why: string): void => {
      const more = lines.take();
      // A path that a client names may be as long as a packet.
      if (more !== undefined) this.#log.info({ what: peerWords(what), reason: why, ...more }, 'refused a request');
    };
    const policy = limitedPolicy(this.#options.policy, limits);
    const forwards = new RemoteForwards({
      device, policy, refused,
      openChannel: (type, rest, handler) => channels.openToClient(type, rest, handler),
    });
    const channels = new Channels({
      port: this.#transport, device, policy, log: this.#log, lines,
      earlier: () => requests.answered(),
      session: {
        device, policy, refused,
        connectionEnv: this.#env,
        requestAgent: () => forwards.requestAgent(),
        agentSocket: () => forwards.agentSocket(),
        started: (what) => this.#log.debug({ what }, 'session started'),
      },
    });
    const { core, allHostKeys: keys } = this.#options;
    const requests: GlobalRequests = new GlobalRequests({
      send: (payload) => this.#transport.send(payload),
      forwards,
      noMoreSessions: () => channels.noMoreSessions(),
      proveHostKeys: (body) => proveHostKeys(body, {
        keys, sessionId: this.#transport.sessionId, negotiated: this.#transport.hostKeyAlgorithm, sign: (key, data, hash) => core.sign(key, data, hash),
      }),
    });
    this.#service = { channels, requests, forwards };
    this.#transport.send(announceHostKeys(keys));
    this.#options.settled();
  }

  #closed(fault: Fault | undefined): void {
    clearTimeout(this.#grace);
    const user = this.#lease === undefined ? {} : { authenticated: true };
    const more = this.#lease === undefined ? this.#options.strangerLines.take() : {};
    if (more !== undefined && fault === undefined) this.#log.info({ ...user, ...more }, 'client disconnected');
    else if (more !== undefined && fault !== undefined) this.#log.info({ ...user, ...more, reason: fault.message }, 'connection ended');
    this.#service?.channels.closeAll();
    this.#service?.forwards.closeAll();
    const lease = this.#lease;
    if (lease !== undefined) {
      lease.onEnd = () => {};
      lease.release();
    }
    if (this.#auth.working) this.#auth.onIdle = () => this.#options.settled();
    else this.#options.settled();
    this.#options.closed();
  }
}

/** IPv4 addresses of a dual-stack socket as people write them; sshd's word where there is none, as on a Unix socket. */
function plainAddress(address: string | undefined): string {
  return (address ?? 'UNKNOWN').replace(/^::ffff:/, '');
}

/** What sshd says in the place of a port where there is none. */
const NO_PORT = 65_535;

function connectionEnv(socket: Socket): Record<string, string> {
  const from = `${plainAddress(socket.remoteAddress)} ${socket.remotePort ?? NO_PORT}`;
  const port = socket.localPort ?? NO_PORT;
  return { SSH_CLIENT: `${from} ${port}`, SSH_CONNECTION: `${from} ${plainAddress(socket.localAddress)} ${port}` };
}
