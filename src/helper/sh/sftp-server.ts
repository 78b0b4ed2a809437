import type { Fault } from '../../base/errors.js';
import type { Channel, ChannelEvents } from '../../mux/device.js';
import { FIRST_BYTES, ReadFile, SftpError, WriteFile } from './sftp-file.js';
import { SftpPaths, type Entry } from './sftp-paths.js';
import { longName } from './sftp-stat.js';
import { BadPacket, OPEN_FLAG, PacketReader, PacketSplitter, PacketWriter, REPLY, REQUEST, STATUS } from './sftp-wire.js';
import { SftpWorker, type RunScript } from './sftp-worker.js';

/** Files and directories open at once; each may hold a channel. */
const HANDLE_LIMIT = 100;
/** Requests under way before the client has to wait. */
const PENDING_LIMIT = 256;
/** Answers that the client has not taken before further ones wait, in bytes. */
const UNSENT_LIMIT_BYTES = 2 * 1024 * 1024;
/** Most bytes of one read, and names of one directory answer. */
const READ_LIMIT_BYTES = 64 * 1024;
const NAMES_PER_REPLY = 100;

/** Requests that a handle keeps in order by itself; all others first see to it that what was written is there. */
const OWN_ORDER: readonly number[] = [REQUEST.READ, REQUEST.WRITE, REQUEST.CLOSE, REQUEST.READDIR];

const EXTENSIONS: readonly (readonly [name: string, version: string])[] = [
  ['posix-rename@openssh.com', '1'], ['statvfs@openssh.com', '2'], ['hardlink@openssh.com', '1'], ['fsync@openssh.com', '1'],
  ['lsetstat@openssh.com', '1'], ['limits@openssh.com', '1'], ['expand-path@openssh.com', '1'],
];

type Handle =
  | { kind: 'file'; path: Buffer; reader: ReadFile | undefined; writer: WriteFile | undefined }
  | { kind: 'directory'; entries: Entry[]; at: number };

/**
 * An SFTP version 3 server on this side of the link for devices without an sftp-server: every request
 * becomes a line for a sh on the device, file contents flow through channels of their own.
 */
export class SftpServer implements Channel {
  readonly #run: RunScript;
  readonly #events: ChannelEvents;
  readonly #blocks: boolean;
  readonly #splitter = new PacketSplitter();
  readonly #handles = new Map<number, Handle>();
  readonly #worker: SftpWorker;
  readonly #paths: SftpPaths;
  #nextHandle = 1;
  #umask = 0o022;
  #opened = false;
  #pending = 0;
  #unsent = 0;
  #waiting: (() => void)[] = [];
  #blocked = false;
  #inputEnded = false;
  #over = false;
  /** Replies leave in the order of the requests, as from OpenSSH's server. */
  #tail: Promise<void> = Promise.resolve();

