/** Sessions on the device's own SSH server, as the real agents open them: password only, one shell. */
import { connect as connectTcp } from 'node:net';
import { Client, type ClientChannel } from 'ssh2';
import { Fault } from '../base/errors.js';
import type { Log } from '../base/log.js';
import type { Session, SessionSource, Terminal } from './session.js';

export interface SshdTarget {
  host: string;
  port: number;
}

/** Longest wait for a login, from the TCP connection to the shell. */
const LOGIN_MS = 20_000;
/** Longest wait for the SSH server to show itself when the agent starts. */
const CHECK_MS = 5000;

export class SshdSessions implements SessionSource {
  readonly #target: SshdTarget;
  readonly #log: Log;
  /** Trust on first use: the fingerprint that the first login showed. */
  #pinned: string | undefined;
  readonly #living = new Set<Client>();

  constructor(target: SshdTarget, log: Log) {
    this.#target = target;
    this.#log = log;
  }

  check(): Promise<void> {
    const { host, port } = this.#target;
    return new Promise((resolve, reject) => {
      const fail = (cause: Error): void => {
        socket.destroy();
        reject(new Fault('LOCAL', `no SSH server answers at ${host}:${port}: start it, or name where it is`, { cause }));
      };
      const socket = connectTcp({ host, port, timeout: CHECK_MS });
      socket.once('timeout', () => fail(new Error('no answer in time')));
      socket.once('error', fail);
      socket.once('connect', () => {
        socket.destroy();
        resolve();
      });
    });
  }

  async open(user: string, password: string, terminal: Terminal): Promise<Session> {
    const client = new Client();
    this.#living.add(client);
    client.once('close', () => this.#living.delete(client));
    try {
      await this.#logIn(client, user, password);
      return new SshdSession(client, await openShell(client, terminal));
    } catch (thrown) {
      client.on('error', () => {}); // what follows the first error is of no interest
      client.destroy();
      this.#living.delete(client);
      throw thrown;
    }
  }

  async close(): Promise<void> {
    await Promise.all(
      [...this.#living].map((client) => {
        const closed = new Promise<void>((resolve) => client.once('close', () => resolve()));
        client.destroy();
        return closed;
      }),
    );
  }

  #logIn(client: Client, user: string, password: string): Promise<void> {
    const { host, port } = this.#target;
    return new Promise((resolve, reject) => {
      let keyChanged = false;
      const failed = (cause: Error & { level?: string }): void => reject(this.#refusal(cause, keyChanged));
      client.on('error', failed);
      client.once('close', () => failed(new Error('the SSH server closed the connection')));
      client.once('ready', () => {
        // A key typed while output comes would else wait for the SSH server's delayed acknowledgement, up to 40 ms.
        client.setNoDelay(true);
        resolve();
      });
      client.connect({
        host,
        port,
        username: user,
        password,
        authHandler: ['password'],
        readyTimeout: LOGIN_MS,
        hostHash: 'sha256',
        hostVerifier: (fingerprint: string) => {
          this.#pinned ??= fingerprint;
          keyChanged = fingerprint !== this.#pinned;
          return !keyChanged;
        },
      });
    });
  }

  #refusal(cause: Error & { level?: string }, keyChanged: boolean): Fault {
    const where = `the SSH server at ${this.#target.host}:${this.#target.port}`;
    if (keyChanged) {
      this.#log.warn('the SSH server shows another host key than before');
      return new Fault('DEVICE_LOST', `${where} shows another host key than before: restart the device agent if that is meant`, { cause });
    }
    if (cause.level === 'client-authentication') {
      return new Fault('DENIED', `${where} refused this user name and password: check both`, { cause });
    }
    return new Fault('DEVICE_LOST', `no session on ${where}: ${cause.message}`, { cause });
  }
}

function openShell(client: Client, terminal: Terminal): Promise<ClientChannel> {
  return new Promise((resolve, reject) => {
    const { term, cols, rows } = terminal;
    client.shell({ term, cols, rows, width: 0, height: 0 }, (error, channel) => {
      if (error) reject(new Fault('DEVICE_LOST', 'the SSH server opened no shell on a terminal', { cause: error }));
      else resolve(channel);
    });
  });
}

class SshdSession implements Session {
  state: Session['state'] = 'open';
  readonly carried = true;
  onChange: () => void = () => {};
  readonly #client: Client;
  readonly #channel: ClientChannel;
  #reported = false;

  constructor(client: Client, channel: ClientChannel) {
    this.#client = client;
    this.#channel = channel;
    client.on('error', () => {}); // `close` follows and says enough
    channel.on('error', () => {});
    channel.stderr.resume(); // empty with a terminal; unread it would hold up the channel
    channel.on('readable', () => this.onChange());
    // A shell that ended says so (status or signal) before its channel closes; a lost session cannot.
    channel.once('exit', () => (this.#reported = true));
    channel.once('close', () => this.#end(this.#reported ? 'exited' : 'lost'));
    client.once('close', () => this.#end(this.#reported ? 'exited' : 'lost'));
  }

  get untaken(): number {
    return this.#channel.writableLength;
  }

  read(max: number): Buffer | undefined {
    const length = Math.min(max, this.#channel.readableLength);
    // Reading nothing at the end is what makes the stream announce its end.
    const chunk: unknown = length === 0 ? this.#channel.read() : this.#channel.read(length);
    return Buffer.isBuffer(chunk) ? chunk : undefined;
  }

  type(text: string): void {
    // Told for each write: the stream's own drain event is for fuller buffers than ours.
    if (this.#channel.writable) this.#channel.write(text, () => this.onChange());
  }

  hangUp(): void {
    this.#end('lost');
    this.#client.destroy();
  }

  #end(state: 'exited' | 'lost'): void {
    if (this.state !== 'open') return;
    this.state = state;
    if (state === 'exited') this.#client.end();
    this.onChange();
  }
}
