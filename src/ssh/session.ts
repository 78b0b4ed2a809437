/** A `session` channel (RFC 4254 section 6): one shell, command or SFTP server on the device. */
import type { Fault } from '../base/errors.js';
import type { OpenRequest, PtyRequest } from '../mux/device.js';
import type { ChannelHandler, SshChannel } from './channel.js';
import type { DeferredDevice } from './deferred-device.js';
import * as limits from './limits.js';
import { isStandardSignal } from './messages.js';
import { Pipe } from './pipe.js';
import { acceptsEnv, INTERNAL_SFTP, isSftpCommand, type SshPolicy } from './policy.js';
import { readPtyRequest, readWindowSize } from './pty.js';
import type { WireReader } from './wire.js';

/** What a session needs from its connection. */
export interface SessionContext {
  readonly device: DeferredDevice;
  readonly policy: SshPolicy;
  /** SSH_CLIENT and SSH_CONNECTION, as sshd sets them. */
  readonly connectionEnv: Readonly<Record<string, string>>;
  /** Opens the socket for agent forwarding, once for the connection; false when it is not allowed. */
  requestAgent(): boolean;
  /** The path for SSH_AUTH_SOCK once known; undefined when there is none. */
  agentSocket(): Promise<Buffer | undefined> | undefined;
  /** For the log: what was started and why it could not be. */
  started(what: string): void;
  refused(what: string, why: string): void;
}

/** What sshd itself says instead of commands and shells where internal-sftp is forced; it ends with status 1. */
const SFTP_ONLY = 'This service allows sftp connections only.';

export class Session implements ChannelHandler {
  readonly #context: SessionContext;
  #channel: SshChannel | undefined;
  #pipe: Pipe | undefined;
  #pty: PtyRequest | undefined;
  readonly #env: Record<string, string> = {};
  #envCount = 0;
  #envBytes = 0;
  #wantsAgent = false;
  /** What a subsystem would have run, where a forced command takes its place. */
  #original: Promise<string> | undefined;
  #started = false;
  #isSubsystem = false;

  constructor(context: SessionContext) {
    this.#context = context;
  }

  bind(channel: SshChannel): void {
    this.#channel = channel;
  }

