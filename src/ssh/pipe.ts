/**
 * Joins one SSH channel with one channel on the device, both ways, with back-pressure: the client's
 * window is refilled only as the device takes the bytes, the device's credit only as the client does.
 */
import type { Fault } from '../base/errors.js';
import type { Channel, ChannelEvents, Outcome, Refusal } from '../mux/device.js';
import type { SshChannel } from './channel.js';
import { DELIVERY_MS } from './limits.js';

export interface PipeHooks {
  opened(): void;
  refused(reason: Refusal): void;
  /** The device's side is over, for a reason of its own if `fault` is given; CLOSE follows. */
  failed(fault: Fault): void;
}

export class Pipe {
  readonly #ssh: SshChannel;
  readonly #hooks: PipeHooks;
  #device: Channel | undefined;
  /** Credit that came before the device's channel was known to us. */
  #early = 0;
  /** Bytes the device holds back after write() said false. */
  #held = 0;
  #blocked = false;
  #clientEnded = false;
  #over = false;
  /** The device said that the channel is over: nothing may be asked of it any more. */
  #deviceOver = false;
  #delivery: NodeJS.Timeout | undefined;

  constructor(ssh: SshChannel, hooks: PipeHooks) {
    this.#ssh = ssh;
    this.#hooks = hooks;
  }

  /** The device's channel, once open() gave it. */
  attach(device: Channel): void {
    this.#device = device;
    if (this.#deviceOver) return;
    if (this.#over) device.close();
    else if (this.#early > 0) device.consumed(this.#early);
  }

  get device(): Channel | undefined {
    return this.#over ? undefined : this.#device;
  }

  /** What the device tells us; to be given to its open(). */
  readonly events: ChannelEvents = {
    opened: () => this.#hooks.opened(),
    refused: (reason) => {
      this.#deviceOver = true;
      clearTimeout(this.#delivery);
      if (this.#over) return;
      this.#over = true;
      this.#hooks.refused(reason);
    },
    data: (stream, bytes) => this.#ssh.out.write(stream, bytes),
    drain: () => {
      this.#blocked = false;
      const held = this.#held;
      this.#held = 0;
      if (held > 0) this.#ssh.taken(held);
    },
    outcome: (outcome: Outcome) => this.#ssh.out.outcome(outcome),
    eof: () => this.#ssh.out.eof(),
    closed: (fault) => {
      this.#deviceOver = true;
      clearTimeout(this.#delivery);
      if (this.#over) return;
      this.#over = true;
      if (fault === undefined) this.#ssh.out.eof();
      else this.#hooks.failed(fault);
      this.#ssh.out.close();
    },
  };

  data(bytes: Buffer): void {
    if (this.#over || this.#clientEnded) {
      // A program that ended does not stop its client from sending until CLOSE has arrived.
      this.#ssh.taken(bytes.length);
      return;
    }
    if (this.#device?.write(bytes) === false) this.#blocked = true;
    if (this.#blocked) this.#held += bytes.length;
    else this.#ssh.taken(bytes.length);
  }

  eof(): void {
    if (this.#over || this.#clientEnded) return;
    this.#clientEnded = true;
    this.#device?.end();
  }

  /** The client is gone: the program behind the channel is hung up. */
  gone(): void {
    if (this.#over) return;
    this.#over = true;
    this.#device?.close();
  }

  /**
   * The client is done with a socket. Clients send EOF and CLOSE in one go, or even leave, while their
   * last bytes are still on the way to the device: those are delivered, as sshd does.
   */
  finish(deliveryMs = DELIVERY_MS): void {
    if (this.#over) return;
    this.eof();
    this.#over = true;
    const device = this.#device;
    if (device === undefined) return;
    device.closeOutput();
    this.#delivery = setTimeout(() => device.close(), deliveryMs).unref();
  }

  /** Whether the client said that it sends no more. */
  get clientEnded(): boolean {
    return this.#clientEnded;
  }

  consumed(bytes: number): void {
    if (this.#device === undefined) this.#early += bytes;
    else if (!this.#over) this.#device.consumed(bytes);
  }
}
