/** Options that more than one command has, with how they become settings. */
import type { Command } from 'commander';
import { Fault } from '../base/errors.js';
import type { Log } from '../base/log.js';
import { GRACE_MS, LINGER_MS } from '../bridge/bridge.js';
import { DEFAULT_POLICY, type SshPolicy } from '../ssh/policy.js';
import { formatAddress, isLoopback, type Address } from './address.js';
import type { BridgeSettings, TunnelSettings } from './deps.js';
import { readText } from './files.js';
import { list, option, tunnelUri, wholeNumber } from './option.js';
import { checked, readSecretFile } from './secrets.js';

export const TIERS = ['auto', 'python', 'sh', 'raw'] as const;

/** How the commands that connect to a tunnel name it. */
export interface TunnelOptions {
  tunnelUri: string;
  tokenFile?: string;
  token?: string;
  ca?: string;
  insecure?: boolean;
}

export function withTunnelOptions(command: Command): Command {
  return command
    .addOption(option('--tunnel-uri <uri>', 'tunnel URI, as the platform gave it (wss://…)').argParser(tunnelUri).makeOptionMandatory())
    .addOption(option('--token-file <file>', 'file with the tunnel access token; - for standard input'))
    .addOption(option('--token <token>', 'the token itself; use the variable, since ps shows arguments to everybody'))
    .addOption(option('--ca <file>', 'PEM certificates to trust instead of the system’s'))
    .addOption(option('--insecure', 'accept any certificate: whoever sits on the path then reads the password'));
}

/** Reads the files that the options name. Throws USAGE and LOCAL faults. */
export async function tunnelSettings(options: TunnelOptions, command: Command, log: Log): Promise<TunnelSettings> {
  if (options.insecure === true) log.warn('--insecure: certificates are not checked; anybody on the path can read the password and type on the device');
  const ca = options.ca === undefined ? undefined : await readText(options.ca, 'the CA certificates');
  return { uri: options.tunnelUri, token: await token(options, command, log), ca, insecure: options.insecure === true };
}

/** An argument outranks the environment; a file and a token of the same rank are a contradiction. */
async function token(options: TunnelOptions, command: Command, log: Log): Promise<string> {
  // Programs that we start have no use for it.
  delete process.env['IOTDA_SSH_TOKEN'];
  const rank = (name: string) => ['env', 'cli'].indexOf(command.getOptionValueSource(name) ?? '');
  const [fileRank, tokenRank] = [rank('tokenFile'), rank('token')];
  if (options.tokenFile !== undefined && options.token !== undefined && fileRank === tokenRank) {
    throw new Fault('USAGE', 'the token is given twice: keep either --token-file or --token (IOTDA_SSH_TOKEN)');
  }
  if (options.tokenFile !== undefined && fileRank > tokenRank) {
    const secret = await readSecretFile(options.tokenFile, 'the tunnel token');
    if (secret.warning !== undefined) log.warn(secret.warning);
    return secret.value;
  }
  if (options.token === undefined) {
    throw new Fault('USAGE', 'the tunnel token is missing: give --token-file FILE (- for standard input) or set IOTDA_SSH_TOKEN');
  }
  if (command.getOptionValueSource('token') === 'cli') log.warn('--token: every user of this machine can see the token in the list of processes; use --token-file or IOTDA_SSH_TOKEN');
  return checked(options.token, 'the tunnel token', '--token');
}

/** Refuses to listen for other machines unless the operator said so. */
export function checkListen(address: Address, options: { allowRemoteListen?: boolean }, log: Log): void {
  if (isLoopback(address.host)) return;
  if (options.allowRemoteListen !== true) {
    throw new Fault('USAGE', `${formatAddress(address)} can be reached from other machines: add --allow-remote-listen if that is what you want, or listen on 127.0.0.1`);
  }
  log.warn({ address: formatAddress(address) }, 'listening for other machines as well');
}

export interface ServerOptions {
  allowRemoteListen?: boolean;
  hostKey?: string;
  tier: BridgeSettings['tier'];
  linger: number;
  grace: number;
  drain: number;
  acceptEnv?: string[];
  forwardTcp: SshPolicy['forwardTcp'];
  forwardUnix: SshPolicy['forwardUnix'];
  forwardAgent: 'yes' | 'no';
  gatewayPorts: SshPolicy['gatewayPorts'];
}

/** What the SSH server of `bridge` and `demo` has in common. */
export function withServerOptions(command: Command): Command {
  return command
    .addOption(option('--allow-remote-listen', 'permit --listen addresses that other machines can reach'))
    .addOption(option('--host-key <file>', 'host key, made there on first use (default: one in the state folder)'))
    .addOption(option('--tier <tier>', 'what runs on the device').choices(TIERS).default('auto'))
    .addOption(option('--linger <seconds>', 'keep the device session so long after the last client').argParser(wholeNumber(0, 86_400, 'seconds')).default(LINGER_MS / 1000))
    .addOption(option('--grace <seconds>', 'how long the device keeps running programs when nobody returns').argParser(wholeNumber(10, 86_400, 'seconds')).default(GRACE_MS / 1000))
    .addOption(option('--drain <seconds>', 'how long open sessions may finish after SIGTERM').argParser(wholeNumber(0, 3_600, 'seconds')).default(5))
    .addOption(option('--accept-env <patterns>', `variables that clients may set (repeatable, comma list; default: ${DEFAULT_POLICY.acceptEnv.join(',')})`).argParser(list))
    .addOption(option('--forward-tcp <which>', 'allow -L, -D and -W (local), -R (remote), or both (yes)').choices(['yes', 'local', 'remote', 'no']).default(DEFAULT_POLICY.forwardTcp))
    .addOption(option('--forward-unix <which>', 'the same for Unix sockets').choices(['yes', 'local', 'remote', 'no']).default(DEFAULT_POLICY.forwardUnix))
    .addOption(option('--forward-agent <yes|no>', 'allow -A').choices(['yes', 'no']).default('yes'))
    .addOption(option('--gateway-ports <which>', 'addresses of the device that -R may listen on').choices(['no', 'yes', 'clientspecified']).default(DEFAULT_POLICY.gatewayPorts));
}

export function serverSettings(options: ServerOptions): Omit<BridgeSettings, 'tunnel' | 'listen' | 'keys' | 'log'> {
  return {
    hostKeyFile: options.hostKey,
    tier: options.tier,
    lingerMs: options.linger * 1000,
    graceMs: options.grace * 1000,
    drainMs: options.drain * 1000,
    policy: {
      ...DEFAULT_POLICY,
      acceptEnv: options.acceptEnv ?? DEFAULT_POLICY.acceptEnv,
      forwardTcp: options.forwardTcp,
      forwardUnix: options.forwardUnix,
      forwardAgent: options.forwardAgent === 'yes',
      gatewayPorts: options.gatewayPorts,
    },
  };
}
