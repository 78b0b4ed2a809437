import { describe, expect, it } from 'vitest';
import { encapsulate, randomShort, SNTRUP_CIPHERTEXT_BYTES, SNTRUP_KEY_BYTES } from '../../../src/ssh/sntrup761.js';

describe('sntrup761', () => {
  it('chooses secrets of 286 coefficients that are not zero, new ones each time', () => {
    const one = randomShort();
    expect(one).toHaveLength(761);
    expect(one.filter((value) => value === 1 || value === -1)).toHaveLength(286);
    expect(one.filter((value) => value === 0)).toHaveLength(761 - 286);
    expect(one).not.toEqual(randomShort());
  });

  it('makes a ciphertext and a secret from any key of the right length, whatever its bytes', () => {
    for (const fill of [0, 1, 0x7f, 0xff]) {
      const { cipherText, sharedSecret } = encapsulate(Buffer.alloc(SNTRUP_KEY_BYTES, fill));
      expect([cipherText.length, sharedSecret.length]).toEqual([SNTRUP_CIPHERTEXT_BYTES, 32]);
    }
    expect(() => encapsulate(Buffer.alloc(SNTRUP_KEY_BYTES - 1))).toThrow('1158');
  });

  it('depends on key and secret alone', () => {
    const secret = randomShort();
    const key = Buffer.alloc(SNTRUP_KEY_BYTES, 3);
    expect(encapsulate(key, secret)).toEqual(encapsulate(key, secret));
    expect(encapsulate(key, secret).sharedSecret).not.toEqual(encapsulate(key).sharedSecret);
    expect(encapsulate(key, secret).sharedSecret).not.toEqual(encapsulate(Buffer.alloc(SNTRUP_KEY_BYTES, 4), secret).sharedSecret);
  });
});
