/** The wire of SFTP version 3 (draft-ietf-secsh-filexfer-02), as far as a server needs it. */

import { ByteQueue } from '../../base/byte-queue.js';

/** Longest packet taken: OpenSSH's own bound (256 kB) and a little for the header. */
export const PACKET_LIMIT_BYTES = 256 * 1024 + 1024;

export const REQUEST = {
  INIT: 1, OPEN: 3, CLOSE: 4, READ: 5, WRITE: 6, LSTAT: 7, FSTAT: 8, SETSTAT: 9, FSETSTAT: 10, OPENDIR: 11, READDIR: 12,
  REMOVE: 13, MKDIR: 14, RMDIR: 15, REALPATH: 16, STAT: 17, RENAME: 18, READLINK: 19, SYMLINK: 20, EXTENDED: 200,
} as const;

export const REPLY = { VERSION: 2, STATUS: 101, HANDLE: 102, DATA: 103, NAME: 104, ATTRS: 105, EXTENDED: 201 } as const;

export const STATUS = {
  OK: 0, EOF: 1, NO_SUCH_FILE: 2, PERMISSION_DENIED: 3, FAILURE: 4, BAD_MESSAGE: 5, OP_UNSUPPORTED: 8,
} as const;

export const OPEN_FLAG = { READ: 1, WRITE: 2, APPEND: 4, CREAT: 8, TRUNC: 16, EXCL: 32 } as const;

const ATTR = { SIZE: 1, UIDGID: 2, PERMISSIONS: 4, ACMODTIME: 8, EXTENDED: 0x80000000 } as const;

/** File attributes; what is undefined is not told or not to be changed. */
export interface Attrs {
  size?: number;
  uid?: number;
  gid?: number;
  /** Whole st_mode, file type included, where the device told it. */
  mode?: number;
  atime?: number;
  mtime?: number;
}

/** A request that is not what its type says. */
export class BadPacket extends Error {}

/** Reads the fields of one packet; throws BadPacket beyond its end. */
export class PacketReader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get ended(): boolean {
    return this.#at >= this.#bytes.length;
  }

  byte(): number {
    return this.#take(1).readUInt8();
  }

  uint32(): number {
    return this.#take(4).readUInt32BE();
  }

  /** Exact up to 2^53, beyond any file. */
  uint64(): number {
    return Number(this.#take(8).readBigUInt64BE());
  }

  string(): Buffer {
    return this.#take(this.uint32());
  }

  attrs(): Attrs {
    const flags = this.uint32();
    const attrs: Attrs = {};
    if ((flags & ATTR.SIZE) !== 0) attrs.size = this.uint64();
    if ((flags & ATTR.UIDGID) !== 0) {
      attrs.uid = this.uint32();
      attrs.gid = this.uint32();
    }
    if ((flags & ATTR.PERMISSIONS) !== 0) attrs.mode = this.uint32();
    if ((flags & ATTR.ACMODTIME) !== 0) {
      attrs.atime = this.uint32();
      attrs.mtime = this.uint32();
    }
    return attrs;
  }

  #take(length: number): Buffer {
    if (this.#at + length > this.#bytes.length) throw new BadPacket('The packet ends before its fields do.');
    const part = this.#bytes.subarray(this.#at, this.#at + length);
    this.#at += length;
    return part;
  }
}

/** Builds one packet, length included. */
export class PacketWriter {
  readonly #parts: Buffer[] = [];

  constructor(type: number) {
    this.byte(type);
  }

  byte(value: number): this {
    this.#parts.push(Buffer.from([value]));
    return this;
  }

  uint32(value: number): this {
    const part = Buffer.alloc(4);
    part.writeUInt32BE(value >>> 0);
    this.#parts.push(part);
    return this;
  }

  uint64(value: number): this {
    const part = Buffer.alloc(8);
    part.writeBigUInt64BE(BigInt(value));
    this.#parts.push(part);
    return this;
  }

  string(value: Buffer | string): this {
    const bytes = typeof value === 'string' ? Buffer.from(value) : value;
    this.uint32(bytes.length);
    this.#parts.push(bytes);
    return this;
  }

  attrs(attrs: Attrs): this {
    const { size, uid, gid, mode, atime, mtime } = attrs;
    const owner = uid !== undefined && gid !== undefined;
    const times = atime !== undefined && mtime !== undefined;
    this.uint32(
      (size === undefined ? 0 : ATTR.SIZE) | (owner ? ATTR.UIDGID : 0) | (mode === undefined ? 0 : ATTR.PERMISSIONS) | (times ? ATTR.ACMODTIME : 0),
    );
    if (size !== undefined) this.uint64(size);
    if (owner) this.uint32(uid).uint32(gid);
    if (mode !== undefined) this.uint32(mode);
    if (times) this.uint32(atime).uint32(mtime);
    return this;
  }

  finish(): Buffer {
    const body = Buffer.concat(this.#parts);
    const length = Buffer.alloc(4);
    length.writeUInt32BE(body.length);
    return Buffer.concat([length, body]);
  }
}

/** Cuts a byte stream into packets (without their length). */
export class PacketSplitter {
  readonly #held = new ByteQueue();
  /** Length of the packet that is coming in, once that has come. */
  #length: number | undefined;

  /** Throws BadPacket when a length is beyond the limit: the stream cannot go on. */
  feed(bytes: Buffer): Buffer[] {
    this.#held.push(bytes);
    const packets: Buffer[] = [];
    for (;;) {
      if (this.#length === undefined) {
        if (this.#held.length < 4) return packets;
        this.#length = Buffer.concat(this.#held.take(4)).readUInt32BE();
        if (this.#length === 0 || this.#length > PACKET_LIMIT_BYTES) throw new BadPacket(`A packet of ${this.#length} bytes is not allowed.`);
      }
      if (this.#held.length < this.#length) return packets;
      packets.push(Buffer.concat(this.#held.take(this.#length)));
      this.#length = undefined;
    }
  }
}
