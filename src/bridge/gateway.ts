import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { Fault, toFault } from '../base/errors.js';
import { LastWord } from '../base/last-word.js';
import { LineBudget, type Log } from '../base/log.js';
import { PythonBackend } from '../helper/python-backend.js';
import { RawBackend } from '../helper/raw-backend.js';
import { ShBackend } from '../helper/sh/backend.js';
import { Login } from '../login/login.js';
import { OwnLogins } from '../login/own-logins.js';
import type { Backend } from '../mux/backend.js';
import type { Tier } from '../mux/device.js';
import { authorize, type Authorization, type AuthorizedKey } from '../ssh/authorized-keys.js';
import { STRANGER_LINES, STRANGER_LINES_PER_S } from '../ssh/limits.js';
import type { ClientInfo, Credential, Gateway, KeyGrant, Lease } from '../ssh/gateway.js';
import { fingerprint } from '../ssh/public-key.js';
import type { Tunnel } from '../tunnel/tunnel.js';
import { DeviceSession, type TierChoice } from './session.js';

export interface KeyLogin {
  /** Asked for each key, so that one that was added or taken away counts at once. */
  keys(): Promise<readonly AuthorizedKey[]>;
  /** The user on the device; undefined: the name that the SSH client gave. */
  user: string | undefined;
  /** Asked at each key login, so that a rotated secret is found. */
  password(): Promise<string>;
}

export interface GatewayOptions {
  /** A tunnel that has not been started; asked again for each time the tunnel is opened anew. */
  tunnel(): Tunnel;
  tier: TierChoice;
  lingerMs: number;
  graceMs: number;
  /** A terminal of the raw tier in which nothing happens ends after it; 0: never. */
  rawIdleMs: number;
  keyLogin: KeyLogin | undefined;
  log: Log;
}

interface Open {
  user: string;
  /** Which credential this session belongs to: a keyed hash, never the credential itself. */
  proof: Buffer;
  session: DeviceSession;
  accepted: Promise<void>;
  /** What the clients' leases tell at the end. */
  leases: Set<LastWord<Fault>>;
  linger: NodeJS.Timeout | undefined;
}

/** One device session for many SSH clients of one credential. */
export class BridgeGateway implements Gateway {
  readonly #options: GatewayOptions;
  readonly #log: Log;
  readonly #proofKey = randomBytes(32);
  readonly #logins = new OwnLogins();
  /** An authority's key is public: whoever knows it can show what it has not signed. */
  readonly #refusedLines = new LineBudget(STRANGER_LINES, STRANGER_LINES_PER_S);
  #login: Login | undefined;
  #open: Open | undefined;
  /** The session before, taking leave: the next one waits for it. */
  #leaving: Promise<void> = Promise.resolve();
  /** The tunnel is over by the platform's decision: nothing works any more. */
  onTunnelEnded: (fault: Fault) => void = () => undefined;

  constructor(options: GatewayOptions) {
    this.#options = options;
    this.#log = options.log.child({ part: 'gateway' });
  }

  /** Opens the tunnel now, so that a wrong token is known at the start and not at the first client. */
  start(): void {
    this.#login ??= this.#openTunnel();
  }

