/**
 * Message numbers and the messages we send (RFC 4250 to 4254 and OpenSSH's PROTOCOL file). Pure:
 * each function gives one packet's payload.
 */
import type { Outcome } from '../mux/device.js';
import { pack } from './wire.js';

export const MSG = {
  DISCONNECT: 1,
  IGNORE: 2,
  UNIMPLEMENTED: 3,
  DEBUG: 4,
  SERVICE_REQUEST: 5,
  SERVICE_ACCEPT: 6,
  EXT_INFO: 7,
  KEXINIT: 20,
  USERAUTH_REQUEST: 50,
  USERAUTH_FAILURE: 51,
  USERAUTH_SUCCESS: 52,
  USERAUTH_BANNER: 53,
  USERAUTH_PK_OK: 60,
  USERAUTH_INFO_REQUEST: 60,
  USERAUTH_INFO_RESPONSE: 61,
  GLOBAL_REQUEST: 80,
  REQUEST_SUCCESS: 81,
  REQUEST_FAILURE: 82,
  CHANNEL_OPEN: 90,
  CHANNEL_OPEN_CONFIRMATION: 91,
  CHANNEL_OPEN_FAILURE: 92,
  CHANNEL_WINDOW_ADJUST: 93,
  CHANNEL_DATA: 94,
  CHANNEL_EXTENDED_DATA: 95,
  CHANNEL_EOF: 96,
  CHANNEL_CLOSE: 97,
  CHANNEL_REQUEST: 98,
  CHANNEL_SUCCESS: 99,
  CHANNEL_FAILURE: 100,
} as const;

/** RFC 4250 section 4.2.2. */
export const DISCONNECT = {
  PROTOCOL_ERROR: 2,
  SERVICE_NOT_AVAILABLE: 7,
  CONNECTION_LOST: 10,
  BY_APPLICATION: 11,
  TOO_MANY_CONNECTIONS: 12,
  NO_MORE_AUTH_METHODS: 14,
} as const;

/** RFC 4250 section 4.3. */
export const OPEN_FAILURE = {
  PROHIBITED: 1,
  CONNECT_FAILED: 2,
  UNKNOWN_TYPE: 3,
  RESOURCE_SHORTAGE: 4,
} as const;

/** SSH_EXTENDED_DATA_STDERR. */
export const STDERR = 1;

/** Longest text put into a message for people; OpenSSH shows 400 bytes of a disconnect reason. */
const MAX_TEXT = 1000;

/** Signals with a standard name (RFC 4254 section 6.10); OpenSSH qualifies the others. */
const STANDARD_SIGNALS = new Set([
  'ABRT', 'ALRM', 'FPE', 'HUP', 'ILL', 'INT', 'KILL', 'PIPE', 'QUIT', 'SEGV', 'TERM', 'USR1', 'USR2',
]);

export function isStandardSignal(name: string): boolean {
  return STANDARD_SIGNALS.has(name);
}

export const message = {
  disconnect: (reason: number, text: string): Buffer =>
    pack({ byte: MSG.DISCONNECT }, { uint32: reason }, { string: forPeople(text) }, { string: '' }),
  unimplemented: (sequence: number): Buffer => pack({ byte: MSG.UNIMPLEMENTED }, { uint32: sequence }),
  serviceAccept: (service: string): Buffer => pack({ byte: MSG.SERVICE_ACCEPT }, { string: service }),
  extInfo: (entries: readonly (readonly [name: string, value: string])[]): Buffer =>
    pack(
      { byte: MSG.EXT_INFO },
      { uint32: entries.length },
      ...entries.flatMap(([name, value]) => [{ string: name }, { string: value }]),
    ),

  authFailure: (methods: readonly string[]): Buffer =>
    pack({ byte: MSG.USERAUTH_FAILURE }, { string: methods.join(',') }, { bool: false }),
  authBanner: (text: Buffer): Buffer =>
    pack({ byte: MSG.USERAUTH_BANNER }, { string: text }, { string: '' }),
  authKeyOk: (algorithm: string, blob: Buffer): Buffer =>
    pack({ byte: MSG.USERAUTH_PK_OK }, { string: algorithm }, { string: blob }),
  authPrompt: (prompt: string): Buffer =>
    pack(
      { byte: MSG.USERAUTH_INFO_REQUEST },
      { string: '' }, { string: '' }, { string: '' },
      { uint32: 1 }, { string: prompt }, { bool: false },
    ),

  requestSuccess: (answer: Buffer = Buffer.alloc(0)): Buffer => pack({ byte: MSG.REQUEST_SUCCESS }, { raw: answer }),
  requestFailure: (): Buffer => pack({ byte: MSG.REQUEST_FAILURE }),

  channelOpen: (type: string, local: number, window: number, maxPacket: number, rest: Buffer): Buffer =>
    pack(
      { byte: MSG.CHANNEL_OPEN }, { string: type },
      { uint32: local }, { uint32: window }, { uint32: maxPacket }, { raw: rest },
    ),
  channelConfirm: (remote: number, local: number, window: number, maxPacket: number): Buffer =>
    pack(
      { byte: MSG.CHANNEL_OPEN_CONFIRMATION },
      { uint32: remote }, { uint32: local }, { uint32: window }, { uint32: maxPacket },
    ),
  channelRefuse: (remote: number, reason: number, text: string): Buffer =>
    pack(
      { byte: MSG.CHANNEL_OPEN_FAILURE },
      { uint32: remote }, { uint32: reason }, { string: forPeople(text) }, { string: '' },
    ),
  windowAdjust: (remote: number, bytes: number): Buffer =>
    pack({ byte: MSG.CHANNEL_WINDOW_ADJUST }, { uint32: remote }, { uint32: bytes }),
  channelEof: (remote: number): Buffer => pack({ byte: MSG.CHANNEL_EOF }, { uint32: remote }),
  channelClose: (remote: number): Buffer => pack({ byte: MSG.CHANNEL_CLOSE }, { uint32: remote }),
  channelSuccess: (remote: number): Buffer => pack({ byte: MSG.CHANNEL_SUCCESS }, { uint32: remote }),
  channelFailure: (remote: number): Buffer => pack({ byte: MSG.CHANNEL_FAILURE }, { uint32: remote }),

  /** What stands before `length` bytes of channel data; the bytes follow without a copy of their own. */
  dataHead: (remote: number, stream: 'out' | 'err', length: number): Buffer =>
    stream === 'out'
      ? pack({ byte: MSG.CHANNEL_DATA }, { uint32: remote }, { uint32: length })
      : pack({ byte: MSG.CHANNEL_EXTENDED_DATA }, { uint32: remote }, { uint32: STDERR }, { uint32: length }),

  outcome: (remote: number, outcome: Outcome): Buffer => {
    const head = [{ byte: MSG.CHANNEL_REQUEST }, { uint32: remote }] as const;
    if (outcome.kind === 'status') {
      return pack(...head, { string: 'exit-status' }, { bool: false }, { uint32: outcome.status });
    }
    const name = STANDARD_SIGNALS.has(outcome.signal) ? outcome.signal : `${outcome.signal}@openssh.com`;
    return pack(
      ...head, { string: 'exit-signal' }, { bool: false },
      { string: name }, { bool: outcome.coreDumped }, { string: forPeople(outcome.message) }, { string: '' },
    );
  },
};

function forPeople(text: string): string {
  return text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT - 1)}…` : text;
}
