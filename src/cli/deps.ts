/**
 * What the commands need from the rest of the project. `parts.ts` provides it; a test provides
 * stand-ins.
 */
import type { ProfileName } from '../agent/profiles.js';
import type { Fault } from '../base/errors.js';
import type { Log } from '../base/log.js';
import type { BridgeOptions } from '../bridge/bridge.js';
import type { TierChoice } from '../bridge/session.js';
import type { TunnelEntry } from '../relay/config.js';
import type { ListenAddress } from '../ssh/listen.js';
import type { SshPolicy } from '../ssh/policy.js';
import type { Address } from './address.js';

/** Something that runs until it is closed, or ends by itself. */
export interface Service {
  /** Resolves when it ended by itself: with the reason, or undefined for a normal end. */
  readonly ended: Promise<Fault | undefined>;
  /** Ends it: no connection, process or timer is left. `drain`: clients may finish what they do. */
  close(drain: boolean): Promise<void>;
}

export interface RelaySettings {
  listen: Address;
  tunnels: readonly TunnelEntry[];
  /** PEM texts; undefined serves ws:// instead of wss://. */
  tls: { cert: string; key: string } | undefined;
  /** One way, for each direction. */
  delayMs: number;
  log: Log;
}

export interface RelayService extends Service {
  readonly address: Address;
}

/** How to reach one end of a tunnel. */
export interface TunnelSettings {
  uri: string;
  token: string;
  /** PEM text. */
  ca: string | undefined;
  insecure: boolean;
}

export interface AgentSettings {
  tunnel: TunnelSettings;
  /** The device's own SSH server, or a login shell of this process's user under a password. */
  target: { kind: 'sshd'; address: Address } | { kind: 'local'; password: string; shell: string | undefined };
  profile: ProfileName;
  seed: number;
  /** Switches as NAME=VALUE. */
  faults: readonly string[];
  log: Log;
}

export interface AgentService extends Service {
  /** The tunnel is open for the first time. */
  readonly opened: Promise<void>;
}

export interface BridgeSettings {
  tunnel: TunnelSettings;
  listen: ListenAddress;
  /** undefined: in the state folder. */
  hostKeyFiles: readonly string[] | undefined;
  tier: TierChoice;
  lingerMs: number;
  graceMs: number;
  rawIdleMs: number;
  /** How long clients may finish when the bridge is told to end. */
  drainMs: number;
  policy: SshPolicy;
  bounds: NonNullable<BridgeOptions['bounds']>;
  /** Which keys may log in, and as whom the device knows their owners. */
  keys: { file: string; user: string; password(): Promise<string> } | undefined;
  log: Log;
}

export interface BridgeService extends Service {
  /** For the log, when somebody asks. */
  readonly state: Record<string, unknown>;
  /** Where it listens, with the port that was chosen. */
  readonly address: ListenAddress;
  /** The first host key: algorithm and base64, and its fingerprint. */
  readonly hostKey: { publicKey: string; fingerprint: string };
}

export interface Parts {
  startRelay(settings: RelaySettings): Promise<RelayService>;
  startAgent(settings: AgentSettings): Promise<AgentService>;
  startBridge(settings: BridgeSettings): Promise<BridgeService>;
}
