/**
 * Authentication (RFC 4252, 4256, 8308): methods none, password, keyboard-interactive and publickey,
 * decided one after another. Success means that the device's own login accepted the credential.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Fault, toFault } from '../base/errors.js';
import type { LineBudget, Log } from '../base/log.js';
import { signingKey } from './certificate.js';
import type { Credential, Gateway, Lease } from './gateway.js';
import { NO_LIMITS, type KeyLimits } from './key-options.js';
import * as limits from './limits.js';
import { DISCONNECT, MSG, message } from './messages.js';
import type { SshPolicy } from './policy.js';
import { attestsUser, fingerprint, keyType, verifySignature } from './public-key.js';
import { pack, WireReader } from './wire.js';

/** The transport as authentication sees it. */
export interface AuthPort {
  readonly sessionId: Buffer;
  readonly isClosed: boolean;
  send(payload: Buffer): void;
  sendAuthSuccess(): void;
  disconnect(reason: number, fault: Fault): void;
}

export interface AuthOptions {
  port: AuthPort;
  gateway: Gateway;
  policy: SshPolicy;
  address: string;
  log: Log;
  /** For lines about those who are not let in, all connections together. */
  lines: LineBudget;
  pace: FailurePace;
  /** Called once, with USERAUTH_SUCCESS already on its way. */
  succeeded(lease: Lease, user: string, limits: KeyLimits): void;
}

/** Spaces out refused passwords over all connections of a server. */
export class FailurePace {
  readonly #baseMs: number;
  #nextAt = 0;

  constructor(baseMs: number) {
    this.#baseMs = baseMs;
  }

