/**
 * The part of npm ssh2 that we build on: its packet layer, ciphers, key exchange and compression
 * (`lib/protocol`). Its server.js and Channel.js are not used: authentication and channels are ours
 * (auth.ts, connection.ts), because that is where most of the library's deviations from sshd live.
 *
 * The modules are loaded as a private copy with a few exact text edits, so that an ssh2 client
 * elsewhere in the process is not affected and the order of imports does not matter. An edit whose
 * text is not found exactly once stops the start: another version of ssh2 wants a new look.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, resolve, sep } from 'node:path';
import { compileFunction } from 'node:vm';
import { Fault } from '../base/errors.js';
import { groupExchangeClass } from './group-exchange.js';
import { HYBRIDS, hybridExchangeClass } from './hybrid-kex.js';
import { FURTHER_MACS, createMac } from './macs.js';

/** OpenSSH's own PACKET_MAX_SIZE: an exec request may carry a command of 128 kB and more. */
export const MAX_PACKET_BYTES = 256 * 1024;

interface Edit {
  file: string;
  find: string;
  replace: string;
  why: string;
}

export const EDITS: readonly Edit[] = [
  {
    file: 'crypto.js',
    find: 'const MAX_PACKET_SIZE = 35000;',
    replace: `const MAX_PACKET_SIZE = ${MAX_PACKET_BYTES};`,
    why: 'OpenSSH sends packets up to 256 kB; the library ends the connection above 35,000 bytes.',
  },
  {
    file: 'crypto.js',
    find: "    'hmac-md5': info('md5', 16, 16, false),\n",
    replace: `${[...FURTHER_MACS].map(([name, mac]) => `    '${name}': info('${mac.hash}', ${mac.keyBytes}, ${mac.tagBytes}, ${name.includes('-etm@')}),\n`).join('')}    'hmac-md5': info('md5', 16, 16, false),\n`,
    why: 'MACs that OpenSSH has and the library has not.',
  },
  {
    file: 'crypto.js',
    find: 'createCipheriv, createDecipheriv, createHmac, randomFillSync, timingSafeEqual\n} = require(\'crypto\');',
    replace: "createCipheriv, createDecipheriv, randomFillSync, timingSafeEqual\n} = require('crypto');\nconst createHmac = require('iotda-ssh:mac');",
    why: 'The same: what computes them.',
  },
  {
    file: 'crypto.js',
    find: 'return (GenericCipher && !forceNative\n',
    replace: "return (GenericCipher && !forceNative && !outbound.macInfo.sslName.startsWith('umac')\n",
    why: 'The same: the compiled addon has OpenSSL\'s alone.',
  },
  {
    file: 'crypto.js',
    find: 'return (GenericDecipher && !forceNative\n',
    replace: "return (GenericDecipher && !forceNative && !inbound.macInfo.sslName.startsWith('umac')\n",
    why: 'The same.',
  },
  {
    file: 'kex.js',
    find: 'if (firstFollows && (!remote.kex.length || clientList[i] !== remote.kex[0])) {',
    replace: 'if (firstFollows && (clientList[0] !== serverList[0] || remote.serverHostKey[0] !== local.lists.serverHostKey.array[0])) {',
    why: 'RFC 4253 section 7: a guessed packet is dropped if the first names differ. The library drops right guesses too (it overwrites the list it compares with), and dropbear waits for the answer for ever.',
  },
  {
    file: 'kex.js',
    find: "        case 'curve25519-sha256':\n",
    replace: `${[...HYBRIDS.keys()].map((name) => `        case '${name}':\n`).join('')}          return new (require('iotda-ssh:hybrid-kex')(KeyExchange, kexType))(...args);\n        case 'curve25519-sha256':\n`,
    why: 'The library has no post-quantum key exchange; OpenSSH 10 warns at each connection without one.',
  },
  {
    file: 'kex.js',
    find: "return new DHGroupExchange('sha256', ...args);",
    replace: "return new (require('iotda-ssh:group-exchange')(DHGroupExchange, KeyExchange))('sha256', ...args);",
    why: 'The library can be the client of a group exchange only.',
  },
  {
    file: 'kex.js',
    find: "return new DHGroupExchange('sha1', ...args);",
    replace: "return new (require('iotda-ssh:group-exchange')(DHGroupExchange, KeyExchange))('sha1', ...args);",
    why: 'The same, for those who ask for it.',
  },
  {
    file: 'kex.js',
    find: 'packet[p] = MESSAGE.KEXDH_REPLY;',
    replace: "packet[p] = this.type === 'groupex' ? MESSAGE.KEXDH_GEX_REPLY : MESSAGE.KEXDH_REPLY;",
    why: 'The answer of a group exchange has a number of its own (RFC 4419 section 5).',
  },
  {
    file: 'kex.js',
    find: "            this.finish();\n          } else {\n            // Client",
    replace: "            if (this.finish() === Infinity) return Infinity;\n          } else {\n            // Client",
    why: 'An exchange that failed has ended the connection. The library goes on with what follows in the same segment.',
  },
  {
    file: 'Protocol.js',
    find: '    this._decipher && this._decipher.free();\n',
    replace: '    if (this._decipher) setImmediate((decipher) => decipher.free(), this._decipher);\n',
    why: 'Whatever ends the connection is called from within the decipher, whose compiled form crashes the process when it goes on after it was freed.',
  },
  {
    file: 'kex.js',
    find: 'onKEXPayload.bind(self, { firstPacket: false });',
    replace: 'onKEXPayload.bind(self, { firstPacket: false, isRenewal: true });',
    why: 'For the next edit.',
  },
  {
    file: 'kex.js',
    find: '  if (!this._strictMode) {\n',
    replace: '  if (state.isRenewal && (type < 20 || type > 49)) return this._onPayloadInRenewal(payload);\n  if (!this._strictMode) {\n',
    why: 'Only the first exchange is strict. When it renews keys, asyncssh sends IGNORE and even one packet of data behind its KEXINIT; sshd takes both, the library ends the connection.',
  },
];

