/**
 * What we offer in the key exchange: OpenSSH 9's own default lists. Left out on purpose: SHA-1, CBC, tags
 * of 64 bits (umac-64), and immediate `zlib` (compression of unauthenticated input). What an operator may
 * still ask for, since a client of his has nothing better, is in WEAK.
 */
import { GROUP_EXCHANGE_KEX } from './group-exchange.js';
import { HYBRIDS } from './hybrid-kex.js';

export const KEX_ALGORITHMS: readonly string[] = [
  ...HYBRIDS.keys(),
  'curve25519-sha256',
  'curve25519-sha256@libssh.org',
  'ecdh-sha2-nistp256',
  'ecdh-sha2-nistp384',
  'ecdh-sha2-nistp521',
  GROUP_EXCHANGE_KEX,
  'diffie-hellman-group16-sha512',
  'diffie-hellman-group18-sha512',
  'diffie-hellman-group14-sha256',
];

/** Terrapin's remedy (OpenSSH PROTOCOL section 1.9): rides in the list of key exchange methods. */
export const STRICT_KEX = 'kex-strict-s-v00@openssh.com';

export const CIPHERS: readonly string[] = [
  'chacha20-poly1305@openssh.com',
  'aes128-ctr',
  'aes192-ctr',
  'aes256-ctr',
  'aes128-gcm@openssh.com',
  'aes256-gcm@openssh.com',
];

export const MACS: readonly string[] = [
  'umac-128-etm@openssh.com',
  'hmac-sha2-256-etm@openssh.com',
  'hmac-sha2-512-etm@openssh.com',
  'umac-128@openssh.com',
  'hmac-sha2-256',
  'hmac-sha2-512',
];

export const COMPRESSION: readonly string[] = ['none', 'zlib@openssh.com'];

/** Host key algorithms per key type, best first. */
export const HOST_KEY_ALGORITHMS: Readonly<Record<string, readonly string[]>> = {
  'ssh-ed25519': ['ssh-ed25519'],
  'ecdsa-sha2-nistp256': ['ecdsa-sha2-nistp256'],
  'ecdsa-sha2-nistp384': ['ecdsa-sha2-nistp384'],
  'ecdsa-sha2-nistp521': ['ecdsa-sha2-nistp521'],
  'ssh-rsa': ['rsa-sha2-512', 'rsa-sha2-256'],
};

/**
 * Signature algorithms accepted for public key authentication, announced as `server-sig-algs`
 * (RFC 8308 section 3.1), with the key type each belongs to. ssh-rsa (SHA-1) only where an operator asks
 * for it, and never from the authority of a certificate; ssh-dss never.
 */
export const SIGNATURE_ALGORITHMS: ReadonlyMap<string, string> = new Map([
  ['ssh-ed25519', 'ssh-ed25519'],
  ['sk-ssh-ed25519@openssh.com', 'sk-ssh-ed25519@openssh.com'],
  ['ecdsa-sha2-nistp256', 'ecdsa-sha2-nistp256'],
  ['ecdsa-sha2-nistp384', 'ecdsa-sha2-nistp384'],
  ['ecdsa-sha2-nistp521', 'ecdsa-sha2-nistp521'],
  ['sk-ecdsa-sha2-nistp256@openssh.com', 'sk-ecdsa-sha2-nistp256@openssh.com'],
  ['rsa-sha2-512', 'ssh-rsa'],
  ['rsa-sha2-256', 'ssh-rsa'],
]);

/** The lists of one server, each best first: what sshd_config calls KexAlgorithms, Ciphers and so on. */
export interface AlgorithmLists {
  readonly kex: readonly string[];
  readonly ciphers: readonly string[];
  readonly macs: readonly string[];
  /** Signatures of the host keys. */
  readonly hostKeys: readonly string[];
  /** Signatures of users' keys. */
  readonly publicKeys: readonly string[];
}

export const DEFAULT_ALGORITHMS: AlgorithmLists = {
  kex: KEX_ALGORITHMS,
  ciphers: CIPHERS,
  macs: MACS,
  hostKeys: Object.values(HOST_KEY_ALGORITHMS).flat(),
  publicKeys: [...SIGNATURE_ALGORITHMS.keys()],
};

/** What is not offered unless it is asked for by name: broken, or about to be. */
export const WEAK: AlgorithmLists = {
  kex: ['diffie-hellman-group14-sha1', 'diffie-hellman-group-exchange-sha1', 'diffie-hellman-group1-sha1'],
  ciphers: ['aes256-cbc', 'aes192-cbc', 'aes128-cbc', '3des-cbc'],
  macs: [
    ...['umac-64-etm@openssh.com', 'umac-64@openssh.com'],
    ...['hmac-sha1-etm@openssh.com', 'hmac-sha1-96-etm@openssh.com', 'hmac-md5-etm@openssh.com', 'hmac-md5-96-etm@openssh.com'],
    ...['hmac-sha1', 'hmac-sha1-96', 'hmac-md5', 'hmac-md5-96'],
  ],
  hostKeys: ['ssh-rsa'],
  publicKeys: ['ssh-rsa'],
};
