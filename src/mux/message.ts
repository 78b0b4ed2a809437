import { Fault } from '../base/errors.js';
import { unpinned } from '../base/unpinned.js';
import { HEADER_BYTES, MSG, OPEN_LIMIT_BYTES, PAYLOAD_LIMIT_BYTES } from './wire.js';

export interface Message {
  type: number;
  channel: number;
  payload: Buffer;
}

export function header(type: number, channel: number, length: number): Buffer {
  const bytes = Buffer.allocUnsafe(HEADER_BYTES);
  bytes.writeUInt32BE(type * 0x100_0000 + length, 0);
  bytes.writeUInt32BE(channel, 4);
  return bytes;
}

export function encodeMessage(type: number, channel: number, payload: Buffer | string = ''): Buffer {
  const body = typeof payload === 'string' ? Buffer.from(payload) : payload;
  return Buffer.concat([header(type, channel, body.length), body]);
}

/** Pieces of an unfinished message kept apart before they are joined: a device may send it byte by byte. */
const PIECES_LIMIT = 1024;

/** Cuts the link's byte stream into messages; holds at most one message between calls. */
export class MessageReader {
  #chunks: Buffer[] = [];
  #held = 0;
  #needed = HEADER_BYTES;

  /** Throws a PROTOCOL fault on a length no message may have: nothing after it can be trusted. */
  push(bytes: Buffer, take: (message: Message) => void): void {
    this.#chunks.push(bytes);
    this.#held += bytes.length;
    if (this.#chunks.length > PIECES_LIMIT) this.#chunks = [Buffer.concat(this.#chunks)];
    while (this.#held >= this.#needed) {
      const all = this.#chunks.length === 1 ? (this.#chunks[0] as Buffer) : Buffer.concat(this.#chunks);
      let at = 0;
      for (;;) {
        if (all.length - at < HEADER_BYTES) {
          this.#needed = HEADER_BYTES;
          break;
        }
        const word = all.readUInt32BE(at);
        const type = word >>> 24;
        const length = word & 0xff_ffff;
        if (length > (type === MSG.OPEN ? OPEN_LIMIT_BYTES : PAYLOAD_LIMIT_BYTES)) {
          throw new Fault('PROTOCOL', `The device's helper sent a message of type ${String(type)} with ${String(length)} bytes, more than any may have.`);
        }
        if (all.length - at < HEADER_BYTES + length) {
          this.#needed = HEADER_BYTES + length;
          break;
        }
        const start = at + HEADER_BYTES;
        at = start + length;
        take({ type, channel: all.readUInt32BE(start - 4), payload: unpinned(all.subarray(start, at)) });
      }
      const rest = all.subarray(at);
      this.#chunks = rest.length > 0 ? [rest] : [];
      this.#held = rest.length;
    }
  }
}
