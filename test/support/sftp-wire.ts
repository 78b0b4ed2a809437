/**
 * SFTP packets by hand, to ask two servers for exactly the same and compare the bytes of what they
 * answer: no client library sends the odd requests, or shows the answers unaltered.
 */
import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { WAIT_MS } from './wait.js';

export const FXP = {
  INIT: 1, OPEN: 3, CLOSE: 4, READ: 5, WRITE: 6, LSTAT: 7, FSTAT: 8, SETSTAT: 9, FSETSTAT: 10, OPENDIR: 11, READDIR: 12,
  REMOVE: 13, MKDIR: 14, RMDIR: 15, REALPATH: 16, STAT: 17, RENAME: 18, READLINK: 19, SYMLINK: 20,
  STATUS: 101, HANDLE: 102, DATA: 103, NAME: 104, ATTRS: 105, EXTENDED: 200, EXTENDED_REPLY: 201,
} as const;

/** Flags of OPEN. */
export const FXF = { READ: 1, WRITE: 2, APPEND: 4, CREAT: 8, TRUNC: 16, EXCL: 32 } as const;

export interface Attributes {
  size?: bigint;
  owner?: readonly [number, number];
  mode?: number;
  times?: readonly [number, number];
}

export function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes;
}

export function u64(value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(value);
  return bytes;
}

export function string(value: string | Buffer): Buffer {
  const bytes = Buffer.from(value as string);
  return Buffer.concat([u32(bytes.length), bytes]);
}

/** The n-th handle as OpenSSH's sftp-server names it. */
export function handle(n: number): Buffer {
  return string(u32(n));
}

export function attributes(a: Attributes): Buffer {
  const parts: Buffer[] = [];
  let flags = 0;
  if (a.size !== undefined) {
    flags |= 1;
    parts.push(u64(a.size));
  }
  if (a.owner !== undefined) {
    flags |= 2;
    parts.push(u32(a.owner[0]), u32(a.owner[1]));
  }
  if (a.mode !== undefined) {
    flags |= 4;
    parts.push(u32(a.mode));
  }
  if (a.times !== undefined) {
    flags |= 8;
    parts.push(u32(a.times[0]), u32(a.times[1]));
  }
  return Buffer.concat([u32(flags), ...parts]);
}

/** A request as [kind, fields]; an extension as [its name, fields]. The peer adds length and id. */
export type Request = readonly [number | string, ...Buffer[]];

export function packet(...parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat(parts);
  return Buffer.concat([u32(body.length), body]);
}

export function init(version = 3): Buffer {
  return packet(Buffer.from([FXP.INIT]), u32(version));
}

export function encode(id: number, [kind, ...fields]: Request): Buffer {
  return typeof kind === 'number' ? packet(Buffer.from([kind]), u32(id), ...fields) : packet(Buffer.from([FXP.EXTENDED]), u32(id), string(kind), ...fields);
}

/** One answer, its bytes without the length. */
export interface Answer {
  kind: number;
  id: number;
  body: Buffer;
}

export interface Name {
  name: Buffer;
  longName: Buffer;
  attributes: Buffer;
}

/** The names of a NAME answer. Attributes are all or none, as servers send them. */
export function names(body: Buffer): Name[] {
  let at = 4;
  const take = (size: number): Buffer => body.subarray(at, (at += size));
  const text = (): Buffer => take(take(4).readUInt32BE());
  return Array.from({ length: body.readUInt32BE() }, () => {
    const name = text();
    const longName = text();
    return { name, longName, attributes: take(body.readUInt32BE(at) === 0 ? 4 : 32) };
  });
}

export interface ServerOptions {
  cwd: string;
  uid?: number;
  env?: Record<string, string>;
}

/** A running server, fed by hand. */
export class SftpPeer {
  readonly child: ChildProcessWithoutNullStreams;
  readonly answers: Answer[] = [];
  /** Exit code or signal, once it has ended and its output is complete. */
  ended: number | string | undefined;
  stderr = '';
  #rest: Buffer = Buffer.alloc(0);
  #id = 0;
  readonly #watchers = new Set<() => void>();

  constructor([file = '', ...args]: readonly string[], options: ServerOptions) {
    const who = options.uid === undefined ? {} : { uid: options.uid, gid: options.uid };
    this.child = spawn(file, args, { cwd: options.cwd, env: { PATH: process.env['PATH'], ...options.env }, ...who });
    this.child.stdin.on('error', () => undefined);
    this.child.stderr.on('data', (chunk: Buffer) => (this.stderr += chunk.toString()));
    this.child.stdout.on('data', (chunk: Buffer) => {
      this.#take(chunk);
      this.#wake();
    });
    const over = (how: number | string): void => {
      this.ended ??= how;
      this.#wake();
    };
    this.child.on('error', (error) => {
      over(error.message);
    });
    this.child.on('close', (code, signal) => {
      over(code ?? signal ?? 'closed');
    });
  }

  write(bytes: Buffer): void {
    this.child.stdin.write(bytes);
  }

  /** Sends requests in one go, with ids 1, 2, …. */
  send(...requests: readonly Request[]): void {
    this.write(Buffer.concat(requests.map((request) => encode((this.#id += 1), request))));
  }

  /** Sends them and waits for as many answers; what came in before is not counted. */
  async ask(...requests: readonly Request[]): Promise<Answer[]> {
    const before = this.answers.length;
    this.send(...requests);
    await this.have(before + requests.length);
    return this.answers.slice(before);
  }

  async have(count: number): Promise<void> {
    await this.#until(`answer ${count}`, () => this.answers.length >= count || this.ended !== undefined);
    if (this.answers.length < count) throw new Error(`the server ended (${String(this.ended)}) after ${this.answers.length} of ${count} answers: ${this.stderr}`);
  }

  async end(): Promise<number | string> {
    this.child.stdin.end();
    return this.over();
  }

  async over(): Promise<number | string> {
    await this.#until('the end of the server', () => this.ended !== undefined);
    return this.ended ?? 'running';
  }

  /** Looks at the condition whenever something has come from the server: thousands of answers a second. */
  #until(what: string, condition: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const look = (): void => {
        if (!condition()) return;
        settle();
        resolve();
      };
      const timer = setTimeout(() => {
        settle();
        reject(new Error(`waited ${WAIT_MS} ms in vain for ${what}; ${this.answers.length} answers came; stderr: ${this.stderr}`));
      }, WAIT_MS);
      const settle = (): void => {
        clearTimeout(timer);
        this.#watchers.delete(look);
      };
      this.#watchers.add(look);
      look();
    });
  }

  #wake(): void {
    for (const look of [...this.#watchers]) look();
  }

  #take(chunk: Buffer): void {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    for (;;) {
      if (this.#rest.length < 4) return;
      const end = 4 + this.#rest.readUInt32BE();
      if (this.#rest.length < end) return;
      const bytes = Buffer.from(this.#rest.subarray(4, end));
      this.#rest = this.#rest.subarray(end);
      this.answers.push({ kind: bytes[0] ?? -1, id: bytes.readUInt32BE(1), body: bytes.subarray(5) });
    }
  }
}
