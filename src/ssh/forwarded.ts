import type { ChannelHandler } from './channel.js';
import type { Pipe } from './pipe.js';

/** A channel whose other end is a socket on the device, whoever asked for it. */
export class ForwardedSocket implements ChannelHandler {
  #pipe: Pipe | undefined;

  protected join(pipe: Pipe): void {
    this.#pipe = pipe;
  }

  data(bytes: Buffer): void {
    this.#pipe?.data(bytes);
  }

  eof(): void {
    this.#pipe?.eof();
  }

  closed(): void {
    this.#pipe?.finish();
  }

  lost(): void {
    if (this.#pipe?.clientEnded === true) this.#pipe.finish();
    else this.#pipe?.gone();
  }

  consumed(bytes: number): void {
    this.#pipe?.consumed(bytes);
  }

  request(): boolean {
    return false;
  }
}