  request(type: string, body: WireReader): boolean | (() => void) {
    switch (type) {
      case 'pty-req': return this.#ptyRequest(body);
      case 'env': return this.#envRequest(body);
      case 'auth-agent-req@openssh.com': return this.#agentRequest();
      case 'shell': return this.#start(this.#exec(undefined), 'shell');
      case 'exec': {
        // Bytes, not text: file names in a command need not be UTF-8.
        const command = Buffer.from(body.bytes('command'));
        // No program can be given one.
        if (command.includes(0)) return false;
        return this.#start(this.#exec(command), 'exec');
      }
      case 'subsystem': {
        const name = body.latin1('subsystem name');
        if (name !== 'sftp' || this.#started) return false;
        this.#isSubsystem = true;
        return this.#start(this.#subsystem(), name);
      }
      case 'window-change': return this.#windowChange(body);
      case 'signal': return this.#signal(body.latin1('signal name'));
      case 'eow@openssh.com': return this.#endOfWrite();
      default: return false;
    }
  }

  data(bytes: Buffer): void {
    // Before the start the window is 0; what comes all the same is dropped.
    this.#pipe?.data(bytes);
  }

  eof(): void {
    this.#pipe?.eof();
  }

  closed(): void {
    // A client that ended its input and does not wait for what comes of it: the program gets all of it, as under sshd.
    // (What waits for a device that is not there yet is not begun.)
    if (this.#context.device.isReady && this.#pty === undefined && this.#pipe?.clientEnded === true) this.#pipe.finish(limits.HANG_UP_MS);
    else this.#pipe?.gone();
  }

  lost(): void {
    this.#pipe?.gone();
  }

  consumed(bytes: number): void {
    this.#pipe?.consumed(bytes);
  }

  #ptyRequest(body: WireReader): boolean {
    if (this.#started || this.#pty !== undefined || !this.#context.policy.pty) return false;
    this.#pty = readPtyRequest(body);
    return true;
  }

  #envRequest(body: WireReader): boolean {
    const name = body.latin1('variable name');
    const value = body.bytes('variable value');
    if (this.#started || this.#envCount >= limits.MAX_ENV) return false;
    if (name.length > limits.MAX_ENV_NAME_BYTES || value.length > limits.MAX_ENV_BYTES) return false;
    if (!acceptsEnv(this.#context.policy.acceptEnv, name) || value.includes(0)) return false;
    if (this.#envBytes + name.length + value.length > limits.MAX_ENV_TOTAL_BYTES) return false;
    this.#env[name] = value.toString('latin1');
    this.#envCount += 1;
    this.#envBytes += name.length + value.length;
    return true;
  }

  #agentRequest(): boolean {
    if (this.#wantsAgent) return true;
    this.#wantsAgent = this.#context.requestAgent();
    return this.#wantsAgent;
  }

  #windowChange(body: WireReader): boolean {
    const size = readWindowSize(body);
    if (this.#pty === undefined) return false;
    if (!this.#started) this.#pty = { ...this.#pty, size };
    else this.#pipe?.device?.resize(size);
    return true;
  }

  #signal(name: string): boolean {
    if (!this.#started || !isStandardSignal(name)) return false;
    // As in sshd: what the operator forces is not the client's to end.
    if (this.#context.policy.command !== undefined || this.#isSubsystem) return false;
    this.#pipe?.device?.signal(name);
    return true;
  }

  /** OpenSSH's client lost its own standard output: the program's next write shall fail. */
  #endOfWrite(): boolean {
    if (this.#channel === undefined || this.#pipe === undefined) return false;
    this.#channel.out.stop('out');
    this.#pipe.device?.closeOutput();
    return true;
  }

  /** A shell or a command, or what the operator wants run instead of either; undefined: only SFTP is served. */
  #exec(command: Buffer | undefined): OpenRequest | undefined {
    const forced = this.#context.policy.command;
    if (forced === undefined) return { kind: 'exec', command, pty: this.#pty, env: this.#env };
    if (isSftpCommand(forced) === 'plain') return undefined;
    const asked = command === undefined ? {} : { SSH_ORIGINAL_COMMAND: command.toString('latin1') };
    return { kind: 'exec', command: Buffer.from(forced), pty: this.#pty, env: { ...this.#env, ...asked } };
  }

  /** As in sshd, a forced command is run in the place of subsystems too, and finds what the subsystem would have run. */
  #subsystem(): OpenRequest | undefined {
    const forced = this.#context.policy.command;
    if (forced === undefined || isSftpCommand(forced) === 'plain') return { kind: 'sftp' };
    this.#original = this.#context.device.sftpServer().then((path) => path ?? INTERNAL_SFTP);
    // Without a device the channel tells why.
    this.#original.catch(() => {});
    return this.#exec(undefined);
  }

  /**
   * Granted at once: the client need not wait for the device. If the device then refuses, the reason
   * goes to stderr and the channel closes without an exit status, which clients report as 255.
   */
  #start(request: OpenRequest | undefined, what: string): false | (() => void) {
    const channel = this.#channel;
    if (this.#started || channel === undefined) return false;
    this.#started = true;
    const pipe = new Pipe(channel, {
      opened: () => {},
      refused: (reason) => {
        this.#context.refused(what, reason.message);
        this.#complain(reason.message);
        channel.out.close();
      },
      failed: (fault) => this.#failed(what, fault),
    });
    this.#pipe = pipe;
    this.#context.started(what);
    return () => {
      if (request === undefined) {
        this.#context.refused(what, SFTP_ONLY);
        channel.out.write('out', Buffer.from(`${SFTP_ONLY}${this.#lineEnd}`));
        channel.out.outcome({ kind: 'status', status: 1 });
        channel.out.eof();
        channel.out.close();
        return;
      }
      const { request: known, complete } = this.#complete(request);
      pipe.attach(this.#context.device.open(known, pipe.events, complete));
      channel.grant(limits.CHANNEL_WINDOW);
    };
  }

  /** The environment's last entries, some of which only the device knows. */
  #complete(request: OpenRequest): { request: OpenRequest; complete?: Promise<OpenRequest> } {
    if (request.kind !== 'exec') return { request };
    const set = Object.entries(this.#context.policy.setEnv).map(([name, value]) => [name, Buffer.from(value).toString('latin1')]);
    const env: Record<string, string> = { ...request.env, ...Object.fromEntries(set), ...this.#context.connectionEnv };
    const socket = this.#wantsAgent ? this.#context.agentSocket() : undefined;
    const known = { ...request, env };
    if (socket === undefined && this.#original === undefined) return { request: known };
    const complete = Promise.all([socket, this.#original]).then(([path, original]) => {
      // The helper chose the path: plain ASCII.
      if (path !== undefined) env['SSH_AUTH_SOCK'] = path.toString('latin1');
      if (original !== undefined) env['SSH_ORIGINAL_COMMAND'] = original;
      return known;
    });
    return { request: known, complete };
  }

  #failed(what: string, fault: Fault): void {
    this.#context.refused(what, fault.message);
    this.#complain(fault.message);
  }

  /** In a terminal the client's tty is raw: a line feed alone would not return to the margin. */
  get #lineEnd(): string {
    return this.#pty === undefined ? '\n' : '\r\n';
  }

  #complain(sentence: string): void {
    this.#channel?.out.note(`iotda-ssh: ${sentence}${this.#lineEnd}`);
  }
}
