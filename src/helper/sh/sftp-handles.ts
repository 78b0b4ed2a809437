import type { SftpChanges } from './sftp-changes.js';
import type { Entry } from './sftp-paths.js';
import type { ReadFile } from './sftp-reading.js';
import { SftpError } from './sftp-errors.js';
import { STATUS } from './sftp-wire.js';
import type { Named, WriteFile } from './sftp-writing.js';

/** Files and directories open at once; each may hold a channel. */
export const HANDLE_LIMIT = 100;
/** Names of all open folders together, which are kept here; one folder alone may have more. */
export const NAMES_LIMIT = 500_000;
const SLASH = 0x2f;

export type Handle =
  | { kind: 'file'; file: Named; reader: ReadFile | undefined; writer: WriteFile | undefined }
  | { kind: 'directory'; entries: Entry[]; at: number };
export type FileHandle = Extract<Handle, { kind: 'file' }>;

/** The open files and folders of one session. */
export class SftpHandles {
  readonly #open = new Map<number, Handle>();
  /** Closed by the client, with bytes that are still on their way. */
  readonly #closing = new Set<FileHandle>();
  readonly #changes: SftpChanges;
  #next = 0;

  constructor(changes: SftpChanges) {
    this.#changes = changes;
  }

  /** Throws where there are too many already. */
  check(): void {
    if (this.#open.size >= HANDLE_LIMIT) throw new SftpError(STATUS.FAILURE, 'Too many open files');
  }

  /** Throws where another folder with so many names would be too much. */
  checkNames(count: number): void {
    const open = [...this.#open.values()].flatMap((handle) => (handle.kind === 'directory' ? [handle.entries.length] : []));
    if (open.length > 0 && open.reduce((sum, names) => sum + names, count) > NAMES_LIMIT) throw new SftpError(STATUS.FAILURE, 'Too many names in open folders');
  }

  add(handle: Handle): Buffer {
    const key = Buffer.alloc(4);
    key.writeUInt32BE(this.#next);
    this.#open.set(this.#next, handle);
    this.#next += 1;
    return key;
  }

  get(key: Buffer, problem: number = STATUS.FAILURE): Handle {
    const handle = key.length === 4 ? this.#open.get(key.readUInt32BE()) : undefined;
    if (handle === undefined) throw new SftpError(problem);
    return handle;
  }

  file(key: Buffer, problem: number = STATUS.FAILURE): FileHandle {
    const handle = this.get(key, problem);
    if (handle.kind !== 'file') throw new SftpError(problem);
    return handle;
  }

  /** Nothing more may be asked of it; close() has yet to be called. */
  take(key: Buffer): Handle {
    const handle = this.get(key, STATUS.NO_SUCH_FILE);
    this.#open.delete(key.readUInt32BE());
    if (handle.kind === 'file') this.#closing.add(handle);
    return handle;
  }

  async close(handle: Handle): Promise<void> {
    if (handle.kind !== 'file') return;
    try {
      await this.#finish(handle);
    } finally {
      this.#closing.delete(handle);
      release(handle);
    }
  }

  /** Something was written that may not be in its file yet. */
  get dirty(): boolean {
    return this.#files().some(({ writer }) => writer?.dirty === true);
  }

  isWritten({ path }: Named): boolean {
    return this.#files().some(({ file, writer }) => writer?.dirty === true && file.path.equals(path));
  }

  /** What was written is to be seen by what looks at files by name. Failures show at close. */
  async settle(): Promise<void> {
    for (const { writer } of this.#files()) if (writer?.dirty === true) await writer.settle();
  }

  /** Readers of files that are written in this session fetch anew what they read. */
  forget(): void {
    const files = this.#files();
    for (const { file, reader } of files) {
      if (reader !== undefined && files.some((other) => other.writer !== undefined && other.file.path.equals(file.path))) reader.forget();
    }
  }

  get writing(): boolean {
    return this.#files().some(({ writer }) => writer !== undefined);
  }

  /** Those that write to what has this name. */
  writers(path: Buffer): WriteFile[] {
    return this.#files().flatMap(({ file, writer }) => (writer !== undefined && file.gone !== true && file.path.equals(path) ? [writer] : []));
  }

  removed(path: Buffer): void {
    for (const { file } of this.#files()) if (file.path.equals(path)) file.gone = true;
  }

  /** Open files go on under their new name; what had that name before has none any more. */
  renamed(from: Buffer, to: Buffer): void {
    if (!from.equals(to)) this.removed(to);
    for (const { file } of this.#files()) {
      const below = file.path.subarray(from.length);
      if (file.path.subarray(0, from.length).equals(from) && (below.length === 0 || below[0] === SLASH)) file.path = Buffer.concat([to, below]);
    }
  }

  /** The client has gone: nothing is read any more, and what was written is to be there. */
  async finish(): Promise<void> {
    const files = this.#files();
    for (const { reader } of files) reader?.close();
    await Promise.all(files.map((handle) => this.#finish(handle).catch(() => undefined)));
  }

  async #finish(handle: FileHandle): Promise<void> {
    try {
      await handle.writer?.flush();
    } finally {
      await this.#seal(handle);
    }
  }

  /** The last one that writes to a file gives it the mode that forbids that. */
  async #seal({ file, writer }: FileHandle): Promise<void> {
    const mode = writer?.closingMode;
    if (writer === undefined || mode === undefined || file.gone === true) return;
    writer.closingMode = undefined;
    if (this.writers(file.path).every((other) => other === writer || other.closingMode === undefined)) await this.#changes.setAttrs(file.path, { mode }, true);
  }

  release(): void {
    for (const handle of this.#files()) release(handle);
    this.#open.clear();
  }

  #files(): FileHandle[] {
    return [...[...this.#open.values()].filter((handle) => handle.kind === 'file'), ...this.#closing];
  }
}

function release({ reader, writer }: FileHandle): void {
  reader?.close();
  writer?.close();
}
