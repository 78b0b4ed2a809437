import { generateKeyPairSync } from 'node:crypto';
import ssh2 from 'ssh2';
import { describe, expect, it } from 'vitest';
import { authorize, parseAuthorizedKeys } from '../../../src/ssh/authorized-keys.js';
import { pack } from '../../../src/ssh/wire.js';
import { makeClientKey } from './client-key.js';

const HERE = { user: 'root', address: '127.0.0.1' };
const ED = makeClientKey().public;
const EC = ssh2.utils.generateKeyPairSync('ecdsa', { bits: 521 }).public;
const RSA = makeClientKey('rsa').public;
const RSA_SHORT = ssh2.utils.generateKeyPairSync('rsa', { bits: 1024 }).public;

function securityKey(): string {
  const x = generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' }).x ?? '';
  const type = 'sk-ssh-ed25519@openssh.com';
  const blob = pack({ string: type }, { string: Buffer.from(x, 'base64url') }, { string: 'ssh:' });
  return `${type} ${blob.toString('base64')}`;
}

describe('a file of authorised keys', () => {
  it('may hold every current key type, comments, empty lines and DOS line ends', () => {
    const keys = parseAuthorizedKeys(`# people\r\n\r\n${ED} alice\r\n  ${EC} bob at home\n${RSA}\n${securityKey()} carol`, 'keys');
    expect(keys.map((key) => [key.type, key.comment, key.line])).toEqual([
      ['ssh-ed25519', 'alice', 3],
      ['ecdsa-sha2-nistp521', 'bob at home', 4],
      ['ssh-rsa', '', 5],
      ['sk-ssh-ed25519@openssh.com', 'carol', 6],
    ]);
    expect(keys[0]?.fingerprint).toMatch(/^SHA256:[A-Za-z0-9+/]{43}$/);
  });

  it('is searched by the whole key', () => {
    const keys = parseAuthorizedKeys(`${ED}\n${EC}`, 'keys');
    const wanted = Buffer.from(EC.split(' ')[1] ?? '', 'base64');
    expect(authorize(keys, wanted, HERE)?.limits).toBe(keys[1]?.limits);
    const changed = Buffer.from(wanted);
    changed[changed.length - 1] = (changed.at(-1) ?? 0) ^ 1;
    expect(authorize(keys, changed, HERE)).toBeUndefined();
  });

  it('may let a key expire', () => {
    const keys = parseAuthorizedKeys(`expiry-time="20300101Z" ${ED}`, 'keys');
    const blob = keys[0]?.blob ?? Buffer.alloc(0);
    expect(authorize(keys, blob, HERE, Date.UTC(2029, 11, 31))).toBeDefined();
    expect(authorize(keys, blob, HERE, Date.UTC(2030, 0, 2))).toBeUndefined();
  });

  it.each([
    ['command', `command ${ED}`],
  ])('is refused when an option would be ignored: %s', (option, line) => {
    expect(() => parseAuthorizedKeys(`\n${line}`, 'my-keys')).toThrow(new RegExp(`my-keys line 2: the option "${option}"`));
  });

  it('lets in by its good lines when others cannot be used, which are told', () => {
    const told: string[] = [];
    const content = [`ssh-rsa AAAAB3NzaC1yc2EAAAABIwAAAIEABTM= bad key`, ED, `command ${EC}`].join('\n');
    expect(parseAuthorizedKeys(content, 'my-keys', (problem) => told.push(problem.message)).map(({ line }) => line)).toEqual([2]);
    expect(told).toEqual([expect.stringMatching(/^my-keys line 1: the ssh-rsa key cannot be used/), expect.stringMatching(/^my-keys line 3: the option "command"/)]);
  });

  it('tells of a key that is cut off as of a key, not of a client', () => {
    expect(() => parseAuthorizedKeys('ssh-ed25519 AAAA', 'my-keys')).toThrow('my-keys line 1: the ssh-ed25519 key cannot be used: The public key ends inside its key type.');
  });

  it('passes over DSA keys, which nobody can use any more', () => {
    expect(parseAuthorizedKeys(`ssh-dss AAAAB3NzaC1kc3M= old\n${ED}\n`, 'my-keys').map(({ line }) => line)).toEqual([2]);
  });

  it.each([
    ['a private key', '-----BEGIN OPENSSH PRIVATE KEY-----', 'private key'],
    ['a certificate', 'ssh-ed25519-cert-v01@openssh.com AAAA x', 'cert-authority before it'],
    ['one word', 'nonsense', 'expected a key type'],
    ['a cut key', ED.slice(0, -20), 'cannot be used|not base64'],
    ['a key without data', 'ssh-ed25519', 'not base64'],
    ['another type inside', `ssh-rsa ${ED.split(' ')[1] ?? ''}`, 'another type'],
    ['an RSA key too short', RSA_SHORT, '2048'],
    ['an open quote', `command="x ${ED}`, 'quote'],
    ['a date that is none', `expiry-time="20301301" ${ED}`, 'not a date'],
  ])('is refused with the line named: %s', (_what, line, reason) => {
    expect(() => parseAuthorizedKeys(line, 'my-keys')).toThrow(new RegExp(`my-keys line 1.*(${reason})`));
  });
});