  #openTunnel(): Login {
    const login = new Login(this.#options.tunnel(), { log: this.#options.log, own: this.#logins });
    login.onEnded = (fault) => {
      if (this.#login !== login) return;
      this.#open?.session.end(fault);
      this.onTunnelEnded(fault);
    };
    login.start();
    return login;
  }

  async authorizesKey(user: string, key: { blob: Buffer }, client: ClientInfo): Promise<boolean> {
    return (await this.#authorization(user, key, client)) !== undefined;
  }

  async grantForKey(user: string, key: { blob: Buffer }, client: ClientInfo): Promise<KeyGrant | undefined> {
    const authorization = await this.#authorization(user, key, client);
    const { keyLogin } = this.#options;
    if (keyLogin === undefined || authorization === undefined) return undefined;
    const { limits, certificate } = authorization;
    if (certificate !== undefined) {
      const { id, serial, authority } = certificate;
      this.#log.info({ user, id, serial: String(serial), authority: fingerprint(authority) }, 'accepted a certificate');
    }
    return { credential: { user, password: await keyLogin.password() }, limits };
  }

  async #authorization(user: string, key: { blob: Buffer }, client: ClientInfo): Promise<Authorization | undefined> {
    const { keyLogin } = this.#options;
    if (keyLogin === undefined || (keyLogin.user !== undefined && keyLogin.user !== user)) return undefined;
    const keys = await keyLogin.keys();
    try {
      return authorize(keys, key.blob, { user, address: client.address });
    } catch (thrown) {
      const more = this.#refusedLines.take();
      if (more !== undefined) this.#log.info({ user, reason: toFault(thrown).message, ...more }, 'refused a certificate');
      return undefined;
    }
  }

  async login(credential: Credential, _client?: ClientInfo, byKey = false): Promise<Lease> {
    const proof = this.#proof(credential);
    for (;;) {
      const open = this.#open;
      if (open === undefined) {
        await this.#leaving;
        if (this.#open === undefined) return await this.#start(credential, proof);
        continue;
      }
      const same = timingSafeEqual(open.proof, proof);
      try {
        await open.accepted;
      } catch (error) {
        // The login that we waited for failed. With the same credential so would ours.
        if (same) throw error;
        continue;
      }
      if (open !== this.#open) continue;
      if (same || (byKey && open.user === credential.user)) return this.#lease(open);
      // A mistyped password is asked for again, as by sshd; nobody else can be let in by asking.
      if (open.user === credential.user) throw new Fault('DENIED', 'The session of this user is open under another password.');
      throw new Fault('BUSY', 'This device has one session, and it is open under another user; it is free once its clients have left.');
    }
  }

  async #start(credential: Credential, proof: Buffer): Promise<Lease> {
    this.#login ??= this.#openTunnel();
    const session = new DeviceSession({
      login: this.#login,
      credential,
      tier: this.#options.tier,
      graceMs: this.#options.graceMs,
      backend: (tier) => this.#backend(tier, credential.user),
      log: this.#options.log,
    });
    const open: Open = { user: credential.user, proof, session, accepted: session.start(), leases: new Set(), linger: undefined };
    this.#open = open;
    session.onEnd = (fault) => {
      this.#ended(open, fault);
    };
    try {
      await open.accepted;
    } catch (error) {
      if (this.#open === open) this.#open = undefined;
      throw error;
    }
    this.#log.info({ user: credential.user }, 'the device accepted the login');
    return this.#lease(open);
  }

  #backend(tier: Tier, user: string): Backend {
    const { log } = this.#options;
    switch (tier) {
      case 'python':
        return new PythonBackend({ graceSeconds: Math.round(this.#options.graceMs / 1000), log });
      case 'sh':
        return new ShBackend({ graceSeconds: Math.round(this.#options.graceMs / 1000), log });
      case 'raw':
        return new RawBackend(user, { graceMs: this.#options.graceMs, idleMs: this.#options.rawIdleMs });
    }
  }

  #lease(open: Open): Lease {
    clearTimeout(open.linger);
    const end = new LastWord<Fault>();
    const lease: Lease = {
      device: open.session.device,
      set onEnd(listener: (fault: Fault) => void) {
        end.listener = listener;
      },
      release: () => {
        if (!open.leases.delete(end) || open.leases.size > 0 || open.session.ended !== undefined) return;
        open.linger = setTimeout(() => {
          open.session.leave(new Fault('DEVICE_LOST', 'No client was left for a while; the device session was closed.'));
        }, this.#options.lingerMs);
      },
    };
    open.leases.add(end);
    if (open.session.ended !== undefined) end.say(open.session.ended);
    return lease;
  }

  /** A session ends by closing the tunnel while the device's login shell lives: the agent does not survive its exit. */
  #ended(open: Open, fault: Fault): void {
    clearTimeout(open.linger);
    const login = this.#login;
    if (this.#open === open) {
      this.#open = undefined;
      this.#login = undefined;
      this.#leaving = open.session.gone().then(async () => {
        await login?.close();
      });
    }
    for (const end of open.leases) end.say(fault);
    open.leases.clear();
  }

  /** How the tunnel and the device session are, for people who look into a running bridge. */
  get state(): Record<string, unknown> {
    return { tunnel: this.#login?.tunnelState, session: this.#open?.session.state, clients: this.#open?.leases.size };
  }

  async close(): Promise<void> {
    this.#open?.session.leave(new Fault('DEVICE_LOST', 'The bridge is shutting down.'));
    await this.#leaving;
    const login = this.#login;
    this.#login = undefined;
    await login?.close();
  }

  #proof(credential: Credential): Buffer {
    return createHmac('sha256', this.#proofKey).update(JSON.stringify([credential.user, credential.password])).digest();
  }
}
