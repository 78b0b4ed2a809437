import type { Fault } from '../base/errors.js';
import type { Log } from '../base/log.js';
import type { SshPolicy } from '../ssh/policy.js';
import type { ListenAddress } from '../ssh/listen.js';
import { startSshServer, type SshServer, type SshServerOptions } from '../ssh/server.js';
import { TunnelClient } from '../tunnel/client.js';
import type { TunnelOptions } from '../tunnel/options.js';
import { BridgeGateway, type KeyLogin } from './gateway.js';
import type { TierChoice } from './session.js';

/** Default time that the device session outlives its last client. */
export const LINGER_MS = 60_000;
/** Default time that a lost session is fought for, and that the helper waits on the device. */
export const GRACE_MS = 600_000;
/** Default time after which a terminal of the raw tier in which nothing happens ends. */
export const RAW_IDLE_MS = 3_600_000;

export interface BridgeOptions {
  tunnel: Omit<TunnelOptions, 'log'>;
  listen: ListenAddress;
  /** Private keys in OpenSSH's format, best first. */
  hostKeys: readonly string[];
  tier?: TierChoice;
  lingerMs?: number;
  graceMs?: number;
  rawIdleMs?: number;
  policy?: Partial<SshPolicy>;
  /** Bounds of the SSH server; undefined are its defaults. */
  bounds?: Pick<SshServerOptions, 'loginGraceMs' | 'maxUnauthenticated' | 'rekeyBytes' | 'rekeyMs'>;
  keyLogin?: KeyLogin | undefined;
  log: Log;
}

export interface Bridge {
  readonly address: ListenAddress;
  /** See SshServer. */
  readonly hostKey: SshServer['hostKey'];
  /** Resolves when the platform ended the tunnel for good. */
  readonly ended: Promise<Fault>;
  /** How it is now: tunnel, session, link figures, repairs so far. For logs and people. */
  readonly state: Record<string, unknown>;
  /** Stops accepting, lets clients finish for `drainMs`, leaves the device clean, closes the tunnel. */
  close(drainMs?: number): Promise<void>;
}

/** The bridge: an SSH server in front of one tunnel. Rejects with a Fault when it cannot listen. */
export async function startBridge(options: BridgeOptions): Promise<Bridge> {
  const { log } = options;
  const gateway = new BridgeGateway({
    tunnel: () => new TunnelClient({ ...options.tunnel, log }),
    tier: options.tier ?? 'auto',
    lingerMs: options.lingerMs ?? LINGER_MS,
    graceMs: options.graceMs ?? GRACE_MS,
    rawIdleMs: options.rawIdleMs ?? RAW_IDLE_MS,
    keyLogin: options.keyLogin,
    log,
  });
  let over: Fault | undefined;
  const ended = new Promise<Fault>((resolve) => {
    gateway.onTunnelEnded = (fault) => {
      over = fault;
      resolve(fault);
    };
  });
  const server: SshServer = await startSshServer({
    listen: options.listen,
    hostKeys: options.hostKeys,
    gateway,
    log,
    ...options.bounds,
    policy: { publicKeys: options.keyLogin !== undefined, ...options.policy },
  });
  gateway.start();
  return {
    address: server.address,
    hostKey: server.hostKey,
    ended,
    get state() {
      return { connections: server.connections, ...gateway.state };
    },
    close: async (drainMs = 0) => {
      // Who is still logging in learns here why.
      await server.close(drainMs, over);
      await gateway.close();
    },
  };
}
