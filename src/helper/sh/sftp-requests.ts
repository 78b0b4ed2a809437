import { SftpChanges } from './sftp-changes.js';
import { SftpError, textOf } from './sftp-errors.js';
import { SftpPaths, type Entry } from './sftp-paths.js';
import { FIRST_BYTES, ReadFile } from './sftp-reading.js';
import { longName } from './sftp-stat.js';
import { BadPacket, OPEN_FLAG, PacketReader, PacketWriter, REPLY, REQUEST, STATUS } from './sftp-wire.js';
import { shell, type RunScript, type SftpWorker } from './sftp-worker.js';
import { WriteFile, type Named } from './sftp-writing.js';

/** Files and directories open at once; each may hold a channel. */
const HANDLE_LIMIT = 100;
/** Most bytes of one read, and names of one directory answer. */
const READ_LIMIT_BYTES = 64 * 1024;
const NAMES_PER_REPLY = 100;
/** Most bytes of a packet as OpenSSH tells it. */
const PACKET_BYTES = 256 * 1024;
/** Step of copy-data: OpenSSH forgives an end of the file in the last one. */
const COPY_STEP_BYTES = 64 * 1024;
/** Longest path and its end, as the system has it; a shell makes it shorter before it asks. */
const PATH_BYTES = 4096;
const SLASH = 0x2f;
/** Names of users and groups kept, each. */
const NAMES_KEPT = 1000;
/** File types in st_mode. */
const [TYPE_BITS, REGULAR, FOLDER] = [0o170000, 0o100000, 0o040000];

/** Requests that a handle keeps in order by itself; all others first see to it that what was written is there. */
const OWN_ORDER: readonly number[] = [REQUEST.READ, REQUEST.WRITE, REQUEST.CLOSE, REQUEST.READDIR];
/** Requests after which what was read ahead may be wrong. */
const CHANGING: readonly number[] = [REQUEST.WRITE, REQUEST.SETSTAT, REQUEST.FSETSTAT, REQUEST.OPEN, REQUEST.EXTENDED];

/** Names and versions, in OpenSSH's order. */
export const EXTENSIONS: readonly (readonly [name: string, version: string])[] = [
  ['posix-rename@openssh.com', '1'], ['statvfs@openssh.com', '2'], ['fstatvfs@openssh.com', '2'], ['hardlink@openssh.com', '1'],
  ['fsync@openssh.com', '1'], ['lsetstat@openssh.com', '1'], ['limits@openssh.com', '1'], ['expand-path@openssh.com', '1'],
  ['copy-data', '1'], ['home-directory', '1'], ['users-groups-by-id@openssh.com', '1'],
];

type Handle =
  | { kind: 'file'; file: Named; reader: ReadFile | undefined; writer: WriteFile | undefined }
  | { kind: 'directory'; entries: Entry[]; at: number };
type FileHandle = Extract<Handle, { kind: 'file' }>;

/** What each request does, and the handles of one session. Files are reached by name, for want of a process that holds them open. */
export class SftpRequests {
  readonly #run: RunScript;
  readonly #worker: SftpWorker;
  readonly #blocks: boolean;
  readonly #handles = new Map<number, Handle>();
  readonly #paths: SftpPaths;
  readonly #changes: SftpChanges;
  readonly #users = new Map<number, string>();
  readonly #groups = new Map<number, string>();
  #nextHandle = 0;
  umask = 0o022;

  constructor(run: RunScript, worker: SftpWorker, device: { blocks: boolean; stat: boolean }) {
    this.#run = run;
    this.#worker = worker;
    this.#blocks = device.blocks;
    this.#paths = new SftpPaths(worker, device.stat);
    this.#changes = new SftpChanges(worker, device.stat);
  }

  /** The client has gone: nothing is read any more, and what was written is to be there. */
  async finish(): Promise<void> {
    const files = this.#files();
    for (const { reader } of files) reader?.close();
    await Promise.all(files.map(({ writer }) => writer?.flush().catch(() => undefined)));
  }

