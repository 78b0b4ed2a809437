import { Fault } from '../../base/errors.js';
import type { Channel } from '../../mux/device.js';
import { pathWord, shell, statusOf, messageOf, type RunScript, type SftpWorker } from './sftp-worker.js';
import { STATUS } from './sftp-wire.js';

/** First part of a file, fetched together with opening it; small files need nothing else. */
export const FIRST_BYTES = 32 * 1024;
/** Block size of streams; they begin at a multiple of it. */
const BLOCK_BYTES = 32 * 1024;
/** A read so little ahead of the stream waits for it; one further away starts a new stream. */
const SKIP_BYTES = 256 * 1024;
/** Written bytes collected before a channel is opened for them. */
const COLLECT_BYTES = 24 * 1024;
/** Pieces of a tool's standard error that are kept, and the most bytes of each. */
const ERRORS_KEPT = 64;
const ERROR_BYTES = 1024;
/** Start of an aligned stream of writes. */
const ALIGN_BYTES = 4096;

/** An operation that failed on the device, as SFTP tells it. */
export class SftpError extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }

  static of(output: Buffer): SftpError {
    const message = messageOf(output);
    return new SftpError(statusOf(message), message);
  }
}

/** Runs one after the other, in the order asked for. */
class Sequence {
  #tail: Promise<unknown> = Promise.resolve();

  run<T>(step: () => Promise<T>): Promise<T> {
    const next = this.#tail.then(step, step);
    this.#tail = next.catch(() => undefined);
    return next;
  }
}

interface Stream {
  channel: Channel;
  /** Offset in the file of the first byte held. */
  at: number;
  parts: Buffer[];
  bytes: number;
  ended: boolean;
  failed: SftpError | undefined;
  wake: () => void;
}

/** A file open for reading: the first part is at hand, the rest streams ahead of the reader. */
export class ReadFile {
  readonly #run: RunScript;
  readonly #path: Buffer;
  readonly #first: Buffer;
  readonly #whole: boolean;
  readonly #sequence = new Sequence();
  #stream: Stream | undefined;

  /** `whole`: the first part is all there is. */
  constructor(run: RunScript, path: Buffer, first: Buffer, whole: boolean) {
    this.#run = run;
    this.#path = path;
    this.#first = first;
    this.#whole = whole;
  }

  /** Up to `length` bytes from `offset`; empty at the end of the file. */
  read(offset: number, length: number): Promise<Buffer> {
    return this.#sequence.run(async () => {
      if (this.#whole || offset + length <= this.#first.length) return this.#first.subarray(offset, offset + length);
      const stream = this.#streamAt(offset);
      const skip = (): void => {
        if (stream.at < offset) take(stream, offset - stream.at);
      };
      for (skip(); stream.bytes < length + (offset - stream.at) && !stream.ended; skip()) {
        await new Promise<void>((resolve) => (stream.wake = resolve));
      }
      if (stream.failed !== undefined && stream.bytes === 0) throw stream.failed;
      return take(stream, length);
    });
  }

  close(): void {
    this.#stream?.channel.close();
    this.#stream = undefined;
  }

  #streamAt(offset: number): Stream {
    const present = this.#stream;
    if (present !== undefined && offset >= present.at && offset <= present.at + present.bytes + SKIP_BYTES) return present;
    this.close();
    const skip = Math.floor(offset / BLOCK_BYTES);
    const script = shell`exec dd if=${pathWord(this.#path)} bs=${BLOCK_BYTES} skip=${skip}`;
    const errors: Buffer[] = [];
    const stream: Stream = {
      channel: undefined as unknown as Channel,
      at: skip * BLOCK_BYTES,
      parts: [],
      bytes: 0,
      ended: false,
      failed: undefined,
      wake: () => undefined,
    };
    const end = (failed?: SftpError): void => {
      stream.failed ??= failed;
      stream.ended = true;
      stream.wake();
    };
    stream.channel = this.#run(script, {
      opened: () => undefined,
      refused: (reason) => {
        end(new SftpError(STATUS.FAILURE, reason.message));
      },
      data: (kind, bytes) => {
        if (kind === 'err') {
          remember(errors, bytes);
          stream.channel.consumed(bytes.length);
          return;
        }
        stream.parts.push(bytes);
        stream.bytes += bytes.length;
        stream.wake();
      },
      drain: () => undefined,
      outcome: (outcome) => {
        if (outcome.kind !== 'status' || outcome.status !== 0) stream.failed = SftpError.of(complaints(errors));
      },
      eof: () => undefined,
      closed: (fault) => {
        end(fault === undefined ? undefined : new SftpError(STATUS.FAILURE, fault.message));
      },
    });
    this.#stream = stream;
    return stream;
  }
}

/** Standard error is kept for the one sentence that the client gets, not for a device that never stops. */
function remember(errors: Buffer[], bytes: Buffer): void {
  if (errors.length < ERRORS_KEPT) errors.push(Buffer.from(bytes.subarray(0, ERROR_BYTES)));
}

/** What dd said, without its counts. */
function complaints(errors: readonly Buffer[]): Buffer {
  const lines = Buffer.concat(errors).toString('latin1').split('\n');
  return Buffer.from(lines.filter((line) => !/records (in|out)|copied/.test(line)).join('\n'), 'latin1');
}

function take(stream: Stream, length: number): Buffer {
  const out: Buffer[] = [];
  let left = length;
  while (left > 0) {
    const first = stream.parts[0];
    if (first === undefined) break;
    const part = first.subarray(0, left);
    out.push(part);
    left -= part.length;
    if (part.length === first.length) stream.parts.shift();
    else stream.parts[0] = first.subarray(part.length);
  }
  const bytes = length - left;
  stream.at += bytes;
  stream.bytes -= bytes;
  if (bytes > 0) stream.channel.consumed(bytes);
  return Buffer.concat(out);
}

