/**
 * Listening on the device for the client: `tcpip-forward` (-R; RFC 4254 section 7.1),
 * `streamlocal-forward@openssh.com` and the socket of agent forwarding. Each connection that arrives
 * there becomes a channel that we open to the client.
 */
import type { Channel, ChannelEvents, Listener, ListenRequest } from '../mux/device.js';
import type { ChannelHandler, SshChannel } from './channel.js';
import type { DeferredDevice } from './deferred-device.js';
import { ForwardedSocket } from './forwarded.js';
import { MAX_HOST_BYTES, MAX_LISTENERS } from './limits.js';
import { Pipe } from './pipe.js';
import { listenAddress, permits, type SshPolicy } from './policy.js';
import { pack } from './wire.js';

export interface RemoteForwardContext {
  readonly device: DeferredDevice;
  readonly policy: SshPolicy;
  /**
   * Opens a channel to the client; undefined when no more are allowed. `failed` is called if the client
   * refuses it.
   */
  openChannel(type: string, rest: Buffer, handler: ChannelHandler): SshChannel | undefined;
  refused(what: string, why: string): void;
}

/** Answer to a listening request: undefined is a refusal, `port` is told when 0 was asked for. */
export type ListenAnswer = { port: number | undefined } | undefined;

/** A listener that the client asked for, and how what comes of it is told. */
interface Wanted {
  request: ListenRequest;
  keyOf(where: { port?: number }): string;
  describe(where: { port?: number }, peer: { host: string; port: number }): { type: string; rest: Buffer };
}

export class RemoteForwards {
  readonly #context: RemoteForwardContext;
  readonly #listeners = new Map<string, Listener>();
  /** Those, and the ones that the device has not answered for yet. */
  readonly #all = new Set<Listener>();
  /** Those that it has not answered for, by their key: a second request for one waits for the first. */
  readonly #asked = new Map<string, Promise<ListenAnswer>>();
  #agent: { listener: Listener; path: Promise<Buffer | undefined> } | undefined;
  #closed = false;

  constructor(context: RemoteForwardContext) {
    this.#context = context;
  }