  release(): void {
    for (const handle of this.#handles.values()) release(handle);
    this.#handles.clear();
  }

  /** Rejects with SftpError or BadPacket. */
  async answer(type: number, id: number, packet: PacketReader): Promise<PacketWriter> {
    const paths = this.#paths;
    const changes = this.#changes;
    if (CHANGING.includes(type)) this.#forget();
    if (!OWN_ORDER.includes(type)) await this.#settle();
    switch (type) {
      case REQUEST.OPEN:
        return await this.#open(id, packet);
      case REQUEST.CLOSE:
        await this.#close(packet.string());
        return ok(id);
      case REQUEST.READ: {
        const { file, reader, writer } = this.#file(packet.string());
        const [offset, length] = [where(packet), Math.min(packet.uint32(), READ_LIMIT_BYTES)];
        if (reader === undefined) throw new SftpError(STATUS.NO_SUCH_FILE);
        if (writer?.dirty === true || this.#isWritten(file)) await this.#settle();
        if (length === 0) return new PacketWriter(REPLY.DATA).uint32(id).string('');
        const bytes = await reader.read(offset, length);
        return bytes.length === 0 ? status(id, STATUS.EOF) : new PacketWriter(REPLY.DATA).uint32(id).string(bytes);
      }
      case REQUEST.WRITE: {
        const { writer } = this.#file(packet.string());
        const at = packet.uint64();
        if (writer === undefined) throw new SftpError(STATUS.NO_SUCH_FILE);
        if (!writer.append && !Number.isSafeInteger(at)) throw new SftpError(STATUS.BAD_MESSAGE);
        await writer.write(at, packet.string());
        return ok(id);
      }
      case REQUEST.LSTAT:
      case REQUEST.STAT:
        return attrs(id, (await paths.stat(named(packet), type === REQUEST.STAT)).attrs);
      case REQUEST.FSTAT:
        return attrs(id, (await paths.stat(this.#file(packet.string()).file.path, true)).attrs);
      case REQUEST.SETSTAT:
      case REQUEST.FSETSTAT: {
        const handle = type === REQUEST.FSETSTAT ? this.#file(packet.string()) : undefined;
        const path = handle?.file.path ?? packet.string();
        const wanted = packet.attrs();
        // As ftruncate(2).
        if (handle !== undefined && handle.writer === undefined && wanted.size !== undefined) throw new SftpError(STATUS.BAD_MESSAGE);
        if (Object.keys(wanted).length > 0) await changes.setAttrs(present(path), wanted, true);
        return ok(id);
      }
      case REQUEST.OPENDIR: {
        const entries = await paths.list(named(packet));
        for (const { stat } of entries) this.#learn(stat.attrs, stat.user, stat.group);
        return this.#newHandle(id, { kind: 'directory', entries, at: 0 });
      }
      case REQUEST.READDIR:
        return this.#readDirectory(id, this.#handle(packet.string()));
      case REQUEST.REMOVE:
        await changes.remove(named(packet));
        return ok(id);
      case REQUEST.MKDIR:
        await changes.makeDirectory(named(packet), this.#masked(packet.attrs().mode));
        return ok(id);
      case REQUEST.RMDIR:
        await changes.removeDirectory(named(packet));
        return ok(id);
      case REQUEST.REALPATH:
        return name(id, await paths.realPath(short(packet.string())));
      case REQUEST.RENAME:
        await this.#rename(named(packet), named(packet), false);
        return ok(id);
      case REQUEST.READLINK:
        return name(id, await paths.readLink(named(packet)));
      case REQUEST.SYMLINK:
        // OpenSSH's order, which every client sends to a server that looks like it: target first.
        await changes.symlink(packet.string(), named(packet));
        return ok(id);
      case REQUEST.EXTENDED:
        return await this.#extended(id, packet.string().toString('latin1'), packet);
      default:
        throw new SftpError(STATUS.OP_UNSUPPORTED);
    }
  }

  async #extended(id: number, request: string, packet: PacketReader): Promise<PacketWriter> {
    const paths = this.#paths;
    switch (request) {
      case 'posix-rename@openssh.com':
        await this.#rename(named(packet), named(packet), true);
        return ok(id);
      case 'hardlink@openssh.com':
        await this.#changes.hardlink(named(packet), named(packet));
        return ok(id);
      case 'fsync@openssh.com': {
        const { file, writer } = this.#file(packet.string(), STATUS.NO_SUCH_FILE);
        await writer?.flush();
        await this.#changes.sync(file.path);
        return ok(id);
      }
      case 'lsetstat@openssh.com': {
        const path = packet.string();
        const wanted = packet.attrs();
        if (Object.keys(wanted).length > 0) await this.#changes.setAttrs(present(path), wanted, false);
        return ok(id);
      }
      case 'statvfs@openssh.com':
      case 'fstatvfs@openssh.com': {
        const path = request.startsWith('f') ? this.#file(packet.string()).file.path : named(packet);
        const [size = 0, fragment = 0, blocks = 0, free = 0, available = 0, files = 0, freeFiles = 0, nameMax = 255] = await paths.fileSystem(path);
        const reply = new PacketWriter(REPLY.EXTENDED).uint32(id).uint64(size).uint64(fragment || size);
        for (const value of [blocks, free, available, files, freeFiles, freeFiles, 0, 0, nameMax]) reply.uint64(value);
        return reply;
      }
      case 'limits@openssh.com':
        return new PacketWriter(REPLY.EXTENDED).uint32(id).uint64(PACKET_BYTES).uint64(READ_LIMIT_BYTES).uint64(READ_LIMIT_BYTES).uint64(HANDLE_LIMIT);
      case 'expand-path@openssh.com':
        return name(id, await paths.expand(short(packet.string())));
      case 'home-directory': {
        const user = packet.string().toString('latin1');
        const home = await paths.home(user);
        if (home === undefined) throw new SftpError(STATUS.FAILURE);
        return name(id, home);
      }
      case 'users-groups-by-id@openssh.com':
        return await this.#namesOf(id, numbers(packet.string()), numbers(packet.string()));
      case 'copy-data':
        await this.#copy(packet);
        return ok(id);
      default:
        throw new SftpError(STATUS.OP_UNSUPPORTED);
    }
  }

  async #open(id: number, packet: PacketReader): Promise<PacketWriter> {
    const [path, flags] = [named(packet), packet.uint32()];
    const mode = this.#masked(packet.attrs().mode);
    const has = (flag: number): boolean => (flags & flag) !== 0;
    if (this.#handles.size >= HANDLE_LIMIT) throw new SftpError(STATUS.FAILURE, 'Too many open files');
    // As OpenSSH: neither reading nor writing is reading.
    const write = has(OPEN_FLAG.WRITE);
    const read = has(OPEN_FLAG.READ) || !write;
    const [create, truncate] = [has(OPEN_FLAG.CREAT), has(OPEN_FLAG.TRUNC)];
    const steps: Buffer[] = [];
    if (write || create || truncate) steps.push(this.#changes.open(path, { write, create, truncate, exclusive: create && has(OPEN_FLAG.EXCL), mode }));
    // What is written meanwhile is not in what would be fetched now.
    const fetched = write ? 0 : FIRST_BYTES;
    if (read) steps.push(this.#paths.openForReading(path, Math.max(fetched, 1)));
    const output = await this.#worker.run(steps.length === 1 ? (steps[0] as Buffer) : shell`{ ${steps[0] as Buffer}; } && { ${steps[1] as Buffer}; }`);
    const file: Named = { path };
    let reader: ReadFile | undefined;
    if (read) {
      const { stat, first } = this.#paths.parseOpened(output);
      const type = stat.attrs.mode & TYPE_BITS;
      const opened = fetched === 0 ? { first: Buffer.alloc(0), whole: false } : { first, whole: type === REGULAR && first.length === stat.attrs.size };
      reader = new ReadFile(this.#run, this.#worker, file, { ...opened, special: type !== REGULAR && type !== FOLDER });
    }
    const writer = write ? new WriteFile(this.#run, this.#worker, file, has(OPEN_FLAG.APPEND), this.#blocks) : undefined;
    return this.#newHandle(id, { kind: 'file', file, reader, writer });
  }

  async #rename(from: Buffer, to: Buffer, replace: boolean): Promise<void> {
    await this.#changes.rename(from, to, replace);
    for (const { file } of this.#files()) {
      const below = file.path.subarray(from.length);
      if (file.path.subarray(0, from.length).equals(from) && (below.length === 0 || below[0] === SLASH)) file.path = Buffer.concat([to, below]);
    }
  }

  async #close(key: Buffer): Promise<void> {
    const handle = this.#handle(key, STATUS.NO_SUCH_FILE);
    this.#handles.delete(key.readUInt32BE());
    try {
      if (handle.kind === 'file') await handle.writer?.flush();
    } finally {
      release(handle);
    }
  }

  /** copy-data (draft-ietf-secsh-filexfer-extensions-00 section 7): size 0 means up to the end. */
  async #copy(packet: PacketReader): Promise<void> {
    const source = this.#file(packet.string());
    const [offset, bytes] = [where(packet), where(packet)];
    const target = this.#file(packet.string());
    const at = where(packet);
    if (source === target || source.file.path.equals(target.file.path)) throw new SftpError(STATUS.FAILURE);
    if (source.reader === undefined || target.writer === undefined) throw new SftpError(STATUS.NO_SUCH_FILE);
    const { size } = (await this.#paths.stat(source.file.path, true)).attrs;
    await this.#changes.copy(source.file.path, offset, bytes === 0 ? undefined : bytes, target.file.path, at);
    const steps = Math.ceil(Math.max(0, size - offset) / COPY_STEP_BYTES) + 1;
    if (bytes > steps * COPY_STEP_BYTES) throw new SftpError(STATUS.EOF);
  }

  #readDirectory(id: number, handle: Handle): PacketWriter {
    if (handle.kind !== 'directory') throw new SftpError(STATUS.FAILURE);
    const entries = handle.entries.slice(handle.at, handle.at + NAMES_PER_REPLY);
    handle.at += entries.length;
    if (entries.length === 0) return status(id, STATUS.EOF);
    const reply = new PacketWriter(REPLY.NAME).uint32(id).uint32(entries.length);
    for (const entry of entries) reply.string(entry.name).string(longName(entry.name, entry.stat)).attrs(entry.stat.attrs);
    return reply;
  }

  /** Clients ask for the names behind the numbers of a listing, which mostly had them. */
  async #namesOf(id: number, uids: readonly number[], gids: readonly number[]): Promise<PacketWriter> {
    const reply = new PacketWriter(REPLY.EXTENDED).uint32(id);
    for (const [database, known, ids] of [['passwd', this.#users, uids], ['group', this.#groups, gids]] as const) {
      const unknown = [...new Set(ids.filter((each) => !known.has(each)))].slice(0, NAMES_KEPT);
      if (unknown.length > 0) {
        const found = await this.#paths.names(database, unknown);
        for (const each of unknown) keep(known, each, found.get(each) ?? '');
      }
      const list = new PacketWriter(0);
      for (const each of ids) list.string(Buffer.from(known.get(each) ?? '', 'latin1'));
      reply.string(list.finish().subarray(5));
    }
    return reply;
  }

  #learn({ uid, gid }: { uid: number; gid: number }, user: string, group: string): void {
    if (user !== String(uid)) keep(this.#users, uid, user);
    if (group !== String(gid)) keep(this.#groups, gid, group);
  }

  #newHandle(id: number, handle: Handle): PacketWriter {
    const number = this.#nextHandle;
    this.#nextHandle += 1;
    this.#handles.set(number, handle);
    const key = Buffer.alloc(4);
    key.writeUInt32BE(number);
    return new PacketWriter(REPLY.HANDLE).uint32(id).string(key);
  }

  #handle(key: Buffer, problem: number = STATUS.FAILURE): Handle {
    const handle = key.length === 4 ? this.#handles.get(key.readUInt32BE()) : undefined;
    if (handle === undefined) throw new SftpError(problem);
    return handle;
  }

  #file(key: Buffer, problem: number = STATUS.FAILURE): FileHandle {
    const handle = this.#handle(key, problem);
    if (handle.kind !== 'file') throw new SftpError(problem);
    return handle;
  }

  #masked(mode: number | undefined): number | undefined {
    return mode === undefined ? undefined : mode & 0o7777 & ~this.umask;
  }

  #files(): FileHandle[] {
    return [...this.#handles.values()].filter((handle) => handle.kind === 'file');
  }

  #isWritten({ path }: Named): boolean {
    return this.#files().some(({ file, writer }) => writer?.dirty === true && file.path.equals(path));
  }

  /** Readers of files that are written in this session fetch anew what they read. */
  #forget(): void {
    const files = this.#files();
    for (const { file, reader } of files) {
      if (reader !== undefined && files.some((other) => other.writer !== undefined && other.file.path.equals(file.path))) reader.forget();
    }
  }

  /** What was written is to be seen by what looks at files by name. Failures show at close. */
  async #settle(): Promise<void> {
    for (const { writer } of this.#files()) if (writer?.dirty === true) await writer.settle();
  }
}

function release(handle: Handle): void {
  if (handle.kind !== 'file') return;
  handle.reader?.close();
  handle.writer?.close();
}

function keep(known: Map<number, string>, id: number, text: string): void {
  if (known.size >= NAMES_KEPT) known.clear();
  known.set(id, text);
}

/** A name that has to be there: to the system an empty one is none, and one may be too long. */
function present(path: Buffer): Buffer {
  if (path.length === 0) throw new SftpError(STATUS.NO_SUCH_FILE);
  return short(path);
}

function short(path: Buffer): Buffer {
  if (path.length >= PATH_BYTES) throw new SftpError(STATUS.BAD_MESSAGE);
  return path;
}

function named(packet: PacketReader): Buffer {
  return present(packet.string());
}

/** An offset or size that the system's calls have room for. */
function where(packet: PacketReader): number {
  const offset = packet.uint64();
  if (!Number.isSafeInteger(offset)) throw new SftpError(STATUS.BAD_MESSAGE);
  return offset;
}

function numbers(bytes: Buffer): number[] {
  if (bytes.length % 4 !== 0) throw new BadPacket('A list of numbers is cut off.');
  return Array.from({ length: bytes.length / 4 }, (_, index) => bytes.readUInt32BE(4 * index));
}

export function status(id: number, code: number, message = textOf(code)): PacketWriter {
  return new PacketWriter(REPLY.STATUS).uint32(id).uint32(code).string(message).string('');
}

function ok(id: number): PacketWriter {
  return status(id, STATUS.OK);
}

function attrs(id: number, value: Parameters<PacketWriter['attrs']>[0]): PacketWriter {
  return new PacketWriter(REPLY.ATTRS).uint32(id).attrs(value);
}

function name(id: number, path: Buffer): PacketWriter {
  return new PacketWriter(REPLY.NAME).uint32(id).uint32(1).string(path).string(path).attrs({});
}
