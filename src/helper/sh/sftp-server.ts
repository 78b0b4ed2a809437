import type { Fault } from '../../base/errors.js';
import type { Channel, ChannelEvents } from '../../mux/device.js';
import { SftpError, textOf } from './sftp-errors.js';
import { status } from './sftp-replies.js';
import { EXTENSIONS, SftpRequests } from './sftp-requests.js';
import { BadPacket, PacketReader, PacketSplitter, PacketWriter, REPLY, REQUEST, STATUS } from './sftp-wire.js';
import { SftpWorker, type RunScript } from './sftp-worker.js';

/** Requests under way before the client has to wait. */
const PENDING_LIMIT = 256;
/** Answers that the client has not taken before further ones wait, in bytes. */
const UNSENT_LIMIT_BYTES = 2 * 1024 * 1024;

/**
 * Before every script: names that are no whole paths begin at the home, complaints are in English, and N is
 * the line end within names.
 */
const BEGIN = Buffer.from("export LC_ALL=C\nN='\n'\ncd \"$HOME\" || cd /\n");

/**
 * An SFTP version 3 server on this side of the link for devices without an sftp-server: every request
 * becomes a line for a sh on the device, file contents flow through channels of their own.
 */
export class SftpServer implements Channel {
  readonly #events: ChannelEvents;
  readonly #splitter = new PacketSplitter();
  readonly #worker: SftpWorker;
  readonly #requests: SftpRequests;
  #opened = false;
  #pending = 0;
  #unsent = 0;
  #waiting: (() => void)[] = [];
  #blocked = false;
  #inputEnded = false;
  #over = false;
  /** Replies leave in the order of the requests, as from OpenSSH's server. */
  #tail: Promise<void> = Promise.resolve();

  constructor(runScript: RunScript, events: ChannelEvents, device: { blocks: boolean; stat: boolean }) {
    this.#events = events;
    const run: RunScript = (script, own) => runScript(Buffer.concat([BEGIN, script]), own);
    this.#worker = new SftpWorker(run, (fault) => {
      this.#end(fault);
    });
    this.#requests = new SftpRequests(run, this.#worker, device);
    this.#worker.greeting().then(
      ({ output }) => {
        this.#requests.umask = Number.parseInt(output.toString('latin1').trim(), 8) || 0;
        this.#opened = true;
        if (!this.#over) events.opened();
      },
      () => undefined,
    );
  }

  write(bytes: Buffer): boolean {
    if (this.#over || this.#inputEnded) return true;
    try {
      for (const packet of this.#splitter.feed(Buffer.from(bytes))) this.#accept(packet);
    } catch (error) {
      if (!(error instanceof BadPacket)) throw error;
      // As sshd's server: a stream that cannot be understood any more is closed.
      this.#end(undefined);
      return true;
    }
    if (this.#pending >= PENDING_LIMIT) this.#blocked = true;
    return !this.#blocked;
  }

  end(): void {
    if (this.#inputEnded) return;
    this.#inputEnded = true;
    void this.#tail.then(() => {
      this.#end(undefined);
    });
  }

  consumed(bytes: number): void {
    this.#unsent -= bytes;
    if (this.#unsent < UNSENT_LIMIT_BYTES) for (const wake of this.#waiting.splice(0)) wake();
  }

  closeOutput(): void {
    this.close();
  }

  resize(): void {
    // A subsystem has no window.
  }

  signal(): void {
    this.close();
  }

  close(): void {
    this.#end(undefined);
  }

  #accept(packet: Buffer): void {
    const reader = new PacketReader(packet);
    const type = reader.byte();
    if (type === REQUEST.INIT) {
      const version = new PacketWriter(REPLY.VERSION).uint32(3);
      for (const [name, value] of EXTENSIONS) version.string(name).string(value);
      this.#reply(version);
      return;
    }
    const id = reader.uint32();
    this.#pending += 1;
    const work = this.#requests.answer(type, id, reader).catch((error: unknown) => {
      if (error instanceof SftpError) return status(id, error.status, error.message);
      if (error instanceof BadPacket) return status(id, STATUS.BAD_MESSAGE, textOf(STATUS.BAD_MESSAGE));
      return status(id, STATUS.FAILURE, error instanceof Error ? error.message : 'Failure');
    });
    this.#tail = this.#tail.then(async () => {
      const reply = await work;
      if (this.#unsent >= UNSENT_LIMIT_BYTES) await new Promise<void>((resolve) => this.#waiting.push(resolve));
      this.#pending -= 1;
      this.#reply(reply);
      if (this.#blocked && this.#pending < PENDING_LIMIT / 2) {
        this.#blocked = false;
        this.#events.drain();
      }
    });
  }

  #reply(packet: PacketWriter): void {
    if (this.#over) return;
    const bytes = packet.finish();
    this.#unsent += bytes.length;
    this.#events.data('out', bytes);
  }

  #end(fault: Fault | undefined): void {
    if (this.#over) return;
    this.#over = true;
    for (const wake of this.#waiting.splice(0)) wake();
    if (fault !== undefined) this.#requests.handles.release();
    // What a client was told to be written is, also when it has gone since.
    void this.#requests.handles.finish().then(() => {
      this.#requests.handles.release();
      this.#worker.end();
    });
    if (!this.#opened) {
      if (fault !== undefined) {
        this.#events.refused({ code: 'resource', message: fault.message });
        return;
      }
      // The client has gone before the worker was there.
      this.#events.opened();
    }
    if (fault === undefined) {
      this.#events.outcome({ kind: 'status', status: 0 });
      this.#events.eof();
    }
    this.#events.closed(fault);
  }
}
