/**
 * What the commands need from the rest of the project. `parts.ts` provides it; a test provides
 * stand-ins.
 */
import type { Fault } from '../base/errors.js';
import type { Log } from '../base/log.js';
import type { SshPolicy } from '../ssh/policy.js';
import type { Address } from './address.js';
import type { TunnelEntry } from './tunnels-file.js';

/** Something that runs until it is closed, or ends by itself. */
export interface Service {
  /** Resolves when it ended by itself: with the reason, or undefined for a normal end. */
  readonly ended: Promise<Fault | undefined>;
  /** Ends it: no connection, process or timer is left. */
  close(): Promise<void>;
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
  /** The device's own SSH server, or a login shell of this user under a password. */
  target: { kind: 'sshd'; address: Address } | { kind: 'local'; user: string; password: string };
  profile: string;
  seed: number;
  /** Switches as NAME=VALUE. */
  faults: readonly string[];
  log: Log;
}

export interface BridgeSettings {
  tunnel: TunnelSettings;
  listen: Address;
  /** Path of the host key; made there when it does not exist. */
  hostKeyFile: string;
  tier: 'auto' | 'python' | 'sh' | 'raw';
  lingerMs: number;
  graceMs: number;
  policy: SshPolicy;
  /** Which keys may log in, and as whom the device knows their owners. */
  keys: { file: string; user: string; password(): Promise<string> } | undefined;
  log: Log;
}

export interface BridgeService extends Service {
  /** Where it listens, with the port that was chosen. */
  readonly address: Address;
  /** The public host key: algorithm and base64. */
  readonly hostKey: string;
}

export interface Parts {
  startRelay(settings: RelaySettings): Promise<Service & { readonly address: Address }>;
  startAgent(settings: AgentSettings): Promise<Service>;
  startBridge(settings: BridgeSettings): Promise<BridgeService>;
}