  /** Milliseconds to wait before the `nth` refusal of a connection is told. */
  delay(nth: number, now = performance.now()): number {
    const own = Math.min(this.#baseMs * 2 ** (nth - 1), limits.AUTH_DELAY_MAX_MS);
    const at = Math.max(now + own, this.#nextAt);
    this.#nextAt = at + Math.min(limits.AUTH_PACE_MS, this.#baseMs);
    return at - now;
  }
}

type Verdict =
  | { kind: 'success'; lease: Lease; limits: KeyLimits }
  | { kind: 'failure'; slow: boolean; counts: boolean }
  /** Answered already; the client's next message continues. */
  | { kind: 'pending' };

const FAILED: Verdict = { kind: 'failure', slow: false, counts: true };
const FAILED_SLOWLY: Verdict = { kind: 'failure', slow: true, counts: true };
const PENDING: Verdict = { kind: 'pending' };

export class Authentication {
  readonly #options: AuthOptions;
  readonly #waiting: Buffer[] = [];
  #waitingBytes = 0;
  readonly #methods: readonly string[];
  #serviceAccepted = false;
  #working = false;
  #done = false;
  #user: string | undefined;
  #requests = 0;
  #failures = 0;
  #prompted = false;
  /** The gateway is at work: the login deadline does not count. */
  gatewayBusy = false;
  /** Called whenever a decision has been made; a slow refusal holds its place until then. */
  onIdle: () => void = () => {};

  constructor(options: AuthOptions) {
    this.#options = options;
    this.#methods = [
      ...(options.policy.publicKeys ? ['publickey'] : []),
      ...(options.policy.passwords ? ['password', 'keyboard-interactive'] : []),
    ];
  }

  get working(): boolean {
    return this.#working;
  }

  get failures(): number {
    return this.#failures;
  }

  /** A packet with number 5 or 50 to 79. Throws a Fault on what the protocol does not allow. */
  packet(type: number, payload: Buffer): void {
    // RFC 4252 section 5.1: requests after success are ignored.
    if (this.#done) return;
    if (type === MSG.SERVICE_REQUEST) {
      this.#serviceRequest(payload);
      return;
    }
    if (!this.#serviceAccepted) throw new Fault('PROTOCOL', 'The SSH client began to authenticate before it asked for that service.');
    if (type !== MSG.USERAUTH_REQUEST && type !== MSG.USERAUTH_INFO_RESPONSE) {
      throw new Fault('PROTOCOL', `The SSH client sent message ${type} before it was authenticated.`);
    }
    this.#waitingBytes += payload.length;
    if (this.#waiting.length >= limits.MAX_WAITING_AUTH || this.#waitingBytes > limits.MAX_WAITING_AUTH_BYTES) {
      throw new Fault('PROTOCOL', 'The SSH client sends authentication requests without waiting for answers.');
    }
    this.#waiting.push(Buffer.from(payload));
    if (!this.#working) void this.#work();
  }

  #serviceRequest(payload: Buffer): void {
    const service = new WireReader(payload, 1).latin1('service name');
    if (service !== 'ssh-userauth') {
      this.#options.port.disconnect(DISCONNECT.SERVICE_NOT_AVAILABLE, new Fault('PROTOCOL', `The service ${JSON.stringify(service.slice(0, 60))} is not available.`));
      return;
    }
    this.#serviceAccepted = true;
    this.#options.port.send(message.serviceAccept(service));
  }

  async #work(): Promise<void> {
    this.#working = true;
    try {
      for (let payload = this.#waiting.shift(); payload !== undefined; payload = this.#waiting.shift()) {
        this.#waitingBytes -= payload.length;
        if (this.#done || this.#options.port.isClosed) return;
        await this.#decide(payload);
      }
    } catch (thrown) {
      const fault = toFault(thrown);
      const reason = fault.code === 'PROTOCOL' ? DISCONNECT.PROTOCOL_ERROR : DISCONNECT.SERVICE_NOT_AVAILABLE;
      this.#options.port.disconnect(reason, fault);
    } finally {
      this.#working = false;
      this.onIdle();
    }
  }

  async #decide(payload: Buffer): Promise<void> {
    const { port } = this.#options;
    const verdict = payload[0] === MSG.USERAUTH_INFO_RESPONSE
      ? await this.#promptAnswer(payload)
      : await this.#request(payload);
    if (verdict.kind === 'pending') return;
    if (verdict.kind === 'success') {
      if (port.isClosed) {
        verdict.lease.release();
        return;
      }
      this.#done = true;
      port.sendAuthSuccess();
      this.#options.succeeded(verdict.lease, this.#user ?? '', verdict.limits);
      return;
    }
    if (verdict.counts) this.#failures += 1;
    if (verdict.slow) await sleep(this.#options.pace.delay(this.#failures));
    if (this.#failures >= limits.MAX_AUTH_TRIES) {
      port.disconnect(DISCONNECT.PROTOCOL_ERROR, new Fault('DENIED', 'Too many authentication failures'));
      return;
    }
    port.send(message.authFailure(this.#methods));
  }

  async #request(payload: Buffer): Promise<Verdict> {
    const reader = new WireReader(payload, 1);
    const userBytes = reader.bytes('user name');
    const service = reader.latin1('service name');
    const method = reader.latin1('method name');
    // As in sshd, `name:style` is the user `name`: no name holds a colon.
    const user = userBytes.toString('utf8').split(':', 1)[0] ?? '';
    this.#prompted = false;
    this.#requests += 1;
    if (this.#requests > limits.MAX_AUTH_REQUESTS) throw new Fault('PROTOCOL', 'Too many authentication requests.');
    if (service !== 'ssh-connection') throw new Fault('PROTOCOL', `The service ${JSON.stringify(service.slice(0, 60))} is not available.`);
    if (this.#user === undefined) this.#user = user;
    else if (this.#user !== user) throw new Fault('PROTOCOL', 'A change of the user name during authentication is not allowed.');

    if (this.#requests === 1) await this.#banner();
    if (method === 'none') return { kind: 'failure', slow: false, counts: this.#requests > 1 };
    if (!this.#methods.includes(method)) return FAILED;
    if (user === '' || !isUsableName(userBytes)) return FAILED_SLOWLY;
    switch (method) {
      case 'password': return this.#password(user, reader);
      case 'keyboard-interactive':
        this.#prompted = true;
        this.#options.port.send(message.authPrompt('Password: '));
        return PENDING;
      default: return this.#publicKey(user, userBytes, reader);
    }
  }

  /** sshd's place for it: after the first request, before its answer. A banner that cannot be read is none. */
  async #banner(): Promise<void> {
    const { policy, port } = this.#options;
    try {
      const text = await policy.banner();
      if (text !== undefined && text.length > 0) port.send(message.authBanner(text));
    } catch (thrown) {
      this.#tell('warn', { reason: toFault(thrown).message }, 'the banner is not shown');
    }
  }

  /** What strangers can bring about as often as they like. */
  #tell(level: 'warn' | 'info', fields: Record<string, unknown>, sentence: string): void {
    const more = this.#options.lines.take();
    if (more !== undefined) this.#options.log[level]({ ...fields, ...more }, sentence);
  }

  #password(user: string, reader: WireReader): Promise<Verdict> | Verdict {
    const isChange = reader.bool('password change flag');
    const password = reader.bytes('password');
    if (isChange) return FAILED_SLOWLY;
    return this.#tryPassword(user, password);
  }

  #promptAnswer(payload: Buffer): Promise<Verdict> | Verdict {
    if (!this.#prompted) throw new Fault('PROTOCOL', 'The SSH client answered a question that was not asked.');
    this.#prompted = false;
    const reader = new WireReader(payload, 1);
    const count = reader.uint32('number of answers');
    if (count !== 1) return FAILED_SLOWLY;
    return this.#tryPassword(this.#user ?? '', reader.bytes('answer'));
  }

  /** The platform carries the password as JSON text: what is not text cannot be right. */
  #tryPassword(user: string, bytes: Buffer): Promise<Verdict> | Verdict {
    const password = bytes.toString('utf8');
    if (bytes.length === 0 || bytes.length > limits.MAX_PASSWORD_BYTES || bytes.includes(0) || !Buffer.from(password, 'utf8').equals(bytes)) return FAILED_SLOWLY;
    return this.#login({ user, password }, NO_LIMITS, false);
  }

  async #publicKey(user: string, userBytes: Buffer, reader: WireReader): Promise<Verdict> {
    const { gateway, port: out, log, address, policy } = this.#options;
    const accepted = policy.algorithms.publicKeys;
    const isSigned = reader.bool('signature flag');
    const algorithm = reader.latin1('algorithm');
    const blob = reader.bytes('public key');
    const signature = isSigned ? reader.bytes('signature') : undefined;
    const signer = signingKey(algorithm, blob);
    if (signer === undefined || !accepted.includes(signer.algorithm)) return FAILED;
    const key = { algorithm: keyType(blob), blob };
    if (!(await gateway.authorizesKey(user, key, { address }))) return FAILED;
    if (signature === undefined) {
      out.send(message.authKeyOk(algorithm, blob));
      return PENDING;
    }
    const signed = pack(
      { string: out.sessionId },
      { byte: MSG.USERAUTH_REQUEST },
      { string: userBytes },
      { string: 'ssh-connection' },
      { string: 'publickey' },
      { bool: true },
      { string: algorithm },
      { string: blob },
    );
    if (!verifySignature(signer.algorithm, signer.blob, signature, signed, accepted)) {
      this.#tell('warn', { user, key: fingerprint(blob) }, 'refused a public key: its signature is wrong');
      return FAILED;
    }
    log.debug({ user, key: fingerprint(blob) }, 'public key accepted');
    const grant = await this.#whileBusy(gateway.grantForKey(user, key, { address }));
    if (grant === undefined) return FAILED;
    if (grant.limits.verifyRequired && !attestsUser(signer.algorithm, signature)) {
      this.#tell('warn', { user, key: fingerprint(blob) }, 'refused a security key: it did not verify its user, and has to');
      return FAILED;
    }
    return this.#login(grant.credential, grant.limits, true);
  }

  async #login(credential: Credential, keyLimits: KeyLimits, byKey: boolean): Promise<Verdict> {
    const { gateway, address } = this.#options;
    try {
      return { kind: 'success', lease: await this.#whileBusy(gateway.login(credential, { address }, byKey)), limits: keyLimits };
    } catch (thrown) {
      const fault = toFault(thrown);
      this.#tell('info', { user: credential.user, code: fault.code, reason: fault.message }, 'login refused');
      if (fault.code === 'DENIED') return FAILED_SLOWLY;
      // A wrong guess at the open session's password ends here as well: it must not be quicker.
      if (fault.code === 'BUSY') await sleep(this.#options.pace.delay(this.#failures + 1));
      // Asking for another password would not help: the client's user is told why and it ends (255).
      throw fault;
    }
  }

  async #whileBusy<T>(work: Promise<T>): Promise<T> {
    this.gatewayBusy = true;
    try {
      return await work;
    } finally {
      this.gatewayBusy = false;
    }
  }
}


/** The device's login takes names as JSON text without NUL; an empty one is nobody. */
function isUsableName(bytes: Buffer): boolean {
  return bytes.length > 0 && bytes.length <= limits.MAX_USER_BYTES && !bytes.includes(0) && Buffer.from(bytes.toString('utf8'), 'utf8').equals(bytes);
}
