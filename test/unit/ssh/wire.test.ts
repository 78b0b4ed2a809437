import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Fault } from '../../../src/base/errors.js';
import { pack, WireReader } from '../../../src/ssh/wire.js';

describe('SSH data types', () => {
  it('read back what was packed', () => {
    fc.assert(fc.property(fc.nat(255), fc.boolean(), fc.nat(0xffff_ffff), fc.uint8Array(), fc.string(), (byte, flag, number, bytes, text) => {
      const payload = pack({ byte }, { bool: flag }, { uint32: number }, { string: Buffer.from(bytes) }, { string: text });
      const reader = new WireReader(payload);
      expect(reader.byte('byte')).toBe(byte);
      expect(reader.bool('flag')).toBe(flag);
      expect(reader.uint32('number')).toBe(number);
      expect([...reader.bytes('bytes')]).toEqual([...bytes]);
      expect(reader.text('text')).toBe(text);
      expect(reader.left).toBe(0);
    }));
  });

  it('end in a Fault that names the field at every place where a packet can be cut', () => {
    const whole = pack({ byte: 98 }, { uint32: 1 }, { string: 'exec' }, { bool: true }, { string: 'true' });
    for (let length = 0; length < whole.length; length += 1) {
      const reader = new WireReader(whole.subarray(0, length));
      expect(() => {
        reader.byte('type');
        reader.uint32('channel');
        reader.bytes('request');
        reader.bool('reply flag');
        reader.bytes('command');
      }).toThrow(Fault);
    }
    expect(() => new WireReader(Buffer.from([0, 0, 0, 9, 1])).bytes('command')).toThrow('command');
  });

  it('refuse text that is not UTF-8', () => {
    expect(() => new WireReader(pack({ string: Buffer.from([0xff]) })).text('name')).toThrow('not UTF-8');
  });
});
