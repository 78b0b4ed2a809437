import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { directionKey, encodeAck, encodeBye, encodeData, PacketReader, payloadFor, type Packet } from '../../../src/link/packet.js';

const key = directionKey(Buffer.alloc(32, 7), 'up');
const other = directionKey(Buffer.alloc(32, 8), 'up');

function read(pieces: readonly Buffer[]): Packet[] {
  const reader = new PacketReader(key);
  const packets: Packet[] = [];
  for (const piece of pieces) reader.push(piece, (packet) => packets.push(packet));
  return packets;
}

const sample = [
  encodeData(key, 1, 1, 0, Buffer.from('first')),
  encodeAck(key, 1, 2 ** 40, 0xffff_ffff, [{ start: 2 ** 40 + 5, end: 2 ** 40 + 9 }]),
  encodeData(key, 2, 0, 5, Buffer.from([0, 255, 10, 13, 58, 59])),
  encodeBye(key, 'grace over'),
];
const expected: Packet[] = [
  { type: 'data', pn: 1, flags: 1, offset: 0, payload: Buffer.from('first') },
  { type: 'ack', flags: 1, recv: 2 ** 40, pn: 0xffff_ffff, ranges: [{ start: 2 ** 40 + 5, end: 2 ** 40 + 9 }] },
  { type: 'data', pn: 2, flags: 0, offset: 5, payload: Buffer.from([0, 255, 10, 13, 58, 59]) },
  { type: 'bye', reason: 'grace over' },
];

describe('packets', () => {
  it('come out the same at every split point of the text', () => {
    const text = Buffer.from(sample.join(''));
    for (let cut = 0; cut <= text.length; cut += 1) {
      expect(read([text.subarray(0, cut), text.subarray(cut)])).toEqual(expected);
    }
  });

  it('are found between foreign text, prompts and line ends', () => {
    const noisy = `Last login: 10:00; host\r\n$ ${sample.join('\r\nwall: hello; you\r\n')}`;
    expect(read([Buffer.from(noisy)])).toEqual(expected);
  });

  it('survive line wrapping inside them', () => {
    const wrapped = (sample[0] as string).replace(/(.{7})/g, '$1\r\n');
    expect(read([Buffer.from(wrapped)])).toEqual(expected.slice(0, 1));
  });

  it('of another session, another direction or with any changed character are dropped', () => {
    expect(read([Buffer.from(encodeData(other, 1, 0, 0, Buffer.from('x')))])).toEqual([]);
    expect(read([Buffer.from(encodeData(directionKey(Buffer.alloc(32, 7), 'down'), 1, 0, 0, Buffer.from('x')))])).toEqual([]);
    const good = sample[0] as string;
    for (let at = 1; at < good.length - 1; at += 1) {
      const bad = good.slice(0, at) + (good[at] === 'A' ? 'B' : 'A') + good.slice(at + 1);
      const found = read([Buffer.from(bad)]);
      // Padding bits carry nothing: a change there may leave the bytes, never change them.
      expect(found.length === 0 || JSON.stringify(found) === JSON.stringify(expected.slice(0, 1))).toBe(true);
    }
  });

  it('after an endless piece without an end mark are read again', () => {
    const flood = Buffer.from(`:${'A'.repeat(40_000)}`);
    expect(read([flood, Buffer.from(`;${sample[0] as string}`)])).toEqual(expected.slice(0, 1));
  });

  it('never throw and never hold more than their bound, whatever comes', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 300 })), (pieces) => {
        read(pieces.map((piece) => Buffer.from(piece)));
      }),
    );
  });

  it('fit the characters that payloadFor promises', () => {
    fc.assert(
      fc.property(fc.integer({ min: 60, max: 9_800 }), (chars) => {
        const text = encodeData(key, 1, 0, 0, Buffer.alloc(payloadFor(chars)));
        return text.length <= chars && text.length > chars - 8;
      }),
    );
  });
});
