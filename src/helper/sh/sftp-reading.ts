import type { Channel } from '../../mux/device.js';
import { SftpError } from './sftp-errors.js';
import { remember, Sequence } from './sftp-sequence.js';
import { STATUS } from './sftp-wire.js';
import { pathWord, shell, type RunScript, type SftpWorker } from './sftp-worker.js';
import { present, type Named } from './sftp-writing.js';

/** First part of a file, fetched together with opening it; small files need nothing else. */
export const FIRST_BYTES = 32 * 1024;
/** Block size of streams; they begin at a multiple of it. */
const BLOCK_BYTES = 32 * 1024;
/** Block size of a single read. */
const PAGE_BYTES = 4096;
/** A read so little ahead of the stream waits for it; one further away is done on its own. */
const SKIP_BYTES = 256 * 1024;
/** Bytes read ahead may be given out for so long after the read before; a later one looks again. */
const FRESH_MS = 2_000;

/** Bytes from `at` on, at hand or still coming in. */
interface Stream {
  /** undefined for the part that came with opening the file. */
  channel: Channel | undefined;
  /** Offset in the file of the first byte held. */
  at: number;
  parts: Buffer[];
  bytes: number;
  /** Nothing more comes in: the file's end, unless it failed or `partial` is set. */
  ended: boolean;
  partial: boolean;
  failed: SftpError | undefined;
  /** When the end of the file was told from it. */
  endTold: number | undefined;
  wake: () => void;
}

/**
 * A file open for reading. What is read in order streams ahead of the reader; a read elsewhere is done
 * on its own by the worker. What was fetched early is given out once, and only while it is fresh: a
 * file that changes is seen to change, as with OpenSSH, who reads when it is asked.
 */
export class ReadFile {
  readonly #run: RunScript;
  readonly #worker: SftpWorker;
  readonly #file: Named;
  /** Neither file nor folder: can be read only once, and in order. */
  readonly #special: boolean;
  readonly #sequence = new Sequence();
  #stream: Stream | undefined;
  /** When the last read was answered. */
  #usedAt = performance.now();
  /** Where a read would be the second in order. */
  #next = 0;

  /** `whole`: the first part is all there is. */
  constructor(run: RunScript, worker: SftpWorker, file: Named, opened: { first: Buffer; whole: boolean; special: boolean }) {
    this.#run = run;
    this.#worker = worker;
    this.#file = file;
    this.#special = opened.special;
    const { first, whole } = opened;
    if (first.length === 0 && !whole) return;
    this.#stream = { channel: undefined, at: 0, parts: [first], bytes: first.length, ended: true, partial: !whole, failed: undefined, endTold: undefined, wake: () => undefined };
  }

  /** Up to `length` bytes from `offset`; empty at the end of the file. */
  read(offset: number, length: number): Promise<Buffer> {
    const askedAt = performance.now();
    return this.#sequence.run(async () => {
      present(this.#file);
      const bytes = await this.#read(offset, length, askedAt);
      this.#usedAt = performance.now();
      this.#next = offset + bytes.length;
      return bytes;
    });
  }

  /** What was read ahead is not true any more. */
  forget(): void {
    if (!this.#special) this.close();
  }

  close(): void {
    this.#stream?.channel?.close();
    this.#stream = undefined;
  }

  async #read(offset: number, length: number, askedAt: number): Promise<Buffer> {
    const stream = this.#stream;
    if (stream !== undefined && this.#serves(stream, offset, askedAt)) {
      const bytes = await this.#from(stream, offset, length);
      this.#next = offset + bytes.length;
      const left = length - bytes.length;
      // Some clients take a short answer for the end of the file.
      return stream.partial && left > 0 ? Buffer.concat([bytes, await this.#read(offset + bytes.length, left, askedAt)]) : bytes;
    }
    this.close();
    // A stream for somebody who reads now and then would fetch far more than is read.
    const inOrder = offset === this.#next && askedAt <= this.#usedAt + FRESH_MS;
    return inOrder || this.#special ? await this.#from(this.#start(offset), offset, length) : await this.#alone(offset, length);
  }

  #serves(stream: Stream, offset: number, askedAt: number): boolean {
    if (this.#special) return true;
    if (askedAt > this.#usedAt + FRESH_MS || offset < stream.at) return false;
    if (!stream.ended) return offset <= stream.at + stream.bytes + SKIP_BYTES;
    if (offset < stream.at + stream.bytes) return true;
    // The end was true when it was seen: for one answer, and for who asked before that.
    return !stream.partial && stream.failed === undefined && (stream.endTold === undefined || askedAt <= stream.endTold);
  }

  async #from(stream: Stream, offset: number, length: number): Promise<Buffer> {
    const skip = (): void => {
      if (stream.at < offset) take(stream, offset - stream.at);
    };
    for (skip(); stream.bytes < length + (offset - stream.at) && !stream.ended; skip()) {
      await new Promise<void>((resolve) => (stream.wake = resolve));
    }
    if (stream.failed !== undefined && stream.bytes === 0) throw stream.failed;
    const bytes = take(stream, length);
    if (bytes.length === 0) stream.endTold ??= performance.now();
    return bytes;
  }

  /** One read by the worker: blocks around the bytes, and the bytes out of them. */
  async #alone(offset: number, length: number): Promise<Buffer> {
    const first = Math.floor(offset / PAGE_BYTES);
    const count = Math.ceil((offset + length) / PAGE_BYTES) - first;
    const blocks = await this.#worker.output(shell`dd if=${pathWord(this.#file.path)} bs=${PAGE_BYTES} skip=${first} count=${count}`);
    const skip = offset - first * PAGE_BYTES;
    return blocks.subarray(skip, skip + length);
  }

  #start(offset: number): Stream {
    const skip = this.#special ? 0 : Math.floor(offset / BLOCK_BYTES);
    const script = this.#special ? shell`exec cat ${pathWord(this.#file.path)}` : shell`exec dd if=${pathWord(this.#file.path)} bs=${BLOCK_BYTES} skip=${skip}`;
    const errors: Buffer[] = [];
    const stream: Stream = { channel: undefined, at: skip * BLOCK_BYTES, parts: [], bytes: 0, ended: false, partial: false, failed: undefined, endTold: undefined, wake: () => undefined };
    const end = (failed?: SftpError): void => {
      stream.failed ??= failed;
      stream.ended = true;
      stream.wake();
    };
    const channel = this.#run(script, {
      opened: () => undefined,
      refused: (reason) => {
        end(new SftpError(STATUS.FAILURE, reason.message));
      },
      data: (kind, bytes) => {
        if (kind === 'err') {
          remember(errors, bytes);
          channel.consumed(bytes.length);
          return;
        }
        stream.parts.push(bytes);
        stream.bytes += bytes.length;
        stream.wake();
      },
      drain: () => undefined,
      outcome: (outcome) => {
        if (outcome.kind !== 'status' || outcome.status !== 0) stream.failed = SftpError.of(Buffer.concat(errors));
      },
      eof: () => undefined,
      closed: (fault) => {
        end(fault === undefined ? undefined : new SftpError(STATUS.FAILURE, fault.message));
      },
    });
    stream.channel = channel;
    this.#stream = stream;
    return stream;
  }
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
  if (bytes > 0) stream.channel?.consumed(bytes);
  return out.length === 1 ? (out[0] as Buffer) : Buffer.concat(out);
}
