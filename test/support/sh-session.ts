import { randomBytes } from 'node:crypto';
import { Fault } from '../../src/base/errors.js';
import { silentLog } from '../../src/base/log.js';
import { ShBackend } from '../../src/helper/sh/backend.js';
import type { Carrier } from '../../src/link/carrier.js';
import type { Boot } from '../../src/mux/backend.js';
import type { Channel, OpenRequest, Outcome, Refusal } from '../../src/mux/device.js';
import type { PtyCarrier, PtyDevice } from './pty-device.js';
import { waitFor } from './wait.js';

/** A boot sh as src/helper/boot.ts makes it, of the device's own `sh` instead of /bin/sh. */
export async function bootSh(carrier: PtyCarrier): Promise<Boot> {
  const word = `b${randomBytes(6).toString('hex')}`;
  let text = '';
  carrier.onText = (bytes) => {
    text += bytes.toString('latin1');
  };
  const loop = `while IFS= read -r l;do case $l in *"$w "*)eval "\${l##*$w }";;esac;done`;
  carrier.write(` unset HISTFILE;sh -c 'stty raw -echo;w=${word.slice(0, 5)};w=\${w}${word.slice(5)};printf @%s@ $w;${loop}'\r`);
  await waitFor('the boot sh', () => text.includes(`@${word}@`));
  return {
    facts: {},
    run: (line) => {
      carrier.write(`\n ${word} ${line}\n`);
    },
  };
}

export interface SessionOptions {
  graceSeconds?: number;
  maxWrite?: number;
  ownSftp?: boolean;
  /** Puts something between the login and the helper, for instance loss. */
  wrap?: (carrier: PtyCarrier) => Carrier;
}

/** A backend on a device, with logins that can be lost and replaced. */
export class ShSession {
  readonly backend: ShBackend;
  readonly device: PtyDevice;
  readonly #options: SessionOptions;
  login: PtyCarrier | undefined;

  constructor(device: PtyDevice, options: SessionOptions = {}) {
    this.device = device;
    this.#options = options;
    this.backend = new ShBackend({ graceSeconds: options.graceSeconds ?? 600, stateDir: device.state, ownSftp: options.ownSftp ?? false, log: silentLog() });
  }

  async attach(): Promise<void> {
    const login = this.device.login(this.#options.maxWrite);
    this.login = login;
    const boot = await bootSh(login);
    const carrier = this.#options.wrap?.(login) ?? login;
    await this.backend.attach(carrier, boot, AbortSignal.timeout(30_000));
  }

  /** The login is lost, and a new one takes its place. */
  async replace(): Promise<void> {
    this.drop();
    await this.attach();
  }

  drop(): void {
    this.login?.drop();
    this.backend.detach(new Error('dropped'));
  }

  async end(): Promise<void> {
    await this.backend.shutdown(new Fault('DEVICE_LOST', 'The test is over.'), AbortSignal.timeout(5_000));
    this.login?.drop();
  }

  exec(command: string | Buffer, options: Partial<Extract<OpenRequest, { kind: 'exec' }>> = {}): Run {
    const bytes = typeof command === 'string' ? Buffer.from(command) : command;
    return new Run(this.backend, { kind: 'exec', command: bytes, pty: undefined, env: {}, ...options });
  }
}

/** One channel and everything it said. */
export class Run {
  readonly channel: Channel;
  readonly #out: Buffer[] = [];
  readonly #err: Buffer[] = [];
  readonly order: string[] = [];
  outcome: Outcome | undefined;
  refusal: Refusal | undefined;
  fault: Fault | undefined;
  bytes = 0;
  over = false;
  #held = 0;
  #holding = false;
  #drained: (() => void) | undefined;
  readonly #ended: Promise<void>;

  constructor(backend: ShBackend, request: OpenRequest) {
    let ended: () => void = () => undefined;
    this.#ended = new Promise((resolve) => (ended = resolve));
    const note = (word: string): void => {
      if (this.order.at(-1) !== word) this.order.push(word);
    };
    this.channel = backend.open(request, {
      opened: () => {
        note('opened');
      },
      refused: (reason) => {
        note('refused');
        this.refusal = reason;
        this.over = true;
        ended();
      },
      data: (stream, bytes) => {
        note('data');
        (stream === 'out' ? this.#out : this.#err).push(bytes);
        this.bytes += bytes.length;
        if (this.#holding) this.#held += bytes.length;
        else queueMicrotask(() => { this.channel.consumed(bytes.length); });
      },
      drain: () => {
        this.#drained?.();
      },
      outcome: (outcome) => {
        note('outcome');
        this.outcome = outcome;
      },
      eof: () => {
        note('eof');
      },
      closed: (fault) => {
        note('closed');
        this.fault = fault;
        this.over = true;
        ended();
      },
    });
  }

  /** From now on nothing is consumed, as by a client that does not read. */
  hold(): void {
    this.#holding = true;
  }

  release(): void {
    this.#holding = false;
    this.channel.consumed(this.#held);
    this.#held = 0;
  }

  async send(bytes: Buffer, pieceBytes = 16 * 1024): Promise<void> {
    for (let at = 0; at < bytes.length; at += pieceBytes) {
      if (this.channel.write(bytes.subarray(at, at + pieceBytes))) continue;
      await new Promise<void>((resolve) => (this.#drained = resolve));
    }
  }

  get out(): Buffer {
    return Buffer.concat(this.#out);
  }

  get err(): Buffer {
    return Buffer.concat(this.#err);
  }

  get text(): string {
    return this.out.toString('latin1');
  }

  get status(): number | undefined {
    return this.outcome?.kind === 'status' ? this.outcome.status : undefined;
  }

  async done(): Promise<this> {
    await this.#ended;
    return this;
  }
}
