/**
 * A device for the mux, as PROTOCOL-DEVICE.md section 3 describes it and nothing more: it runs `cat`
 * on every channel, keeps to its credit, and fails on everything that the bridge must not do.
 */
import { inflateSync } from 'node:zlib';
import { encodeMessage, MessageReader, type Message } from '../../../src/mux/message.js';
import { CREDIT_TO_BRIDGE_BYTES, CREDIT_TO_DEVICE_BYTES, DEVICE_CHANNEL_BIT, MSG, PAYLOAD_LIMIT_BYTES } from '../../../src/mux/wire.js';

interface Echo {
  /** Bytes that came and were not yet sent back. */
  held: Buffer[];
  /** What we may still send. */
  credit: number;
  /** What the bridge may still send. */
  granted: number;
  ended: boolean;
  /** Input that was taken and not yet given back as credit. */
  owed: number;
}

export class Mirror {
  readonly #reader = new MessageReader();
  readonly #channels = new Map<number, Echo>();
  readonly #seen = new Set<number>();
  #out: Buffer[] = [];
  /** Types in the order of their arrival. */
  readonly log: { type: number; channel: number; length: number }[] = [];

  /** Bytes from the bridge. */
  take(bytes: Buffer): void {
    this.#reader.push(bytes, (message) => {
      this.#message(message);
    });
  }

  /** Bytes for the bridge, at most `max` of echo on each channel. */
  give(max: number): Buffer {
    for (const [id, echo] of this.#channels) this.#echo(id, echo, max);
    const bytes = Buffer.concat(this.#out);
    this.#out = [];
    return bytes;
  }

  get open(): number {
    return this.#channels.size;
  }

  send(type: number, channel: number, payload: Buffer | string = ''): void {
    this.#out.push(encodeMessage(type, channel, payload));
  }

  #message({ type, channel, payload }: Message): void {
    this.log.push({ type, channel, length: payload.length });
    if (type === MSG.OPEN) {
      if (this.#seen.has(channel)) throw new Error(`channel ${channel} was opened twice`);
      if (channel >= DEVICE_CHANNEL_BIT) throw new Error('the bridge used a number of the device');
      this.#seen.add(channel);
      this.#channels.set(channel, { held: [], credit: CREDIT_TO_DEVICE_BYTES, granted: CREDIT_TO_BRIDGE_BYTES, ended: false, owed: 0 });
      this.send(MSG.OPENED, channel, '{}');
      return;
    }
    if (!this.#seen.has(channel)) throw new Error(`message ${type} for channel ${channel}, which was never opened`);
    const echo = this.#channels.get(channel);
    if (echo === undefined) return;
    switch (type) {
      case MSG.DATA:
      case MSG.ZDATA: {
        if (echo.ended) throw new Error('DATA after EOF');
        const bytes = type === MSG.DATA ? Buffer.from(payload) : inflateSync(payload, { maxOutputLength: PAYLOAD_LIMIT_BYTES });
        echo.granted -= bytes.length;
        if (echo.granted < 0) throw new Error('more DATA than credit');
        echo.held.push(bytes);
        return;
      }
      case MSG.EOF:
        if (echo.ended) throw new Error('EOF twice');
        echo.ended = true;
        return;
      case MSG.CREDIT:
        echo.credit += payload.readUInt32BE();
        return;
      case MSG.CLOSE:
        this.#channels.delete(channel);
        this.send(MSG.CLOSE, channel);
        return;
      default:
    }
  }

  #echo(id: number, echo: Echo, max: number): void {
    let room = Math.min(max, echo.credit);
    for (let first = echo.held[0]; first !== undefined && room > 0; first = echo.held[0]) {
      const bytes = first.subarray(0, room);
      if (bytes.length === first.length) echo.held.shift();
      else echo.held[0] = first.subarray(bytes.length);
      room -= bytes.length;
      echo.credit -= bytes.length;
      echo.owed += bytes.length;
      this.send(MSG.DATA, id, bytes);
    }
    if (echo.owed >= CREDIT_TO_BRIDGE_BYTES / 4) {
      const credit = Buffer.alloc(4);
      credit.writeUInt32BE(echo.owed);
      echo.granted += echo.owed;
      echo.owed = 0;
      this.send(MSG.CREDIT, id, credit);
    }
    if (echo.ended && echo.held.length === 0) {
      this.send(MSG.EXIT, id, '{"status":0}');
      this.send(MSG.EOF, id);
      this.send(MSG.CLOSE, id);
      this.#channels.delete(id);
    }
  }
}
