import type { Fault } from '../../base/errors.js';
import type { Channel } from '../../mux/device.js';
import { writeAt } from './sftp-changes.js';
import { SftpError } from './sftp-errors.js';
import { remember, Sequence } from './sftp-sequence.js';
import { STATUS } from './sftp-wire.js';
import { pathWord, shell, type RunScript, type SftpWorker } from './sftp-worker.js';

/** Written bytes collected before a channel is opened for them. */
const COLLECT_BYTES = 24 * 1024;

/** An open file. Its name changes when the client renames it. */
export interface Named {
  path: Buffer;
  /** The client removed or replaced it: the name is nobody's, or another file's. */
  gone?: boolean;
}

/** Rejects what cannot be done to a file that has no name any more. */
export function present(file: Named): Buffer {
  if (file.gone === true) throw goneError();
  return file.path;
}

function goneError(): SftpError {
  return new SftpError(STATUS.FAILURE, 'The file was removed or replaced while it was open.');
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
  readonly #file: Named;
  readonly append: boolean;
  /** Mode that takes the right to write away: the file gets it when it is closed, since it is written by name. */
  closingMode: number | undefined;
  /** Whether the device's dd can read exactly so many bytes. */
  readonly #blocks: boolean;
  readonly #sequence = new Sequence();
  #collected: Buffer[] = [];
  #collectedBytes = 0;
  #collectedAt = 0;
  #sink: Sink | undefined;
  /** What went wrong, until it was told. */
  #failed: SftpError | undefined;
  #told = false;
  /** Writes asked for and not done with. */
  #under = 0;

  constructor(run: RunScript, worker: SftpWorker, file: Named, append: boolean, blocks: boolean) {
    this.#run = run;
    this.#worker = worker;
    this.#file = file;
    this.append = append;
    this.#blocks = blocks;
  }

  get dirty(): boolean {
    return this.#under > 0 || this.#collectedBytes > 0 || this.#sink !== undefined;
  }

  async write(offset: number, bytes: Buffer): Promise<void> {
    this.#under += 1;
    try {
      await this.#write(offset, bytes);
    } finally {
      this.#under -= 1;
    }
  }

  #write(offset: number, bytes: Buffer): Promise<void> {
    return this.#sequence.run(async () => {
      present(this.#file);
      if (this.#failed !== undefined) {
        this.#told = true;
        throw this.#failed;
      }
      if (this.#sink !== undefined) {
        if (this.append || offset === this.#sink.at) {
          await this.#pour(this.#sink, bytes);
          return;
        }
        await this.#settle();
      }
      const follows = this.#collectedBytes === 0 || this.append || offset === this.#collectedAt + this.#collectedBytes;
      if (!follows) await this.#settle();
      if (this.#collectedBytes === 0) this.#collectedAt = offset;
      this.#collected.push(Buffer.from(bytes));
      this.#collectedBytes += bytes.length;
      if (this.#collectedBytes > COLLECT_BYTES) await this.#startSink();
    });
  }

  /** Resolves when everything written is in the file; rejects with what went wrong and no write has told. */
  flush(): Promise<void> {
    return this.#sequence.run(async () => {
      await this.#settle();
      const [failed, told] = [this.#failed, this.#told];
      this.#failed = undefined;
      this.#told = false;
      if (failed !== undefined && !told) throw failed;
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
    if (this.#collectedBytes > 0 && this.#file.gone === true) {
      this.#gather();
      this.#failed ??= goneError();
    }
    if (this.#collectedBytes > 0) {
      if (this.#blocks) {
        const [at, bytes] = [this.#collectedAt, this.#gather()];
        const name = pathWord(this.#file.path);
        // Exactly these bytes are taken from the worker's input, whatever becomes of them: dd reads before it
        // writes, but opens what it writes to before it reads.
        const write = this.append ? shell`cat >>${name}` : writeAt(name, at);
        const answer = await this.#worker.ask(shell`{ dd bs=${bytes.length} count=1 iflag=fullblock 2>/dev/null | { ${write}; }; } 2>&1`, bytes);
        if (answer.status !== 0) this.#failed ??= SftpError.of(answer.output);
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
    const path = pathWord(this.#file.path);
    const script = this.append ? shell`exec cat >>${path}` : writeAt(path, at, 'exec ');
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
        if (outcome.kind !== 'status' || outcome.status !== 0) failed = SftpError.of(Buffer.concat(errors));
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
