import { directionKey, encodeAck, encodeBye, encodeData, PacketReader, type Range } from '../../../src/link/packet.js';
import { Receiver } from '../../../src/link/receiver.js';
import { Sender, type Transmission } from '../../../src/link/sender.js';
import { REASSEMBLY_LIMIT_BYTES, REASSEMBLY_LIMIT_PIECES, WINDOW_MAX_BYTES } from '../../../src/link/wire.js';
import { Choices, must, type Target } from '../engine.js';

const KEY = directionKey(Buffer.alloc(32, 7), 'down');
const OTHER = directionKey(Buffer.alloc(32, 8), 'down');

/** The one true stream repeats itself after this many bytes; a prime, so that no mistake of a round size fits. */
const PERIOD = 65_521;
const STREAM = Buffer.from(Array.from({ length: 2 * PERIOD }, (_, i) => ((i % PERIOD) * 31 + ((i % PERIOD) >>> 8)) & 0xff));

function truth(offset: number): number {
  return STREAM[offset % PERIOD] ?? 0;
}

function slice(offset: number, length: number): Buffer {
  const from = offset % PERIOD;
  return STREAM.subarray(from, from + length);
}

/** Text off the terminal: raw, and packets of both keys cut, repeated and spliced by the mutations. */
export const packets: Target = {
  name: 'packets',
  watch: /src\/link\/packet/,
  seeds: [
    Buffer.from(encodeData(KEY, 1, 0, 0, slice(0, 40))),
    Buffer.from(encodeAck(KEY, 1, 40, 1, [{ start: 50, end: 60 }])),
    Buffer.from(`motd\r\n${encodeBye(KEY, 'gone')}$ ${encodeData(OTHER, 9, 1, 5, Buffer.from('x'))}`),
  ],
  words: [':', ';', '=', encodeAck(KEY, 0, 0, 0, []), encodeData(KEY, 0xffff_ffff, 0xff, 2 ** 48 - 1, Buffer.from('end'))],
  run(input) {
    const whole: string[] = [];
    const pieces: string[] = [];
    new PacketReader(KEY).push(input, (packet) => whole.push(JSON.stringify(packet)));
    const reader = new PacketReader(KEY);
    const step = 1 + (input[0] ?? 0) % 7;
    for (let at = 0; at < input.length; at += step) reader.push(input.subarray(at, at + step), (packet) => pieces.push(JSON.stringify(packet)));
    // Longer than any packet: one way drops it at once, the other when its end comes.
    if (input.length < 16_000) must(whole.join() === pieces.join(), 'another cut gives other packets');
  },
};

/** Data packets in any order, overlapping, repeated and far off: bytes come once and in order, memory is bounded. */
export const receiver: Target = {
  name: 'receiver',
  watch: /src\/link\/receiver/,
  seeds: [Buffer.from([0, 0, 0, 40, 1, 0, 40, 10, 0, 0, 80, 9, 0, 0, 60, 30]), Buffer.from('a0b1c2d3e4f5a6b7c8'.repeat(4)), Buffer.from(Array.from({ length: 400 }, (_, i) => (i * 7) & 0xff))],
  run(input) {
    const choices = new Choices(input);
    const receiver = new Receiver();
    let next = 0;
    let lastRecv = 0;
    while (choices.left > 0) {
      const pn = choices.number(4);
      const offset = choices.number(6);
      const payload = slice(offset, 1 + choices.number(4) % 2_000);
      receiver.take(pn, offset, payload, (bytes) => {
        for (const byte of bytes) must(byte === truth(next++), 'a byte came twice, or out of order');
      });
      must(receiver.recv === next && next >= lastRecv, 'the next offset is not what was delivered');
      lastRecv = next;
      must(receiver.earlyBytes <= REASSEMBLY_LIMIT_BYTES, 'more is held than the bound');
      const ranges = receiver.ranges();
      must(ranges.length <= REASSEMBLY_LIMIT_PIECES, 'more pieces are held than the bound');
      let end = receiver.recv;
      for (const range of ranges) {
        must(range.start > end && range.end > range.start, 'ranges touch, overlap or are not ascending');
        end = range.end;
      }
    }
  },
};

const CHUNK = 1_500;

/** Any acknowledgements, true or not: the sender never breaks, and honest ones bring it to its end. */
export const sender: Target = {
  name: 'sender',
  watch: /src\/link\/sender/,
  seeds: [Buffer.from([0, 0, 0, 1, 10, 10, 0, 2, 3]), Buffer.from('0123456789abcdef'.repeat(8)), Buffer.from(Array.from({ length: 300 }, (_, i) => (i * 11) & 0xff))],
  run(input) {
    const choices = new Choices(input);
    const sender = new Sender();
    const total = 100_000;
    let pulled = 0;
    let claimed = 0;
    let now = 1_000;
    const check = (sent: Transmission | undefined): void => {
      if (sent === undefined) return;
      must(sent.bytes.length > 0 && sent.bytes.equals(slice(sent.offset, sent.bytes.length)), 'other bytes were sent than belong there');
      must(Number.isInteger(sent.pn) && sent.pn >= 1 && sent.pn <= 0xffff_ffff, 'a packet number out of its range');
    };
    const pull = (max: number): Buffer | undefined => {
      must(Number.isInteger(max) && max > 0, 'a fraction of a byte was asked for');
      const length = Math.min(max, CHUNK, total - pulled);
      pulled += length;
      return length === 0 ? undefined : slice(pulled - length, length);
    };
    while (choices.left > 0) {
      now += choices.number(4) % 5_000;
      switch (choices.below(6)) {
        case 0:
        case 1:
          check(sender.next(200 + choices.uint(2) % 9_000, now, pull));
          break;
        case 2:
        case 3: {
          const recv = choices.number(6);
          const ranges: Range[] = Array.from({ length: choices.below(5) }, () => ({ start: choices.number(6), end: choices.number(6) }));
          const pn = choices.number(4);
          sender.acknowledge(recv, pn, ranges, now);
          if (recv <= pulled) claimed = Math.max(claimed, recv);
          for (const range of ranges) claimed = Math.max(claimed, Math.min(range.end, pulled));
          break;
        }
        case 4:
          check(sender.timeout(200 + choices.uint(2) % 9_000, now));
          break;
        default:
          sender.reset(choices.below(2) === 0 ? undefined : 1 + choices.number(4));
      }
      must(sender.inFlightBytes >= 0 && sender.unackedBytes >= 0, 'less than nothing is in flight');
      must(Number.isInteger(sender.windowBytes) && sender.windowBytes > 0 && sender.windowBytes <= WINDOW_MAX_BYTES, `the window is ${String(sender.windowBytes)}`);
      must(sender.timeoutAt > 0, 'a time-out in the past of time');
    }
    // What was never claimed to have arrived must still arrive.
    if (claimed > 0) return;
    const receiver = new Receiver();
    for (let turns = 0; receiver.recv < total; turns += 1) {
      must(turns < 5_000, 'an honest end never comes');
      now += 10_000;
      const sent = sender.next(9_000, now, pull) ?? sender.timeout(9_000, now);
      check(sent);
      if (sent !== undefined) receiver.take(sent.pn, sent.offset, sent.bytes, () => undefined);
      sender.acknowledge(receiver.recv, receiver.pn, receiver.ranges(), now);
    }
  },
};
