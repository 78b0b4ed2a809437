import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Fault } from '../../../src/base/errors.js';
import { encodeMessage, MessageReader, type Message } from '../../../src/mux/message.js';
import { MSG, OPEN_LIMIT_BYTES, PAYLOAD_LIMIT_BYTES } from '../../../src/mux/wire.js';

function read(pieces: readonly Buffer[]): Message[] {
  const found: Message[] = [];
  const reader = new MessageReader();
  for (const piece of pieces) reader.push(piece, ({ payload, ...rest }) => found.push({ ...rest, payload: Buffer.from(payload) }));
  return found;
}

const SAMPLE: readonly Message[] = [
  { type: MSG.OPENED, channel: 1, payload: Buffer.from('{}') },
  { type: MSG.DATA, channel: 0x8000_0001, payload: Buffer.from([0, 255, 10]) },
  { type: MSG.EOF, channel: 7, payload: Buffer.alloc(0) },
  { type: MSG.CLOSE, channel: 0xffff_ffff, payload: Buffer.from('why') },
];

describe('the message reader', () => {
  it('finds the same messages wherever the stream is cut in two', () => {
    const whole = Buffer.concat(SAMPLE.map(({ type, channel, payload }) => encodeMessage(type, channel, payload)));
    for (let at = 0; at <= whole.length; at += 1) {
      expect(read([whole.subarray(0, at), whole.subarray(at)])).toEqual(SAMPLE);
    }
    expect(read([...whole].map((byte) => Buffer.from([byte])))).toEqual(SAMPLE);
  });

  it('finds any messages in any pieces', () => {
    const message = fc.record({
      type: fc.integer({ min: 1, max: 16 }),
      channel: fc.integer({ min: 0, max: 0xffff_ffff }),
      payload: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
    });
    fc.assert(
      fc.property(fc.array(message, { maxLength: 20 }), fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1 }), (messages, sizes) => {
        const whole = Buffer.concat(messages.map(({ type, channel, payload }) => encodeMessage(type, channel, payload)));
        const pieces: Buffer[] = [];
        for (let at = 0, i = 0; at < whole.length; i += 1) {
          const size = sizes[i % sizes.length] ?? 1;
          pieces.push(whole.subarray(at, at + size));
          at += size;
        }
        expect(read(pieces)).toEqual(messages);
      }),
    );
  });

  it('takes the longest messages that may be, and refuses the next longer ones at their header', () => {
    const header = (type: number, length: number): Buffer => {
      const bytes = Buffer.alloc(8);
      bytes.writeUInt32BE(type * 0x100_0000 + length);
      return bytes;
    };
    expect(read([encodeMessage(MSG.DATA, 1, Buffer.alloc(PAYLOAD_LIMIT_BYTES))])).toHaveLength(1);
    expect(read([encodeMessage(MSG.OPEN, 1, Buffer.alloc(OPEN_LIMIT_BYTES))])).toHaveLength(1);
    expect(() => read([header(MSG.DATA, PAYLOAD_LIMIT_BYTES + 1)])).toThrow(Fault);
    expect(() => read([header(MSG.OPEN, OPEN_LIMIT_BYTES + 1)])).toThrow(Fault);
  });
});