/** A parsed host key as the key exchange uses it. */
export interface HostKey {
  readonly type: string;
  getPublicSSH(): Buffer;
  getPrivatePEM(): string | null;
  /** In ASN.1 for ECDSA; see convertSignature. */
  sign(data: Buffer, hash?: string): Buffer | Error;
}

/** The members of ssh2's Protocol instances that transport.ts touches. */
export interface Ssh2Protocol {
  parse(chunk: Buffer, start: number, length: number): void;
  start(): void;
  cleanup(): void;
  rekey(): void;
  authSuccess(): void;
  _onPayload: (payload: Buffer) => unknown;
  /** What comes between the KEXINIT of a renewal and its end; one of our edits. Decompressed already. */
  _onPayloadInRenewal: (payload: Buffer) => unknown;
  _onHandshakeComplete: (...args: unknown[]) => void;
  /** Our KEXINIT while a key exchange runs, else undefined. */
  _kexinit: Buffer | undefined;
  /** Packets waiting for the end of a key exchange. */
  _queue: Buffer[] | undefined;
  _authsQueue: string[];
  _kex: { sessionID: Buffer; remoteExtInfoEnabled: boolean; negotiated: Negotiated; _sentNEWKEYS?: boolean; _kexinit?: Buffer } | undefined;
  _decipher: { inSeqno: number };
  _packetRW: {
    read: { read(payload: Buffer): Buffer; _zlib?: { _maxOutputLength: number } };
    write: { allocStart: number; allocStartKEX: number; alloc(length: number, force?: boolean): Buffer; finalize(packet: Buffer, force?: boolean): Buffer };
  };
}

export interface Negotiated {
  kex: string;
  serverHostKey: string;
  cs: { cipher: string; mac: string; compress: string };
  sc: { cipher: string; mac: string; compress: string };
}

export interface ProtocolConfig {
  server: true;
  hostKeys: Record<string, HostKey>;
  ident: Buffer;
  offer: object;
  messageHandlers: Record<string, never>;
  onWrite(data: Buffer): void;
  onError(error: Error): void;
  onHandshakeComplete(): void;
}

export interface AlgorithmOffer {
  kex: readonly string[];
  serverHostKey: readonly string[];
  cipher: readonly string[];
  mac: readonly string[];
  compress: readonly string[];
}

export interface Ssh2Core {
  /** Resolves once the library's pure JavaScript ciphers can be used. */
  ready: Promise<void>;
  createProtocol(config: ProtocolConfig): Ssh2Protocol;
  createOffer(offer: AlgorithmOffer): object;
  parsePrivateKey(text: string): HostKey | Error;
  /** A signature in SSH's form; undefined when the key cannot sign. */
  sign(key: HostKey, data: Buffer, hash: string | undefined): Buffer | undefined;
  onKexInit(protocol: Ssh2Protocol, payload: Buffer): unknown;
  sendPacket(protocol: Ssh2Protocol, packet: Buffer, evenDuringKeyExchange?: boolean): void;
}

