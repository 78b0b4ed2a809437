import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import {
  ACK_RANGES,
  KEY_BYTES,
  PACKET_END,
  PACKET_LIMIT_CHARS,
  PACKET_START,
  TAG_BYTES,
  TYPE_ACK,
  TYPE_BYE,
  TYPE_DATA,
} from './wire.js';

/** Half-open byte range of the stream. */
export interface Range {
  start: number;
  end: number;
}

export type Packet =
  | { type: 'data'; pn: number; flags: number; offset: number; payload: Buffer }
  | { type: 'ack'; flags: number; recv: number; pn: number; ranges: Range[] }
  | { type: 'bye'; reason: string };

/** What marks and checks packets of one direction: blind text injected into the terminal fails on both. */
export interface DirectionKey {
  tag: Buffer;
  /** CRC-32 state after the key, so that each packet's check is one more pass over its bytes. */
  seed: number;
}

export function directionKey(secret: Buffer, direction: 'up' | 'down'): DirectionKey {
  const hash = createHash('sha256').update(secret).update(direction).digest();
  return {
    tag: hash.subarray(0, TAG_BYTES),
    seed: crc32(hash.subarray(TAG_BYTES, TAG_BYTES + KEY_BYTES)),
  };
}

const DATA_HEADER_BYTES = TAG_BYTES + 1 + 4 + 1 + 6;
const CHECK_BYTES = 4;
/** Bytes of a DATA packet beyond its payload, before base64. */
export const DATA_OVERHEAD_BYTES = DATA_HEADER_BYTES + CHECK_BYTES;

/** Payload bytes that fit a DATA packet of at most `chars` characters of text. */
export function payloadFor(chars: number): number {
  return Math.floor((chars - 2) / 4) * 3 - DATA_OVERHEAD_BYTES;
}

function seal(packet: Buffer, key: DirectionKey): string {
  key.tag.copy(packet, 0);
  const body = packet.length - CHECK_BYTES;
  packet.writeUInt32BE(crc32(packet.subarray(0, body), key.seed), body);
  return `:${packet.toString('base64')};`;
}

export function encodeData(key: DirectionKey, pn: number, flags: number, offset: number, payload: Buffer): string {
  const packet = Buffer.allocUnsafe(DATA_OVERHEAD_BYTES + payload.length);
  packet[TAG_BYTES] = TYPE_DATA;
  packet.writeUInt32BE(pn, 5);
  packet[9] = flags;
  packet.writeUIntBE(offset, 10, 6);
  payload.copy(packet, DATA_HEADER_BYTES);
  return seal(packet, key);
}

export function encodeAck(key: DirectionKey, flags: number, recv: number, pn: number, ranges: readonly Range[]): string {
  const sent = ranges.slice(0, ACK_RANGES);
  const packet = Buffer.allocUnsafe(TAG_BYTES + 1 + 12 + 12 * sent.length + CHECK_BYTES);
  packet[TAG_BYTES] = TYPE_ACK;
  packet[5] = flags;
  packet.writeUIntBE(recv, 6, 6);
  packet.writeUInt32BE(pn, 12);
  packet[16] = sent.length;
  sent.forEach((range, i) => {
    packet.writeUIntBE(range.start, 17 + 12 * i, 6);
    packet.writeUIntBE(range.end, 23 + 12 * i, 6);
  });
  return seal(packet, key);
}

export function encodeBye(key: DirectionKey, reason: string): string {
  const text = Buffer.from(reason).subarray(0, 200);
  const packet = Buffer.alloc(TAG_BYTES + 1 + text.length + CHECK_BYTES);
  packet[TAG_BYTES] = TYPE_BYE;
  text.copy(packet, TAG_BYTES + 1);
  return seal(packet, key);
}

/** The packet in these bytes, or undefined when anything about them is not right. */
export function parsePacket(bytes: Buffer, key: DirectionKey): Packet | undefined {
  const body = bytes.length - CHECK_BYTES;
  if (body < TAG_BYTES + 1 || bytes.compare(key.tag, 0, TAG_BYTES, 0, TAG_BYTES) !== 0) return undefined;
  if (crc32(bytes.subarray(0, body), key.seed) !== bytes.readUInt32BE(body)) return undefined;
  switch (bytes[TAG_BYTES]) {
    case TYPE_DATA:
      if (body <= DATA_HEADER_BYTES) return undefined;
      return {
        type: 'data',
        pn: bytes.readUInt32BE(5),
        flags: bytes[9] ?? 0,
        offset: bytes.readUIntBE(10, 6),
        payload: bytes.subarray(DATA_HEADER_BYTES, body),
      };
    case TYPE_ACK: {
      if (body < 17) return undefined;
      const count = bytes[16] ?? 0;
      if (body !== 17 + 12 * count) return undefined;
      const ranges: Range[] = [];
      for (let at = 17; at < body; at += 12) {
        ranges.push({ start: bytes.readUIntBE(at, 6), end: bytes.readUIntBE(at + 6, 6) });
      }
      return { type: 'ack', flags: bytes[5] ?? 0, recv: bytes.readUIntBE(6, 6), pn: bytes.readUInt32BE(12), ranges };
    }
    case TYPE_BYE:
      return { type: 'bye', reason: bytes.toString('utf8', TAG_BYTES + 1, body) };
    default:
      return undefined;
  }
}

/**
 * Finds packets in a text stream that is cut anywhere and has foreign text in it. Holds at most
 * PACKET_LIMIT_CHARS between calls.
 */
export class PacketReader {
  readonly #key: DirectionKey;
  #held: Buffer = Buffer.alloc(0);
  /** Pieces that ended like a packet but were none: a measure of the path's quality. */
  damaged = 0;

  constructor(key: DirectionKey) {
    this.#key = key;
  }

  push(text: Buffer, take: (packet: Packet) => void): void {
    let at = 0;
    for (;;) {
      const end = text.indexOf(PACKET_END, at);
      if (end < 0) break;
      let piece = text.subarray(at, end);
      at = end + 1;
      if (this.#held.length > 0) {
        piece = Buffer.concat([this.#held, piece]);
        this.#held = Buffer.alloc(0);
      }
      const start = piece.lastIndexOf(PACKET_START);
      if (start < 0) continue;
      // The whole packet with its end mark, which is not part of the piece.
      if (piece.length - start >= PACKET_LIMIT_CHARS) {
        this.damaged += 1;
        continue;
      }
      const packet = parsePacket(Buffer.from(piece.toString('latin1', start + 1), 'base64'), this.#key);
      if (packet === undefined) this.damaged += 1;
      else take(packet);
    }
    this.#hold(text.subarray(at));
  }

  /** Keeps only what can still become a packet: the text from its last start mark. */
  #hold(rest: Buffer): void {
    const start = rest.lastIndexOf(PACKET_START);
    if (start >= 0) this.#held = Buffer.from(rest.subarray(start));
    else if (this.#held.length > 0) this.#held = Buffer.concat([this.#held, rest]);
    if (this.#held.length > PACKET_LIMIT_CHARS) {
      this.#held = Buffer.alloc(0);
      this.damaged += 1;
    }
  }
}
