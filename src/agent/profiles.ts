/**
 * The device agents known, each as a table. Figures with a source: "measured" was measured on the
 * stock C agent (libssh 0.10.6, noPoll 0.4.8), "read" was read in the SDK's code.
 */
import { Fault } from '../base/errors.js';
import type { Behaviour, BehaviourName } from './behaviour.js';

export const PROFILE_NAMES = ['sound', 'c-agent', 'c-agent-g2', 'c-agent-g1', 'csharp-agent'] as const;
export type ProfileName = (typeof PROFILE_NAMES)[number];

/** The protocol as documented, in the C agent's order, without any fault. */
const SOUND: Behaviour = {
  json: 'compact',
  parser: 'tolerant',
  emptyMessageCloses: false,
  missingFieldCrashes: false,
  requestIdBytes: 0,
  outputId: 'connect',
  oneMessagePerRead: false,
  recordBytes: 0,
  keepalive: 'ping',
  keepaliveMs: 20_000,
  deadPeerMs: 60_000,
  reconnectTries: Infinity,
  reconnectStepMs: 1000,
  connectResponse: 'before-login',
  firstOutputMs: 0,
  bannerTwiceRate: 0,
  loginFailure: 'disconnect-400',
  refusalMs: 100,
  secondConnect: 'replace',
  term: 'xterm',
  cols: 128,
  rows: 30,
  readBytes: 2048,
  outputText: 'whole',
  nulCutsChunk: false,
  trailingGarbageRate: 0,
  frameBufferBytes: 0,
  readWindowMs: 0,
  windowBlocks: false,
  laggingReceiver: 'wait',
  sendBufferBytes: 256 * 1024,
  outputLossRate: 0,
  outputReorderRate: 0,
  nulCutsCommand: false,
  commandLossRate: 0,
  commandReorderRate: 0,
  fragmentLossRate: 0,
  fragmentBytes: 1400,
  typingBlocks: false,
  appDisconnect: 'end-session',
  silentDeathRate: 0,
  silentDeathMinBytes: 0,
  stallRate: 0,
  stallForGoodRate: 0,
  hangRate: 0,
  crashRate: 0,
  recoveryCrashRate: 0,
  floodFrames: 0,
  floodMs: 1000,
  floodMinBytes: 0,
  restartMs: 3000,
  exitNoticeRate: 1,
  lossNotice: true,
  exitDeadlocks: false,
  deadlockCrashRate: 0,
  typingAfterEndCloses: false,
};

/** The C SDK since September 2023 (third generation): a reader thread that races the writer. */
const C_AGENT: Behaviour = {
  ...SOUND,
  json: 'cjson',
  parser: 'cjson',
  emptyMessageCloses: true,
  missingFieldCrashes: true,
  requestIdBytes: 36,
  outputId: 'last-request',
  oneMessagePerRead: true,
  recordBytes: 16_384, // seen: a burst of 10,000 and 6,477 bytes loses the second, every time
  deadPeerMs: 0,
  reconnectTries: 10,
  outputText: 'raw',
  nulCutsChunk: true,
  trailingGarbageRate: 0, // read, never seen in 1,500 full chunks
  laggingReceiver: 'drop',
  nulCutsCommand: true,
  typingBlocks: true,
  appDisconnect: 'ignore',
  silentDeathRate: 1 / 1000, // measured: one per 450 to 1,300 command frames
  silentDeathMinBytes: 8,
  stallRate: 1 / 5000,
  stallForGoodRate: 1 / 10_000,
  hangRate: 1 / 8000, // seen with libssh: 3 in 25,000 command frames
  recoveryCrashRate: 5 / 37, // measured
  floodFrames: 200, // measured: a flood of 2 kB commands crashes within seconds, stop-and-wait never
  floodMinBytes: 1024,
  exitNoticeRate: 41 / 48, // measured
  lossNotice: false,
  exitDeadlocks: true,
  deadlockCrashRate: 0.5,
};

/** July 2023: output read in windows of 2 s, one thread per command over one buffer (read). */
const C_AGENT_G2: Behaviour = {
  ...C_AGENT,
  readWindowMs: 2000,
  outputReorderRate: 1 / 200,
  commandReorderRate: 1 / 20,
  silentDeathRate: 0,
  stallRate: 0,
  stallForGoodRate: 0,
  hangRate: 0,
  recoveryCrashRate: 0,
  floodFrames: 0,
  exitNoticeRate: 0,
  exitDeadlocks: false,
};

/** December 2022 to July 2023: one thread, windows of 100 ms, a frame buffer of 2,304 bytes (read). */
const C_AGENT_G1: Behaviour = {
  ...C_AGENT_G2,
  readWindowMs: 100,
  windowBlocks: true,
  frameBufferBytes: 2304,
  outputReorderRate: 0,
  commandReorderRate: 0,
  cols: 80,
  rows: 24,
};