  constructor(run: RunScript, events: ChannelEvents, device: { blocks: boolean; stat: boolean }) {
    this.#run = run;
    this.#events = events;
    this.#blocks = device.blocks;
    this.#worker = new SftpWorker(run, (fault) => {
      this.#end(fault);
    });
    this.#paths = new SftpPaths(this.#worker, device.stat);
    this.#worker.greeting().then(
      ({ output }) => {
        this.#umask = Number.parseInt(output.toString('latin1').trim(), 8) || 0;
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
    this.#blocked = this.#pending >= PENDING_LIMIT;
    return !this.#blocked;
  }

  end(): void {
    if (this.#inputEnded) return;
    this.#inputEnded = true;
    void this.#tail.then(async () => {
      for (const handle of this.#handles.values()) if (handle.kind === 'file') await handle.writer?.flush().catch(() => undefined);
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
    const work = this.#answer(type, id, reader).catch((error: unknown) => {
      if (error instanceof SftpError) return status(id, error.status, error.message);
      if (error instanceof BadPacket) return status(id, STATUS.BAD_MESSAGE, error.message);
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
    for (const handle of this.#handles.values()) this.#release(handle);
    for (const wake of this.#waiting.splice(0)) wake();
    this.#worker.end();
    if (!this.#opened) {
      this.#events.refused({ code: 'resource', message: fault?.message ?? 'The file worker on the device did not start.' });
      return;
    }
    if (fault === undefined) {
      this.#events.outcome({ kind: 'status', status: 0 });
      this.#events.eof();
    }
    this.#events.closed(fault);
  }

  #release(handle: Handle): void {
    if (handle.kind !== 'file') return;
    handle.reader?.close();
    handle.writer?.close();
  }

  async #answer(type: number, id: number, packet: PacketReader): Promise<PacketWriter> {
    const ok = (): PacketWriter => status(id, STATUS.OK, 'Success');
    const paths = this.#paths;
    if (!OWN_ORDER.includes(type)) await this.#settle();
    switch (type) {
      case REQUEST.OPEN:
        return await this.#open(id, packet);
      case REQUEST.CLOSE: {
        const key = packet.string();
        const handle = this.#handle(key);
        this.#handles.delete(key.readUInt32BE());
        try {
          if (handle.kind === 'file') await handle.writer?.flush();
        } finally {
          this.#release(handle);
        }
        return ok();
      }
      case REQUEST.READ: {
        const { reader } = this.#file(packet.string());
        const [offset, length] = [packet.uint64(), Math.min(packet.uint32(), READ_LIMIT_BYTES)];
        if (reader === undefined) throw new SftpError(STATUS.PERMISSION_DENIED, 'The file is not open for reading.');
        const bytes = await reader.read(offset, length);
        if (bytes.length === 0 && length > 0) return status(id, STATUS.EOF, 'End of file');
        return new PacketWriter(REPLY.DATA).uint32(id).string(bytes);
      }
      case REQUEST.WRITE: {
        const { writer } = this.#file(packet.string());
        const offset = packet.uint64();
        if (writer === undefined) throw new SftpError(STATUS.PERMISSION_DENIED, 'The file is not open for writing.');
        await writer.write(offset, packet.string());
        return ok();
      }
      case REQUEST.LSTAT:
      case REQUEST.STAT: {
        const path = packet.string();
        return attrs(id, (await paths.stat(path, type === REQUEST.STAT)).attrs);
      }
      case REQUEST.FSTAT: {
        const { path } = this.#file(packet.string());
        return attrs(id, (await paths.stat(path, true)).attrs);
      }
      case REQUEST.SETSTAT:
      case REQUEST.FSETSTAT: {
        const path = type === REQUEST.SETSTAT ? packet.string() : this.#file(packet.string()).path;
        const changes = packet.attrs();
        await paths.setAttrs(path, changes, true);
        return ok();
      }
      case REQUEST.OPENDIR: {
        const entries = await paths.list(packet.string());
        return this.#newHandle(id, { kind: 'directory', entries, at: 0 });
      }
      case REQUEST.READDIR:
        return this.#readDirectory(id, this.#handle(packet.string()));
      case REQUEST.REMOVE:
        await paths.remove(packet.string());
        return ok();
      case REQUEST.MKDIR: {
        const path = packet.string();
        await paths.makeDirectory(path, this.#masked(packet.attrs().mode));
        return ok();
      }
      case REQUEST.RMDIR:
        await paths.removeDirectory(packet.string());
        return ok();
      case REQUEST.REALPATH:
        return name(id, await paths.realPath(packet.string()));
      case REQUEST.RENAME: {
        const [from, to] = [packet.string(), packet.string()];
        await paths.rename(from, to, false);
        return ok();
      }
      case REQUEST.READLINK:
        return name(id, await paths.readLink(packet.string()));
      case REQUEST.SYMLINK: {
        // OpenSSH's order, which every client sends to a server that looks like it: target first.
        const [target, link] = [packet.string(), packet.string()];
        await paths.symlink(target, link);
        return ok();
      }
      case REQUEST.EXTENDED:
        return await this.#extended(id, packet.string().toString('latin1'), packet);
      default:
        return status(id, STATUS.OP_UNSUPPORTED, 'Operation unsupported');
    }
  }

  async #extended(id: number, request: string, packet: PacketReader): Promise<PacketWriter> {
    const ok = (): PacketWriter => status(id, STATUS.OK, 'Success');
    switch (request) {
      case 'posix-rename@openssh.com': {
        const [from, to] = [packet.string(), packet.string()];
        await this.#paths.rename(from, to, true);
        return ok();
      }
      case 'hardlink@openssh.com': {
        const [from, to] = [packet.string(), packet.string()];
        await this.#paths.hardlink(from, to);
        return ok();
      }
      case 'fsync@openssh.com':
        await this.#file(packet.string()).writer?.flush();
        await this.#paths.sync();
        return ok();
      case 'lsetstat@openssh.com': {
        const path = packet.string();
        await this.#paths.setAttrs(path, packet.attrs(), false);
        return ok();
      }
      case 'statvfs@openssh.com': {
        const [size = 0, fragment = 0, blocks = 0, free = 0, available = 0, files = 0, freeFiles = 0, nameMax = 255] = await this.#paths.fileSystem(packet.string());
        const reply = new PacketWriter(REPLY.EXTENDED).uint32(id).uint64(size).uint64(fragment || size);
        for (const value of [blocks, free, available, files, freeFiles, freeFiles, 0, 0, nameMax]) reply.uint64(value);
        return reply;
      }
      case 'limits@openssh.com':
        return new PacketWriter(REPLY.EXTENDED).uint32(id).uint64(256 * 1024).uint64(READ_LIMIT_BYTES).uint64(READ_LIMIT_BYTES).uint64(HANDLE_LIMIT);
      case 'expand-path@openssh.com': {
        const path = packet.string().toString('latin1').replace(/^~\/?/, './');
        return name(id, await this.#paths.realPath(Buffer.from(path, 'latin1')));
      }
      default:
        return status(id, STATUS.OP_UNSUPPORTED, 'Operation unsupported');
    }
  }

  async #open(id: number, packet: PacketReader): Promise<PacketWriter> {
    const [path, flags] = [packet.string(), packet.uint32()];
    const mode = this.#masked(packet.attrs().mode);
    const has = (flag: number): boolean => (flags & flag) !== 0;
    if (this.#handles.size >= HANDLE_LIMIT) throw new SftpError(STATUS.FAILURE, 'Too many open files');
    let writer: WriteFile | undefined;
    if (has(OPEN_FLAG.WRITE) || has(OPEN_FLAG.APPEND)) {
      await this.#paths.create(path, { create: has(OPEN_FLAG.CREAT), truncate: has(OPEN_FLAG.TRUNC), exclusive: has(OPEN_FLAG.CREAT) && has(OPEN_FLAG.EXCL), mode });
      writer = new WriteFile(this.#run, this.#worker, path, has(OPEN_FLAG.APPEND), this.#blocks);
    }
    let reader: ReadFile | undefined;
    if (has(OPEN_FLAG.READ)) {
      const { stat, first } = await this.#paths.open(path, FIRST_BYTES);
      reader = writer === undefined ? new ReadFile(this.#run, path, first, first.length > 0 && first.length === stat.attrs.size) : new ReadFile(this.#run, path, Buffer.alloc(0), false);
    }
    return this.#newHandle(id, { kind: 'file', path, reader, writer });
  }

  #readDirectory(id: number, handle: Handle): PacketWriter {
    if (handle.kind !== 'directory') throw new SftpError(STATUS.FAILURE, 'Not a directory');
    const entries = handle.entries.slice(handle.at, handle.at + NAMES_PER_REPLY);
    handle.at += entries.length;
    if (entries.length === 0) return status(id, STATUS.EOF, 'End of file');
    const reply = new PacketWriter(REPLY.NAME).uint32(id).uint32(entries.length);
    for (const entry of entries) reply.string(entry.name).string(longName(entry.name, entry.stat)).attrs(entry.stat.attrs);
    return reply;
  }

  #newHandle(id: number, handle: Handle): PacketWriter {
    const number = this.#nextHandle;
    this.#nextHandle += 1;
    this.#handles.set(number, handle);
    const key = Buffer.alloc(4);
    key.writeUInt32BE(number);
    return new PacketWriter(REPLY.HANDLE).uint32(id).string(key);
  }

  #handle(key: Buffer): Handle {
    const handle = key.length === 4 ? this.#handles.get(key.readUInt32BE()) : undefined;
    if (handle === undefined) throw new SftpError(STATUS.FAILURE, 'No such handle');
    return handle;
  }

  #file(key: Buffer): Extract<Handle, { kind: 'file' }> {
    const handle = this.#handle(key);
    if (handle.kind !== 'file') throw new SftpError(STATUS.FAILURE, 'Not a file');
    return handle;
  }

  #masked(mode: number | undefined): number | undefined {
    return mode === undefined ? undefined : mode & 0o7777 & ~this.#umask;
  }

  /** What was written is to be seen by what looks at files by name. Failures show at close. */
  async #settle(): Promise<void> {
    for (const handle of this.#handles.values()) {
      if (handle.kind === 'file' && handle.writer?.dirty === true) await handle.writer.settle();
    }
  }
}

function status(id: number, code: number, message: string): PacketWriter {
  return new PacketWriter(REPLY.STATUS).uint32(id).uint32(code).string(message).string('en');
}

function attrs(id: number, value: Parameters<PacketWriter['attrs']>[0]): PacketWriter {
  return new PacketWriter(REPLY.ATTRS).uint32(id).attrs(value);
}

function name(id: number, path: Buffer): PacketWriter {
  return new PacketWriter(REPLY.NAME).uint32(id).uint32(1).string(path).string(path).attrs({});
}
