/**
 * SSH's data types (RFC 4251 section 5), reading and writing. The reader is total: whatever a peer
 * sends is either read or ends in a Fault that names what was expected.
 */
import { Fault } from '../base/errors.js';

const UTF8 = new TextDecoder('utf-8', { fatal: true });

export class WireReader {
  readonly #bytes: Buffer;
  readonly #of: string;
  #at: number;

  /** `of`: what is read, as the beginning of a sentence that says what is wrong with it. */
  constructor(bytes: Buffer, start = 0, of = 'The SSH client sent a packet that') {
    this.#bytes = bytes;
    this.#of = of;
    this.#at = start;
  }

  get left(): number {
    return this.#bytes.length - this.#at;
  }

  byte(what: string): number {
    this.#need(1, what);
    return this.#bytes.readUInt8(this.#at++);
  }

  bool(what: string): boolean {
    return this.byte(what) !== 0;
  }

  uint32(what: string): number {
    this.#need(4, what);
    const value = this.#bytes.readUInt32BE(this.#at);
    this.#at += 4;
    return value;
  }

  uint64(what: string): bigint {
    this.#need(8, what);
    const value = this.#bytes.readBigUInt64BE(this.#at);
    this.#at += 8;
    return value;
  }

  /** A string as bytes: a view of the packet, not a copy. */
  bytes(what: string): Buffer {
    const length = this.uint32(what);
    this.#need(length, what);
    const start = this.#at;
    this.#at += length;
    return this.#bytes.subarray(start, this.#at);
  }

  /** A string that must be UTF-8: names, addresses, passwords. */
  text(what: string): string {
    const bytes = this.bytes(what);
    try {
      return UTF8.decode(bytes);
    } catch (cause) {
      throw new Fault('PROTOCOL', `The SSH client sent a ${what} that is not UTF-8.`, { cause });
    }
  }

  /** A string for a log or a name to compare: never fails on its content. */
  latin1(what: string): string {
    return this.bytes(what).toString('latin1');
  }

  #need(count: number, what: string): void {
    if (this.left < count) {
      throw new Fault('PROTOCOL', `${this.#of} ends inside its ${what}.`);
    }
  }
}

type Part =
  | { byte: number }
  | { bool: boolean }
  | { uint32: number }
  | { string: string | Buffer }
  | { raw: Buffer };

/** One packet's payload from its fields, in order. */
export function pack(...parts: readonly Part[]): Buffer {
  return Buffer.concat(parts.map(encode));
}

function encode(part: Part): Buffer {
  if ('byte' in part) return Buffer.of(part.byte);
  if ('bool' in part) return Buffer.of(part.bool ? 1 : 0);
  if ('raw' in part) return part.raw;
  if ('uint32' in part) return uint32(part.uint32);
  const body = typeof part.string === 'string' ? Buffer.from(part.string, 'utf8') : part.string;
  return Buffer.concat([uint32(body.length), body]);
}

function uint32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32BE(value >>> 0, 0);
  return bytes;
}