/** The C# SDK (July 2024, SSH.NET): read, not measured. */
const CSHARP_AGENT: Behaviour = {
  ...SOUND,
  parser: 'strict',
  keepalive: 'pong',
  keepaliveMs: 2000,
  deadPeerMs: 0,
  reconnectTries: 0,
  connectResponse: 'after-login',
  firstOutputMs: 50,
  bannerTwiceRate: 0.5,
  loginFailure: 'close-1011',
  secondConnect: 'ignore',
  term: 'iotda',
  outputText: 'per-chunk',
  appDisconnect: 'close-1000',
  exitNoticeRate: 0,
  lossNotice: false,
  typingAfterEndCloses: true,
};

export const PROFILES: Readonly<Record<ProfileName, Readonly<Behaviour>>> = {
  sound: SOUND,
  'c-agent': C_AGENT,
  'c-agent-g2': C_AGENT_G2,
  'c-agent-g1': C_AGENT_G1,
  'csharp-agent': CSHARP_AGENT,
};

/** Switches with a fixed set of words; every other one is a number or true/false. */
const WORDS: { readonly [N in BehaviourName]?: readonly Behaviour[N][] } = {
  json: ['cjson', 'compact'],
  parser: ['tolerant', 'cjson', 'strict'],
  outputId: ['last-request', 'connect'],
  keepalive: ['ping', 'pong'],
  connectResponse: ['before-login', 'after-login'],
  loginFailure: ['disconnect-400', 'close-1011'],
  secondConnect: ['replace', 'ignore'],
  outputText: ['raw', 'per-chunk', 'whole'],
  laggingReceiver: ['wait', 'drop'],
  appDisconnect: ['ignore', 'end-session', 'close-1000'],
};

/** A profile with some switches changed. Throws a Fault (USAGE) that names what is wrong. */
export function behaviourOf(profile: ProfileName, overrides: Partial<Behaviour> = {}): Behaviour {
  if (!PROFILE_NAMES.includes(profile)) {
    throw new Fault('USAGE', `unknown device profile ${JSON.stringify(profile)}: use one of ${PROFILE_NAMES.join(', ')}`);
  }
  for (const [name, value] of Object.entries(overrides)) checkSwitch(name, value);
  return { ...PROFILES[profile], ...overrides };
}

/** Reads switches written `name=value`, as options give them. Throws a Fault (USAGE). */
export function parseOverrides(texts: readonly string[]): Partial<Behaviour> {
  const overrides: Record<string, unknown> = {};
  for (const text of texts) {
    const [name = '', value] = text.split(/=(.*)/s, 2);
    if (value === undefined) throw new Fault('USAGE', `device fault ${JSON.stringify(text)} is not of the form name=value`);
    const usual: unknown = SOUND[name as BehaviourName];
    const typed =
      typeof usual === 'number' && value.trim() !== '' ? Number(value)
      : typeof usual === 'boolean' && (value === 'true' || value === 'false') ? value === 'true'
      : value;
    checkSwitch(name, typed);
    overrides[name] = typed;
  }
  return overrides as Partial<Behaviour>;
}

function checkSwitch(name: string, value: unknown): void {
  const usual: unknown = Object.hasOwn(SOUND, name) ? SOUND[name as BehaviourName] : undefined;
  if (usual === undefined) throw new Fault('USAGE', `unknown device fault ${JSON.stringify(name)}`);
  const expected = expectedOf(name as BehaviourName, usual, value);
  if (expected !== undefined) {
    throw new Fault('USAGE', `device fault ${name} must be ${expected}, not ${JSON.stringify(value)}`);
  }
}

/** What the switch should have been, or undefined when the value is good. */
function expectedOf(name: BehaviourName, usual: unknown, value: unknown): string | undefined {
  const words: readonly unknown[] | undefined = WORDS[name];
  if (words !== undefined) return words.includes(value) ? undefined : `one of ${words.join(', ')}`;
  if (typeof usual === 'boolean') return typeof value === 'boolean' ? undefined : 'true or false';
  if (typeof usual === 'string') return typeof value === 'string' && value !== '' ? undefined : 'a word';
  if (typeof value !== 'number' || Number.isNaN(value)) return 'a number';
  if (name.endsWith('Rate')) return value >= 0 && value <= 1 ? undefined : 'a chance from 0 to 1';
  if (name === 'restartMs') return value >= -1 ? undefined : 'milliseconds, or -1';
  if (name === 'readBytes' || name === 'cols' || name === 'rows') return value >= 1 ? undefined : 'at least 1';
  return value >= 0 ? undefined : 'a number from 0';
}
