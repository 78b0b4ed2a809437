import { KEPT_OPEN, OWNER_WRITES, SftpChanges } from './sftp-changes.js';
import { SftpError } from './sftp-errors.js';
import { HANDLE_LIMIT, SftpHandles, type Handle } from './sftp-handles.js';
import { SftpPaths } from './sftp-paths.js';
import { FIRST_BYTES, ReadFile } from './sftp-reading.js';
import { attrs, name, ok, opened, status } from './sftp-replies.js';
import { longName } from './sftp-stat.js';
import { BadPacket, OPEN_FLAG, PacketReader, PacketWriter, REPLY, REQUEST, STATUS, type Attrs } from './sftp-wire.js';
import { shell, type RunScript, type SftpWorker } from './sftp-worker.js';
import { present, WriteFile, type Named } from './sftp-writing.js';

/** Most bytes of one read, and names of one directory answer. */
const READ_LIMIT_BYTES = 64 * 1024;
const NAMES_PER_REPLY = 100;
/** Most bytes of a packet as OpenSSH tells it. */
const PACKET_BYTES = 256 * 1024;
/** Step of copy-data: OpenSSH forgives an end of the file in the last one. */
const COPY_STEP_BYTES = 64 * 1024;
/** Longest path and its end, as the system has it; a shell makes it shorter before it asks. */
const PATH_BYTES = 4096;
/** Names of users and groups kept, each. */
const NAMES_KEPT = 1000;
/** File types in st_mode. */
const [TYPE_BITS, REGULAR, FOLDER] = [0o170000, 0o100000, 0o040000];

/** Names and versions, in OpenSSH's order. */
export const EXTENSIONS: readonly (readonly [name: string, version: string])[] = [
  ['posix-rename@openssh.com', '1'], ['statvfs@openssh.com', '2'], ['fstatvfs@openssh.com', '2'], ['hardlink@openssh.com', '1'],
  ['fsync@openssh.com', '1'], ['lsetstat@openssh.com', '1'], ['limits@openssh.com', '1'], ['expand-path@openssh.com', '1'],
  ['copy-data', '1'], ['home-directory', '1'], ['users-groups-by-id@openssh.com', '1'],
];

/**
 * What a request comes to: `own` when its handle keeps it in order, whatever else is under way; `long` when
 * it is several lines for the worker, and nothing may come between.
 */
interface Job {
  own: boolean;
  long?: boolean;
  run: () => Promise<PacketWriter>;
}

const job = (run: Job['run']): Job => ({ own: false, run });
const own = (run: Job['run']): Job => ({ own: true, run });
const done = (): void => undefined;

/** What each request does, and the handles of one session. Files are reached by name, for want of a process that holds them open. */
export class SftpRequests {
  readonly #run: RunScript;
  readonly #worker: SftpWorker;
  readonly #blocks: boolean;
  readonly handles: SftpHandles;
  /** The last request that waits, or that others wait for. */
  #line: Promise<void> | undefined;
  readonly #paths: SftpPaths;
  readonly #changes: SftpChanges;
  readonly #users = new Map<number, string>();
  readonly #groups = new Map<number, string>();
  umask = 0o022;