interface Sink {
  channel: Channel;
  /** Offset of the next byte. */
  at: number;
  closed: Promise<SftpError | undefined>;
  drained: (() => void) | undefined;
}

/**
 * A file open for writing. A little is collected and written by the worker; more goes through a
 * channel of its own. A write is answered when it is on its way; flush() tells whether all arrived.
 */
export class WriteFile {
  readonly #run: RunScript;
  readonly #worker: SftpWorker;
  readonly #path: Buffer;
  readonly #append: boolean;
  /** Whether the device's dd can read exactly so many bytes. */
  readonly #blocks: boolean;
  readonly #sequence = new Sequence();
  #collected: Buffer[] = [];
  #collectedBytes = 0;
  #collectedAt = 0;
  #sink: Sink | undefined;
  #failed: SftpError | undefined;

  constructor(run: RunScript, worker: SftpWorker, path: Buffer, append: boolean, blocks: boolean) {
    this.#run = run;
    this.#worker = worker;
    this.#path = path;
    this.#append = append;
    this.#blocks = blocks;
  }

  get dirty(): boolean {
    return this.#collectedBytes > 0 || this.#sink !== undefined;
  }

  write(offset: number, bytes: Buffer): Promise<void> {
    return this.#sequence.run(async () => {
      if (this.#failed !== undefined) throw this.#failed;
      if (this.#sink !== undefined) {
        if (this.#append || offset === this.#sink.at) {
          await this.#pour(this.#sink, bytes);
          return;
        }
        await this.#settle();
      }
      const follows = this.#collectedBytes === 0 || this.#append || offset === this.#collectedAt + this.#collectedBytes;
      if (!follows) await this.#settle();
      if (this.#collectedBytes === 0) this.#collectedAt = offset;
      this.#collected.push(Buffer.from(bytes));
      this.#collectedBytes += bytes.length;
      if (this.#collectedBytes > COLLECT_BYTES) await this.#startSink();
    });
  }

  /** Resolves when everything written is in the file; rejects with what went wrong. */
  flush(): Promise<void> {
    return this.#sequence.run(async () => {
      await this.#settle();
      const failed = this.#failed;
      this.#failed = undefined;
      if (failed !== undefined) throw failed;
    });
  }

  /** Resolves when everything written is in the file or has failed; flush() will tell. */
  settle(): Promise<void> {
    return this.#sequence.run(() => this.#settle());
  }

  close(): void {
    this.#sink?.channel.close();
    this.#sink = undefined;
  }

  async #settle(): Promise<void> {
    if (this.#collectedBytes > 0) {
      if (this.#blocks && this.#collectedAt === 0 && !this.#append) {
        const bytes = this.#gather();
        const line = shell`dd bs=${bytes.length} count=1 iflag=fullblock conv=notrunc of=${pathWord(this.#path)} 2>&1`;
        const answer = await this.#worker.ask(line, bytes);
        if (answer.status !== 0) this.#failed ??= SftpError.of(complaints([answer.output]));
        return;
      }
      await this.#startSink();
    }
    const sink = this.#sink;
    if (sink === undefined) return;
    this.#sink = undefined;
    sink.channel.end();
    this.#failed ??= await sink.closed;
  }

  #gather(): Buffer {
    const bytes = Buffer.concat(this.#collected);
    this.#collected = [];
    this.#collectedBytes = 0;
    return bytes;
  }

  async #startSink(): Promise<void> {
    const at = this.#collectedAt;
    const path = pathWord(this.#path);
    const odd = (ALIGN_BYTES - (at % ALIGN_BYTES)) % ALIGN_BYTES;
    const head = odd === 0 ? shell`` : shell`dd bs=1 count=${odd} seek=${at} conv=notrunc of=${path} || exit\n`;
    const rest = shell`exec dd bs=${ALIGN_BYTES} seek=${(at + odd) / ALIGN_BYTES} conv=notrunc of=${path}`;
    const script = this.#append ? shell`exec cat >>${path}` : Buffer.concat([head, rest]);
    const errors: Buffer[] = [];
    let settle: (failed: SftpError | undefined) => void = () => undefined;
    let failed: SftpError | undefined;
    const sink: Sink = {
      channel: undefined as unknown as Channel,
      at,
      closed: new Promise((resolve) => (settle = resolve)),
      drained: undefined,
    };
    const end = (reason: SftpError | undefined): void => {
      failed ??= reason;
      this.#failed ??= failed;
      settle(failed);
      sink.drained?.();
    };
    sink.channel = this.#run(script, {
      opened: () => undefined,
      refused: (reason) => {
        end(new SftpError(STATUS.FAILURE, reason.message));
      },
      data: (kind, bytes) => {
        if (kind === 'err') remember(errors, bytes);
        sink.channel.consumed(bytes.length);
      },
      drain: () => {
        sink.drained?.();
      },
      outcome: (outcome) => {
        if (outcome.kind !== 'status' || outcome.status !== 0) failed = SftpError.of(complaints(errors));
      },
      eof: () => undefined,
      closed: (fault: Fault | undefined) => {
        end(fault === undefined ? undefined : new SftpError(STATUS.FAILURE, fault.message));
      },
    });
    this.#sink = sink;
    await this.#pour(sink, this.#gather());
  }

  async #pour(sink: Sink, bytes: Buffer): Promise<void> {
    sink.at += bytes.length;
    if (sink.channel.write(bytes)) return;
    await new Promise<void>((resolve) => (sink.drained = resolve));
    sink.drained = undefined;
  }
}
