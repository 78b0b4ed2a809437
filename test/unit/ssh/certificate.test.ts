/** User certificates, made by OpenSSH's own ssh-keygen. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { Fault } from '../../../src/base/errors.js';
import { authorize, parseAuthorizedKeys } from '../../../src/ssh/authorized-keys.js';
import { readCertificate, signingKey } from '../../../src/ssh/certificate.js';

const DIR = mkdtempSync(join(tmpdir(), 'iotda-ssh-cert-'));
afterAll(() => { rmSync(DIR, { recursive: true }); });

const keygen = (...args: string[]): string => execFileSync('ssh-keygen', ['-q', ...args], { encoding: 'utf8', cwd: DIR });
const read = (name: string): string => readFileSync(join(DIR, name), 'utf8').trim();
const blobOf = (line: string): Buffer => Buffer.from(line.split(' ')[1] ?? '', 'base64');

function makeKey(name: string, type: string, bits = '256'): string {
  keygen('-t', type, '-b', bits, '-N', '', '-C', name, '-f', name);
  return read(`${name}.pub`);
}

let made = 0;
/** A certificate for the user's key, by `authority`. */
function certify(options: readonly string[], authority = 'ca', key = 'user'): Buffer {
  const name = `${key}-${made++}`;
  execFileSync('cp', [`${key}.pub`, `${name}.pub`], { cwd: DIR });
  keygen('-s', authority, '-I', 'somebody', ...options, `${name}.pub`);
  return blobOf(read(`${name}-cert.pub`));
}

const CA = makeKey('ca', 'ed25519');
makeKey('other-ca', 'ed25519');
const USER = makeKey('user', 'ed25519');
const ROOT = { user: 'root', address: '127.0.0.1' };
const authorizedLimits = (...args: Parameters<typeof authorize>) => authorize(...args)?.limits;
const readAny = (blob: Buffer) => readCertificate(blob, () => true);
const authorities = (options = ''): ReturnType<typeof parseAuthorizedKeys> => parseAuthorizedKeys(`cert-authority${options} ${CA}`, 'keys');

