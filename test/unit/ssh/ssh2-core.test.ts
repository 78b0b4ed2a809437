import { describe, expect, it } from 'vitest';
import { CIPHERS, COMPRESSION, KEX_ALGORITHMS, MACS, SIGNATURE_ALGORITHMS } from '../../../src/ssh/algorithms.js';
import { EDITS, loadSsh2 } from '../../../src/ssh/ssh2-core.js';

describe('the private copy of ssh2', () => {
  it('loads with and without the native ciphers: every edit still fits the installed version', async () => {
    expect(EDITS.length).toBeGreaterThan(0);
    for (const nativeCiphers of [true, false]) {
      const core = loadSsh2({ nativeCiphers });
      await core.ready;
      expect(core.createOffer({ kex: KEX_ALGORITHMS, serverHostKey: ['ssh-ed25519'], cipher: CIPHERS, mac: MACS, compress: COMPRESSION })).toBeDefined();
    }
  });

  it('names what is wrong with a key', () => {
    expect(loadSsh2().parsePrivateKey('rubbish')).toBeInstanceOf(Error);
  });
});

describe('the offer', () => {
  it('holds nothing weak', () => {
    const all = [...KEX_ALGORITHMS, ...CIPHERS, ...MACS, ...COMPRESSION, ...SIGNATURE_ALGORITHMS.keys()];
    expect(all.filter((name) => /sha1|md5|cbc|arcfour|3des|group1-|group-exchange-sha1|ssh-dss|^ssh-rsa$|^zlib$/.test(name))).toEqual([]);
  });
});
