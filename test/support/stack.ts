/**
 * The whole path on loopback, each part a process of its own made from `dist`: a real sshd as the
 * device, `iotda-ssh device` beside it, `iotda-ssh relay` between, `iotda-ssh bridge` in front.
 */
import { randomBytes, randomUUID } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { start, type Program, type StartOptions } from './program.js';
import type { Scope } from './scope.js';
import type { Target } from './ssh.js';
import { startSshd, type Sshd, type SshdOptions } from './sshd.js';
import { throwawayUser, type ThrowawayUser, type UserOptions } from './user.js';
import { waitFor } from './wait.js';

/** The program under test. */
export const IOTDA_SSH = fileURLToPath(new URL('../../bin/iotda-ssh', import.meta.url));

export interface ReadyFile {
  pid: number;
  host: string;
  port: number;
  socket?: string;
  user?: string;
  hostKeyFingerprint?: string;
  knownHosts?: string;
}

export interface StackOptions extends UserOptions {
  /** Behaviour of the device agent; default 'sound'. */
  profile?: 'sound' | 'c-agent' | 'c-agent-g2' | 'c-agent-g1' | 'csharp-agent';
  seed?: number;
  tier?: 'auto' | 'python' | 'sh' | 'raw';
  /** One-way delay in the relay, in milliseconds. */
  delayMs?: number;
  sshd?: SshdOptions;
  relayArgs?: readonly string[];
  deviceArgs?: readonly string[];
  bridgeArgs?: readonly string[];
  /** Variables of the bridge that need to know the throwaway user. */
  bridgeEnv?: (account: ThrowawayUser) => Record<string, string>;
}

/** A running stack. Also a `Target`: give it to `ssh()`. */
export interface Stack extends Target {
  /** The same user at the device's own sshd, for comparing the bridge with it. */
  direct: Target;
  account: ThrowawayUser;
  sshd: Sshd;
  relay: Program;
  device: Program;
  bridge: Program;
  /** Starts the device agent again after the test has stopped it. */
  restartDevice(): Program;
}

/** Starts a command of this project and waits for its ready file. */
export async function startCommand(
  scope: Scope,
  args: readonly string[],
  options: StartOptions = {},
): Promise<{ program: Program; ready: ReadyFile }> {
  const file = join(await scope.tempDir('ready'), 'ready.json');
  const program = start(scope, process.execPath, [IOTDA_SSH, ...args, '--ready-file', file], options);
  const ready = await waitFor(`iotda-ssh ${args[0]} to be ready`, async () => {
    if (!program.running) throw new Error(`iotda-ssh ${args.join(' ')} ended: ${program.stderr}`);
    return readFile(file, 'utf8').catch(() => undefined);
  });
  return { program, ready: JSON.parse(ready) as ReadyFile };
}

/** Starts sshd with a throwaway user, relay, device agent and bridge; all end with the scope. */
export async function startStack(scope: Scope, options: StackOptions = {}): Promise<Stack> {
  const account = await throwawayUser(scope, options);
  const sshd = await startSshd(scope, { users: [account.name], ...options.sshd });
  const dir = await scope.tempDir('stack');
  const logs = ['--log-level', 'debug', '--log-format', 'json'];

  const tunnel = { tunnel_id: randomUUID(), device_id: 'device-1', source_token: secret(), device_token: secret() };
  const tunnels = await secretFile(dir, 'tunnels.json', JSON.stringify([tunnel]));
  const delay = ['--delay', String(options.delayMs ?? 0)];
  const relay = await startCommand(scope, ['relay', '--listen', '127.0.0.1:0', '--tunnels', tunnels, ...delay, ...logs, ...(options.relayArgs ?? [])]);
  const base = `ws://127.0.0.1:${relay.ready.port}/v5/iot/tunnels/${tunnel.tunnel_id}`;

  const deviceToken = await secretFile(dir, 'device-token', tunnel.device_token);
  const deviceArgs = [
    ...[IOTDA_SSH, 'device', '--tunnel-uri', `${base}/device-connect`, '--token-file', deviceToken],
    ...['--sshd', `127.0.0.1:${sshd.port}`, '--profile', options.profile ?? 'sound', '--seed', String(options.seed ?? 1)],
    ...logs,
    ...(options.deviceArgs ?? []),
  ];
  const startDevice = () => start(scope, process.execPath, deviceArgs);
  const device = startDevice();

  const sourceToken = await secretFile(dir, 'source-token', tunnel.source_token);
  const bridge = await startCommand(
    scope,
    [
      ...['bridge', '--tunnel-uri', `${base}/source-connect`, '--token-file', sourceToken],
      ...['--listen', '127.0.0.1:0', '--tier', options.tier ?? 'auto', '--drain', '0'],
      ...logs,
      ...(options.bridgeArgs ?? []),
    ],
    // A host key of this stack's own, never the operator's.
    { env: { ...options.bridgeEnv?.(account), XDG_STATE_HOME: dir } },
  );
  const knownHosts = join(dir, 'known_hosts');
  await writeFile(knownHosts, `${bridge.ready.knownHosts}\n`);

  const login = { user: account.name, password: account.password };
  return {
    ...login,
    host: bridge.ready.host,
    port: bridge.ready.port,
    knownHosts,
    direct: { ...login, host: sshd.host, port: sshd.port, knownHosts: sshd.knownHosts },
    account,
    sshd,
    relay: relay.program,
    device,
    bridge: bridge.program,
    restartDevice: startDevice,
  };
}

function secret(): string {
  return randomBytes(24).toString('base64url');
}

async function secretFile(dir: string, name: string, text: string): Promise<string> {
  const path = join(dir, name);
  await writeFile(path, `${text}\n`, { mode: 0o600 });
  return path;
}