describe('a user certificate', () => {
  it('of every type, by an authority of every type, is read and verified', () => {
    makeKey('rsa', 'rsa', '2048');
    makeKey('p256', 'ecdsa', '256');
    makeKey('p384', 'ecdsa', '384');
    makeKey('p521', 'ecdsa', '521');
    for (const key of ['user', 'rsa', 'p256', 'p384', 'p521']) {
      for (const authority of ['ca', 'rsa', 'p256', 'p384', 'p521']) {
        const certificate = readAny(certify(['-n', 'root,admin'], authority, key));
        expect(certificate).toMatchObject({ key: blobOf(read(`${key}.pub`)), authority: blobOf(read(`${authority}.pub`)), id: 'somebody', principals: ['root', 'admin'] });
      }
    }
  });

  it('lets in whom it names, with what it permits', () => {
    const limits = authorizedLimits(authorities(), certify(['-n', 'root']), ROOT);
    expect(limits).toMatchObject({ pty: true, forwarding: true, agentForwarding: true, command: undefined });
    const bare = certify(['-n', 'root', '-O', 'clear', '-O', 'force-command=date']);
    expect(authorizedLimits(authorities(), bare, ROOT)).toMatchObject({ pty: false, forwarding: false, agentForwarding: false, command: 'date' });
    expect(authorizedLimits(authorities(',no-pty,environment="A=b"'), certify(['-n', 'root']), ROOT)).toMatchObject({ pty: false, forwarding: true, environment: { A: 'b' } });
  });

  it('may demand that a security key verified its user', () => {
    const certificate = certify(['-n', 'root', '-O', 'verify-required']);
    expect(authorizedLimits(authorities(), certificate, ROOT)).toMatchObject({ verifyRequired: true, pty: true });
  });

  it('is asked for a principal of the line instead of the user where there are some', () => {
    const certificate = certify(['-n', 'ops']);
    expect(authorizedLimits(authorities(',principals="dev,ops"'), certificate, ROOT)).toBeDefined();
    expect(() => authorizedLimits(authorities(',principals="dev"'), certificate, ROOT)).toThrow('not made out to this user');
    expect(() => authorizedLimits(authorities(',principals="dev"'), certify(['-n', 'root']), ROOT)).toThrow('not made out to this user');
  });

  it.each<[string, readonly string[], string]>([
    ['of another user', ['-n', 'toor'], 'not made out to this user'],
    ['of nobody', [], 'not made out to this user'],
    ['that is over', ['-n', 'root', '-V', '20200101:20210101'], 'not valid at this time'],
    ['that has not begun', ['-n', 'root', '-V', '+1d:+2d'], 'not valid at this time'],
    ['for elsewhere', ['-n', 'root', '-O', 'source-address=10.0.0.0/8'], 'not for clients from here'],
    ['of a host', ['-n', 'root', '-h'], 'not for a user'],
    ['that forces an SFTP server with options', ['-n', 'root', '-O', 'force-command=internal-sftp -R'], 'force-command'],
    ['that wants what nobody knows', ['-n', 'root', '-O', 'critical:new@example.com=x'], 'new@example.com'],
  ])('%s lets nobody in', (_what, options, reason) => {
    expect(() => authorizedLimits(authorities(), certify(options), ROOT)).toThrow(reason);
  });

  it('for addresses lets in from there', () => {
    expect(authorizedLimits(authorities(), certify(['-n', 'root', '-O', 'source-address=10.0.0.0/8,127.0.0.1']), ROOT)).toBeDefined();
  });

  it('with another command than its authority’s line lets nobody in', () => {
    expect(() => authorizedLimits(authorities(',command="uptime"'), certify(['-n', 'root', '-O', 'force-command=date']), ROOT)).toThrow('another command');
  });

  it('is asked of each line of its authority', () => {
    const keys = parseAuthorizedKeys(`cert-authority,principals="nobody" ${CA}\ncert-authority,command="uptime" ${CA}\ncert-authority,no-pty ${CA}`, 'keys');
    expect(authorizedLimits(keys, certify(['-n', 'root']), ROOT)).toMatchObject({ command: 'uptime', pty: true });
    expect(authorizedLimits(keys, certify(['-n', 'root', '-O', 'force-command=date']), ROOT)).toMatchObject({ command: 'date', pty: false });
  });

  it('of a stranger, or of a key that is no authority, lets nobody in', () => {
    expect(authorizedLimits(authorities(), certify(['-n', 'root'], 'other-ca'), ROOT)).toBeUndefined();
    expect(authorizedLimits(parseAuthorizedKeys(CA, 'keys'), certify(['-n', 'root']), ROOT)).toBeUndefined();
    expect(authorizedLimits(authorities(), blobOf(CA), ROOT), 'the authority itself').toBeUndefined();
    expect(authorizedLimits(parseAuthorizedKeys(USER, 'keys'), certify(['-n', 'root']), ROOT), 'the key is authorised, the certificate is not').toBeUndefined();
  });

  it('says what it is in the log of who lets it in', () => {
    expect(authorize(authorities(), certify(['-n', 'root', '-z', '42']), ROOT)?.certificate).toMatchObject({ id: 'somebody', serial: 42n });
  });

  it('that cannot be read is no key to sign with, which ends nothing', () => {
    expect(signingKey('ssh-ed25519-cert-v01@openssh.com', certify(['-n', 'root']).subarray(0, 60))).toBeUndefined();
  });

  it('by SHA-1 is worth nothing', () => {
    expect(() => readAny(certify(['-n', 'root', '-t', 'ssh-rsa'], 'rsa'))).toThrow('not signed by its authority');
  });

  it('is worth nothing when any byte of it is changed, cut off or too many', () => {
    const blob = certify(['-n', 'root', '-O', 'force-command=date']);
    fc.assert(fc.property(fc.nat(blob.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
      const changed = Buffer.from(blob);
      changed.writeUInt8(blob.readUInt8(at) ^ change, at);
      expect(() => readAny(changed)).toThrow(Fault);
    }));
    fc.assert(fc.property(fc.nat(blob.length - 1), (length) => {
      expect(() => readAny(blob.subarray(0, length))).toThrow(Fault);
    }));
    expect(() => readAny(Buffer.concat([blob, Buffer.of(0)]))).toThrow('after its end');
  });

  it('is signed for by the key within it, under the algorithms of its type', () => {
    const [ed, rsa] = [certify(['-n', 'root']), certify(['-n', 'root'], 'ca', 'rsa')];
    expect(signingKey('ssh-ed25519-cert-v01@openssh.com', ed)).toEqual({ algorithm: 'ssh-ed25519', blob: blobOf(USER) });
    expect(signingKey('rsa-sha2-512-cert-v01@openssh.com', rsa)).toEqual({ algorithm: 'rsa-sha2-512', blob: blobOf(read('rsa.pub')) });
    expect(signingKey('ssh-rsa-cert-v01@openssh.com', rsa)).toBeUndefined();
    expect(signingKey('ssh-rsa', blobOf(read('rsa.pub')))?.algorithm).toBe('ssh-rsa');
    for (const algorithm of ['ssh-ed25519', 'ssh-rsa-cert-v01@openssh.com', 'rsa-sha2-512-cert-v01@openssh.com', '-cert-v01@openssh.com']) {
      expect(signingKey(algorithm, ed)).toBeUndefined();
    }
    expect(signingKey('ssh-ed25519-cert-v01@openssh.com', blobOf(USER))).toBeUndefined();
  });
});
