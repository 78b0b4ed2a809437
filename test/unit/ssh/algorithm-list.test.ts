import { describe, expect, it } from 'vitest';
import { chooseAlgorithms, weakAmong } from '../../../src/ssh/algorithm-list.js';
import { CIPHERS, DEFAULT_ALGORITHMS, WEAK } from '../../../src/ssh/algorithms.js';

describe('a list of algorithms', () => {
  it.each([
    ['aes256-ctr,aes128-ctr', ['aes256-ctr', 'aes128-ctr']],
    [' aes256-ctr , aes256-ctr,', ['aes256-ctr']],
    ['3des-cbc', ['3des-cbc']],
    ['+3des-cbc,aes128-ctr', [...CIPHERS, '3des-cbc']],
    ['^aes256-ctr', ['aes256-ctr', ...CIPHERS.filter((name) => name !== 'aes256-ctr')]],
    ['-*-gcm@openssh.com,chacha20*', ['aes128-ctr', 'aes192-ctr', 'aes256-ctr']],
    // What is not there cannot be taken away, and need not be.
    ['-*-cbc,blowfish', CIPHERS],
    ['-', CIPHERS],
  ])('%j is read as sshd_config has it', (text, expected) => {
    expect(chooseAlgorithms('ciphers', text)).toEqual(expected);
  });

  it.each([
    ['arcfour', '"arcfour" is none of chacha20-poly1305@openssh.com, '],
    ['+aes128-*', '"aes128-*" is none of '],
    ['-ssh-ed25519-cert-v01@openssh.com', 'certificates have no names'],
    ['-*cert*', 'certificates have no names'],
    ['-*', 'Nothing is left of the list.'],
    ['', 'There is no name in it.'],
    [',', 'There is no name in it.'],
    ['+', 'There is no name in it.'],
    ['^', 'There is no name in it.'],
  ])('%j is refused with the reason', (text, reason) => {
    expect(() => chooseAlgorithms('ciphers', text)).toThrow(reason);
  });

  it('tells what is weak in it', () => {
    expect(weakAmong(DEFAULT_ALGORITHMS)).toEqual({});
    expect(weakAmong({ ...DEFAULT_ALGORITHMS, macs: ['hmac-sha1', 'hmac-sha2-256'], publicKeys: WEAK.publicKeys })).toEqual({ macs: ['hmac-sha1'], publicKeys: ['ssh-rsa'] });
  });
});