  /** `host` is as the client wrote it: it comes back in every channel opened for this listener. */
  listenTcp(host: string, port: number): Promise<ListenAnswer> {
    const { forwardTcp, gatewayPorts, permitListen } = this.#context.policy;
    if (forwardTcp === 'no' || forwardTcp === 'local') return this.#refuse(`listening on port ${port}`, 'switched off by the operator');
    if (!permits(permitListen, host, port)) return this.#refuse(`listening on port ${port}`, 'not among the addresses that are permitted');
    if (port > 65_535) return this.#refuse(`listening on port ${port}`, 'there is no such port');
    if (host.length > MAX_HOST_BYTES) return this.#refuse(`listening on port ${port}`, 'the address is longer than any');
    return this.#listen(
      {
        request: { kind: 'tcp', host: listenAddress(host, gatewayPorts), port },
        keyOf: (where) => tcpKey(host, where.port ?? port),
        describe: (where, peer) => ({
          type: 'forwarded-tcpip',
          rest: pack({ string: host }, { uint32: where.port ?? port }, { string: peer.host }, { uint32: peer.port }),
        }),
      },
      port === 0 ? undefined : tcpKey(host, port),
    );
  }

  listenUnix(path: Buffer): Promise<ListenAnswer> {
    const { forwardUnix } = this.#context.policy;
    if (forwardUnix === 'no' || forwardUnix === 'local') return this.#refuse('listening on a socket', 'switched off by the operator');
    return this.#listen(
      {
        request: { kind: 'unix', path: Buffer.from(path) },
        keyOf: () => unixKey(path),
        describe: () => ({ type: 'forwarded-streamlocal@openssh.com', rest: pack({ string: Buffer.from(path) }, { string: '' }) }),
      },
      unixKey(path),
    );
  }

  cancelTcp(host: string, port: number): boolean {
    return this.#cancel(tcpKey(host, port));
  }

  cancelUnix(path: Buffer): boolean {
    return this.#cancel(unixKey(path));
  }

  /** One socket serves all sessions of a connection, as in sshd. */
  requestAgent(): boolean {
    if (!this.#context.policy.forwardAgent) return false;
    if (this.#agent !== undefined) return true;
    let settle: (path: Buffer | undefined) => void = () => {};
    const path = new Promise<Buffer | undefined>((resolve) => { settle = resolve; });
    const listener = this.#context.device.listen({ kind: 'agent' }, {
      listening: (where) => settle('path' in where ? where.path : undefined),
      refused: (reason) => {
        this.#context.refused('agent forwarding', reason.message);
        settle(undefined);
      },
      incoming: (channel) => this.#incoming(channel, 'auth-agent@openssh.com', Buffer.alloc(0)),
      closed: () => settle(undefined),
    });
    this.#agent = { listener, path };
    return true;
  }

  agentSocket(): Promise<Buffer | undefined> | undefined {
    return this.#agent?.path;
  }

  closeAll(): void {
    this.#closed = true;
    for (const listener of this.#all) listener.close();
    this.#all.clear();
    this.#listeners.clear();
    this.#agent?.listener.close();
  }

  #listen(wanted: Wanted, knownKey: string | undefined): Promise<ListenAnswer> {
    const what = `listening for ${knownKey ?? 'any port'}`;
    if (this.#all.size >= MAX_LISTENERS) return this.#refuse(what, `one connection has at most ${MAX_LISTENERS} listeners`);
    if (this.#closed) return this.#refuse(what, 'the connection has ended');
    if (knownKey === undefined) return this.#start(wanted, what);
    if (this.#listeners.has(knownKey)) return this.#refuse(what, 'it is listening there already');
    const before = this.#asked.get(knownKey);
    if (before !== undefined) return before.then(() => this.#listen(wanted, knownKey));
    const answer = this.#start(wanted, what).finally(() => this.#asked.delete(knownKey));
    this.#asked.set(knownKey, answer);
    return answer;
  }

  #start({ request, keyOf, describe }: Wanted, what: string): Promise<ListenAnswer> {
    return new Promise((resolve) => {
      let where: { port?: number } = {};
      let key: string | undefined;
      const holder: { listener?: Listener } = {};
      const closer: Listener = { close: () => holder.listener?.close() };
      this.#all.add(closer);
      holder.listener = this.#context.device.listen(request, {
        listening: (at) => {
          if ('port' in at) where = { port: at.port };
          key = keyOf(where);
          this.#listeners.set(key, closer);
          resolve({ port: where.port });
        },
        refused: (reason) => {
          this.#all.delete(closer);
          this.#context.refused(what, reason.message);
          resolve(undefined);
        },
        incoming: (channel, peer) => {
          const { type, rest } = describe(where, peer);
          return this.#incoming(channel, type, rest);
        },
        closed: (fault) => {
          if (fault !== undefined) this.#context.refused(what, fault.message);
          this.#all.delete(closer);
          if (key !== undefined && this.#listeners.get(key) === closer) this.#listeners.delete(key);
          resolve(undefined);
        },
      });
    });
  }

  #incoming(device: Channel, type: string, rest: Buffer): ChannelEvents {
    const handler = new IncomingForward();
    const channel = this.#context.openChannel(type, rest, handler);
    if (channel === undefined) {
      queueMicrotask(() => device.close());
      return IGNORED;
    }
    return handler.start(channel, device);
  }

  #cancel(key: string): boolean {
    const listener = this.#listeners.get(key);
    this.#listeners.delete(key);
    if (listener !== undefined) this.#all.delete(listener);
    listener?.close();
    return listener !== undefined;
  }

  #refuse(what: string, why: string): Promise<ListenAnswer> {
    this.#context.refused(what, why);
    return Promise.resolve(undefined);
  }
}

/** A connection accepted on the device, on its way to the client. */
class IncomingForward extends ForwardedSocket {
  start(channel: SshChannel, device: Channel): ChannelEvents {
    const pipe = new Pipe(channel, { opened: () => {}, refused: () => channel.out.close(), failed: () => {} });
    this.join(pipe);
    pipe.attach(device);
    return pipe.events;
  }
}

const IGNORED: ChannelEvents = {
  opened: () => {}, refused: () => {}, data: () => {}, drain: () => {}, outcome: () => {}, eof: () => {}, closed: () => {},
};

function tcpKey(host: string, port: number): string {
  return `tcp ${host} ${port}`;
}

function unixKey(path: Buffer): string {
  return `unix ${path.toString('latin1')}`;
}
