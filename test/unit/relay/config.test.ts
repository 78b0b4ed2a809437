import { describe, expect, it } from 'vitest';
import { Fault } from '../../../src/base/errors.js';
import { parseTunnels, sameToken, TUNNELS_LIMIT } from '../../../src/relay/config.js';

const entry = { tunnel_id: 't-1', device_id: 'd', source_token: 'secret-source', device_token: 'secret-device' };

function fault(text: string): Fault {
  try {
    parseTunnels(text, 'tunnels.json');
  } catch (thrown) {
    if (thrown instanceof Fault) return thrown;
    throw thrown;
  }
  throw new Error('the list was accepted');
}

describe('parseTunnels', () => {
  it('reads a list of tunnels', () => {
    const second = { ...entry, tunnel_id: 'B_2' };
    expect(parseTunnels(JSON.stringify([entry, second]), 'f')).toEqual([entry, second]);
    expect(parseTunnels(`\ufeff${JSON.stringify([entry])}`, 'f')).toEqual([entry]);
  });

  it.each<[string, string, string]>([
    ['text', 'secret-source', 'tunnels.json is not JSON'],
    ['nothing', '', 'tunnels.json is not JSON'],
    ['an object', JSON.stringify(entry), 'must hold a list'],
    ['an empty list', '[]', 'lists no tunnel'],
    ['too many', JSON.stringify(Array.from({ length: TUNNELS_LIMIT + 1 }, (_item, index) => ({ ...entry, tunnel_id: `t${index}` }))), 'lists 1001 tunnels'],
    ['a null entry', JSON.stringify([entry, null]), 'entry 2: not an object'],
    ['a list as entry', JSON.stringify([[entry]]), 'entry 1: not an object'],
    ['an entry without id', JSON.stringify([{ ...entry, tunnel_id: undefined }]), 'entry 1: tunnel_id must be a text'],
    ['an empty token', JSON.stringify([{ ...entry, source_token: '' }]), 'entry 1: source_token must be a text'],
    ['a number as token', JSON.stringify([{ ...entry, device_token: 5 }]), 'entry 1: device_token must be a text'],
    ['a token with a line end', JSON.stringify([{ ...entry, device_token: 'secret\n' }]), 'entry 1: device_token holds white space'],
    ['an id with a slash', JSON.stringify([{ ...entry, tunnel_id: '../x' }]), 'entry 1: tunnel_id must be 1 to 128'],
    ['an id that is too long', JSON.stringify([{ ...entry, tunnel_id: 'x'.repeat(129) }]), 'entry 1: tunnel_id must be 1 to 128'],
    ['equal tokens', JSON.stringify([{ ...entry, device_token: entry.source_token }]), 'must differ'],
    ['an id twice', JSON.stringify([entry, entry]), 'entry 2: tunnel_id t-1 is there twice'],
    ['an unknown field', JSON.stringify([{ ...entry, token: 'secret' }]), 'entry 1: unknown field "token"'],
  ])('refuses %s with one sentence that shows no token', (_name, text, words) => {
    const refused = fault(text);
    expect(refused.code).toBe('USAGE');
    expect(refused.message).toContain(words);
    expect(refused.message).not.toContain('secret');
  });
});

describe('sameToken', () => {
  it('is true for equal tokens alone', () => {
    expect(sameToken('abc', 'abc')).toBe(true);
    for (const other of ['', 'ab', 'abcd', 'abC']) expect(sameToken('abc', other)).toBe(false);
  });
});