/** `nativeCiphers` false leaves out the compiled addon, as on a machine without a compiler. */
export function loadSsh2(options: { nativeCiphers?: boolean } = {}): Ssh2Core {
  const load = privateLoader(options.nativeCiphers ?? true);
  const crypto = load('crypto.js') as { init: Promise<void> };
  const kex = load('kex.js') as {
    KexInit: new (lists: object) => object;
    HANDLERS: Record<number, (protocol: Ssh2Protocol, payload: Buffer) => unknown>;
  };
  const keys = load('keyParser.js') as { parseKey(text: string): HostKey | HostKey[] | Error };
  const Protocol = load('Protocol.js') as new (config: ProtocolConfig) => Ssh2Protocol;
  const utils = load('utils.js') as { sendPacket: Ssh2Core['sendPacket']; convertSignature(signature: Buffer, type: string): Buffer | false };
  const onKexInit = kex.HANDLERS[20];
  if (onKexInit === undefined) throw new Fault('INTERNAL', 'ssh2 has no KEXINIT handler: its version is not the one this program was made for.');
  return {
    ready: crypto.init,
    createProtocol: (config) => new Protocol(config),
    createOffer: (offer) => {
      const way = { cipher: offer.cipher, mac: offer.mac, compress: offer.compress, lang: [] };
      return new kex.KexInit({ kex: offer.kex, serverHostKey: offer.serverHostKey, cs: way, sc: way });
    },
    parsePrivateKey: (text) => {
      const parsed = keys.parseKey(text);
      const key = Array.isArray(parsed) ? parsed[0] : parsed;
      if (key === undefined) return new Error('no key in it');
      if (!(key instanceof Error) && key.getPrivatePEM() === null) return new Error('it holds a public key');
      return key;
    },
    sign: (key, data, hash) => {
      const made = key.sign(data, hash);
      const signature = made instanceof Error ? false : utils.convertSignature(made, key.type);
      return signature === false ? undefined : signature;
    },
    onKexInit,
    sendPacket: utils.sendPacket,
  };
}

/** The class for a name that the edit above lets through. */
function hybridExchangeFor(Base: Parameters<typeof hybridExchangeClass>[0], name: string): ReturnType<typeof hybridExchangeClass> {
  const hybrid = HYBRIDS.get(name);
  if (hybrid === undefined) throw new Fault('INTERNAL', `There is no key exchange ${name}.`);
  return hybridExchangeClass(Base, hybrid);
}

function privateLoader(nativeCiphers: boolean): (file: string) => unknown {
  const folder = dirname(createRequire(import.meta.url).resolve('ssh2/lib/protocol/Protocol.js'));
  const loaded = new Map<string, { exports: unknown }>();

  function load(path: string): unknown {
    const known = loaded.get(path);
    if (known !== undefined) return known.exports;
    const module: { exports: unknown } = { exports: {} };
    loaded.set(path, module);
    const outside = createRequire(path);
    const requireInside = (id: string): unknown => {
      if (id === 'iotda-ssh:hybrid-kex') return hybridExchangeFor;
      if (id === 'iotda-ssh:group-exchange') return groupExchangeClass;
      if (id === 'iotda-ssh:mac') return createMac;
      if (id.endsWith('.node') && !nativeCiphers) throw new Error('native ciphers are switched off');
      const target = id.startsWith('.') ? outside.resolve(id) : id;
      return dirname(target) === folder && target.endsWith('.js') ? load(target) : outside(id);
    };
    const run = compileFunction(edited(path, folder), ['exports', 'require', 'module', '__filename', '__dirname'], {
      filename: path,
    }) as (...args: unknown[]) => void;
    run(module.exports, requireInside, module, path, dirname(path));
    return module.exports;
  }
  return (file) => load(resolve(folder, file));
}

function edited(path: string, folder: string): string {
  let source = readFileSync(path, 'utf8');
  for (const edit of EDITS) {
    if (path !== folder + sep + edit.file) continue;
    if (source.split(edit.find).length !== 2) {
      throw new Fault('INTERNAL', `ssh2's ${edit.file} is not the one this program was made for (${edit.why}): install the version in package-lock.json.`);
    }
    source = source.replace(edit.find, () => edit.replace);
  }
  return source;
}