  constructor(run: RunScript, worker: SftpWorker, device: { blocks: boolean; stat: boolean }) {
    this.#run = run;
    this.#worker = worker;
    this.#blocks = device.blocks;
    this.#paths = new SftpPaths(worker, device.stat);
    this.#changes = new SftpChanges(worker, device.stat);
    this.handles = new SftpHandles(this.#changes);
  }

  /**
   * Rejects with SftpError or BadPacket. All of a request's fields are read before anything is done. What
   * looks at files by name waits until what was written before is there, and what comes behind it waits
   * for it; else the requests only keep their order on the worker's line and on each handle.
   */
  async answer(type: number, id: number, packet: PacketReader): Promise<PacketWriter> {
    const { own, long, run } = this.#job(type, id, packet);
    if (this.#line === undefined && long !== true && (own || !this.handles.dirty)) return await run();
    const before = this.#line;
    const answer = (async () => {
      await before;
      if (!own) await this.handles.settle();
      return await run();
    })();
    const line = answer.then(done, done);
    this.#line = line;
    void line.then(() => {
      if (this.#line === line) this.#line = undefined;
    });
    return await answer;
  }

  #job(type: number, id: number, packet: PacketReader): Job {
    const paths = this.#paths;
    const changes = this.#changes;
    switch (type) {
      case REQUEST.OPEN: {
        const [path, flags, wanted] = [named(packet.string()), packet.uint32(), packet.attrs()];
        return job(() => this.#open(id, path, flags, wanted.mode));
      }
      case REQUEST.CLOSE: {
        const handle = this.handles.take(packet.string());
        return own(() => this.handles.close(handle).then(() => ok(id)));
      }
      case REQUEST.READ: {
        const { file, reader } = this.handles.file(packet.string());
        const [offset, length] = [where(packet), Math.min(packet.uint32(), READ_LIMIT_BYTES)];
        if (reader === undefined) throw new SftpError(STATUS.NO_SUCH_FILE);
        const run = async (): Promise<PacketWriter> => {
          const bytes = length === 0 ? Buffer.alloc(0) : await reader.read(offset, length);
          return bytes.length === 0 && length > 0 ? status(id, STATUS.EOF) : new PacketWriter(REPLY.DATA).uint32(id).string(bytes);
        };
        return this.handles.isWritten(file) ? job(run) : own(run);
      }
      case REQUEST.WRITE: {
        const { writer } = this.handles.file(packet.string());
        const [at, bytes] = [packet.uint64(), packet.string()];
        if (writer === undefined) throw new SftpError(STATUS.NO_SUCH_FILE);
        if (!writer.append && !Number.isSafeInteger(at)) throw new SftpError(STATUS.BAD_MESSAGE);
        return own(async () => {
          this.handles.forget();
          await writer.write(at, bytes);
          return ok(id);
        });
      }
      case REQUEST.LSTAT:
      case REQUEST.STAT: {
        const path = named(packet.string());
        return job(async () => attrs(id, (await paths.stat(path, type === REQUEST.STAT)).attrs));
      }
      case REQUEST.FSTAT: {
        const { file } = this.handles.file(packet.string());
        return job(async () => attrs(id, (await paths.stat(present(file), true)).attrs));
      }
      case REQUEST.SETSTAT: {
        const [path, wanted] = [packet.string(), packet.attrs()];
        return job(() => this.#setAttrs(id, { path }, wanted, true));
      }
      case REQUEST.FSETSTAT: {
        const [{ file, writer }, wanted] = [this.handles.file(packet.string()), packet.attrs()];
        // As ftruncate(2).
        if (writer === undefined && wanted.size !== undefined) throw new SftpError(STATUS.BAD_MESSAGE);
        return job(() => this.#setAttrs(id, file, wanted, true));
      }
      case REQUEST.OPENDIR: {
        const path = named(packet.string());
        return job(async () => {
          this.handles.check();
          const entries = await paths.list(path);
          this.handles.checkNames(entries.length);
          for (const { stat } of entries) this.#learn(stat.attrs, stat.user, stat.group);
          return opened(id, this.handles.add({ kind: 'directory', entries, at: 0 }));
        });
      }
      case REQUEST.READDIR: {
        const handle = this.handles.get(packet.string());
        return own(() => Promise.resolve(readDirectory(id, handle)));
      }
      case REQUEST.REMOVE:
        return this.#moving(this.#change(id, packet, async (path) => {
          await changes.remove(path);
          this.handles.removed(path);
        }));
      case REQUEST.MKDIR: {
        const [path, wanted] = [named(packet.string()), packet.attrs()];
        return job(() => changes.makeDirectory(path, this.#masked(wanted.mode)).then(() => ok(id)));
      }
      case REQUEST.RMDIR:
        return this.#change(id, packet, (path) => changes.removeDirectory(path));
      case REQUEST.REALPATH: {
        const path = short(packet.string());
        return job(async () => name(id, await paths.realPath(path)));
      }
      case REQUEST.RENAME:
        return this.#moving(this.#change2(id, packet, (from, to) => this.#rename(from, to, false)));
      case REQUEST.READLINK: {
        const path = named(packet.string());
        return job(async () => name(id, await paths.readLink(path)));
      }
      case REQUEST.SYMLINK: {
        // OpenSSH's order, which every client sends to a server that looks like it: target first.
        const [target, link] = [packet.string(), named(packet.string())];
        return job(() => changes.symlink(target, link).then(() => ok(id)));
      }
      case REQUEST.EXTENDED:
        return this.#extended(id, packet.string().toString('latin1'), packet);
      default:
        throw new SftpError(STATUS.OP_UNSUPPORTED);
    }
  }

  #extended(id: number, request: string, packet: PacketReader): Job {
    const paths = this.#paths;
    switch (request) {
      case 'posix-rename@openssh.com':
        return this.#moving(this.#change2(id, packet, (from, to) => this.#rename(from, to, true)));
      case 'hardlink@openssh.com':
        return this.#change2(id, packet, (from, to) => this.#changes.hardlink(from, to));
      case 'fsync@openssh.com': {
        const { file, writer } = this.handles.file(packet.string(), STATUS.NO_SUCH_FILE);
        return job(async () => {
          await writer?.flush();
          await this.#changes.sync(present(file));
          return ok(id);
        });
      }
      case 'lsetstat@openssh.com': {
        const [path, wanted] = [packet.string(), packet.attrs()];
        return job(() => this.#setAttrs(id, { path }, wanted, false));
      }
      case 'statvfs@openssh.com': {
        const path = named(packet.string());
        return job(() => this.#fileSystem(id, path));
      }
      case 'fstatvfs@openssh.com': {
        const { file } = this.handles.file(packet.string());
        return job(() => this.#fileSystem(id, present(file)));
      }
      case 'limits@openssh.com':
        return own(() => Promise.resolve(new PacketWriter(REPLY.EXTENDED).uint32(id).uint64(PACKET_BYTES).uint64(READ_LIMIT_BYTES).uint64(READ_LIMIT_BYTES).uint64(HANDLE_LIMIT)));
      case 'expand-path@openssh.com': {
        const path = short(packet.string());
        return job(async () => name(id, await paths.expand(path)));
      }
      case 'home-directory': {
        const user = packet.string().toString('latin1');
        return job(async () => {
          const home = await paths.home(user);
          if (home === undefined) throw new SftpError(STATUS.FAILURE);
          return name(id, home);
        });
      }
      case 'users-groups-by-id@openssh.com': {
        const [users, groups] = [numbers(packet.string()), numbers(packet.string())];
        return job(() => this.#namesOf(id, users, groups));
      }
      case 'copy-data':
        return this.#copy(id, packet);
      default:
        throw new SftpError(STATUS.OP_UNSUPPORTED);
    }
  }

  #change(id: number, packet: PacketReader, change: (path: Buffer) => Promise<void>): Job {
    const path = named(packet.string());
    return job(() => change(path).then(() => ok(id)));
  }

  #change2(id: number, packet: PacketReader, change: (from: Buffer, to: Buffer) => Promise<void>): Job {
    const [from, to] = [named(packet.string()), named(packet.string())];
    return job(() => change(from, to).then(() => ok(id)));
  }

  /** Names change hands: what is written behind it has to know whose they are. */
  #moving({ own: isOwn, run }: Job): Job {
    return { own: isOwn, long: this.handles.writing, run };
  }

  async #setAttrs(id: number, file: Named, wanted: Attrs, follow: boolean): Promise<PacketWriter> {
    this.handles.forget();
    const path = named(present(file));
    const { mode } = wanted;
    const writers = follow && mode !== undefined ? this.handles.writers(path) : [];
    // What is written goes on to be written, whatever mode the file is given meanwhile.
    const closing = mode !== undefined && writers.length > 0 && (mode & OWNER_WRITES) === 0 ? mode : undefined;
    const now = closing === undefined ? wanted : { ...wanted, mode: closing | OWNER_WRITES };
    if (Object.keys(now).length > 0) await this.#changes.setAttrs(path, now, follow);
    for (const writer of writers) writer.closingMode = closing;
    return ok(id);
  }

  async #fileSystem(id: number, path: Buffer): Promise<PacketWriter> {
    const [size = 0, fragment = 0, blocks = 0, free = 0, available = 0, files = 0, freeFiles = 0, nameMax = 255] = await this.#paths.fileSystem(path);
    const reply = new PacketWriter(REPLY.EXTENDED).uint32(id).uint64(size).uint64(fragment || size);
    for (const value of [blocks, free, available, files, freeFiles, freeFiles, 0, 0, nameMax]) reply.uint64(value);
    return reply;
  }

  async #open(id: number, path: Buffer, flags: number, wantedMode: number | undefined): Promise<PacketWriter> {
    this.handles.forget();
    const mode = this.#masked(wantedMode);
    const has = (flag: number): boolean => (flags & flag) !== 0;
    this.handles.check();
    // As OpenSSH: neither reading nor writing is reading.
    const write = has(OPEN_FLAG.WRITE);
    const read = has(OPEN_FLAG.READ) || !write;
    const [create, truncate] = [has(OPEN_FLAG.CREAT), has(OPEN_FLAG.TRUNC)];
    const steps: Buffer[] = [];
    if (write || create || truncate) steps.push(this.#changes.open(path, { write, create, truncate, exclusive: create && has(OPEN_FLAG.EXCL), mode }));
    // What is written meanwhile is not in what would be fetched now.
    const fetched = write ? 0 : FIRST_BYTES;
    if (read) steps.push(this.#paths.openForReading(path, Math.max(fetched, 1)));
    const answer = await this.#worker.run(steps.length === 1 ? (steps[0] as Buffer) : shell`{ ${steps[0] as Buffer}; } && { ${steps[1] as Buffer}; }`);
    const isKept = answer.subarray(0, KEPT_OPEN.length).equals(Buffer.from(KEPT_OPEN));
    const output = isKept ? answer.subarray(KEPT_OPEN.length) : answer;
    const file: Named = { path };
    let reader: ReadFile | undefined;
    if (read) {
      const { stat, first } = this.#paths.parseOpened(output);
      const type = stat.attrs.mode & TYPE_BITS;
      const opened = fetched === 0 ? { first: Buffer.alloc(0), whole: false } : { first, whole: type === REGULAR && first.length === stat.attrs.size };
      reader = new ReadFile(this.#run, this.#worker, file, { ...opened, special: type !== REGULAR && type !== FOLDER });
    }
    const writer = write ? new WriteFile(this.#run, this.#worker, file, has(OPEN_FLAG.APPEND), this.#blocks) : undefined;
    if (writer !== undefined && isKept) writer.closingMode = mode;
    return opened(id, this.handles.add({ kind: 'file', file, reader, writer }));
  }

  async #rename(from: Buffer, to: Buffer, replace: boolean): Promise<void> {
    if (await this.#changes.rename(from, to, replace)) this.handles.renamed(from, to);
  }

  /** copy-data (draft-ietf-secsh-filexfer-extensions-00 section 7): size 0 means up to the end. */
  #copy(id: number, packet: PacketReader): Job {
    const source = this.handles.file(packet.string());
    const [offset, bytes] = [where(packet), where(packet)];
    const target = this.handles.file(packet.string());
    const at = where(packet);
    if (source === target || source.file.path.equals(target.file.path)) throw new SftpError(STATUS.FAILURE);
    if (source.reader === undefined || target.writer === undefined) throw new SftpError(STATUS.NO_SUCH_FILE);
    const run = async (): Promise<PacketWriter> => {
      this.handles.forget();
      const [from, to] = [present(source.file), present(target.file)];
      const { size } = (await this.#paths.stat(from, true)).attrs;
      await this.#changes.copy(from, offset, bytes === 0 ? undefined : bytes, to, at);
      const steps = Math.ceil(Math.max(0, size - offset) / COPY_STEP_BYTES) + 1;
      if (bytes > steps * COPY_STEP_BYTES) throw new SftpError(STATUS.EOF);
      return ok(id);
    };
    return { own: false, long: true, run };
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

  #masked(mode: number | undefined): number | undefined {
    return mode === undefined ? undefined : mode & 0o7777 & ~this.umask;
  }
}

function readDirectory(id: number, handle: Handle): PacketWriter {
  if (handle.kind !== 'directory') throw new SftpError(STATUS.FAILURE);
  const entries = handle.entries.slice(handle.at, handle.at + NAMES_PER_REPLY);
  handle.at += entries.length;
  if (entries.length === 0) return status(id, STATUS.EOF);
  const reply = new PacketWriter(REPLY.NAME).uint32(id).uint32(entries.length);
  for (const entry of entries) reply.string(entry.name).string(longName(entry.name, entry.stat)).attrs(entry.stat.attrs);
  return reply;
}

function keep(known: Map<number, string>, id: number, text: string): void {
  if (known.size >= NAMES_KEPT) known.clear();
  known.set(id, text);
}

/** A name that has to be there: to the system an empty one is none, and one may be too long. */
function named(path: Buffer): Buffer {
  if (path.length === 0) throw new SftpError(STATUS.NO_SUCH_FILE);
  return short(path);
}

function short(path: Buffer): Buffer {
  if (path.length >= PATH_BYTES) throw new SftpError(STATUS.BAD_MESSAGE);
  return path;
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
