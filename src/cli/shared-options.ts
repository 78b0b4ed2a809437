/** Options that more than one command has, with how they become settings. */
import type { Command } from 'commander';
import { Fault } from '../base/errors.js';
import type { Log } from '../base/log.js';
import type { ListenAddress } from '../ssh/listen.js';
import { formatAddress, isLoopback } from './address.js';
import type { TunnelSettings } from './deps.js';
import { readText } from './files.js';
import { option, tunnelUri } from './option.js';
import { checked, readSecretFile } from './secrets.js';

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
  const isArgument = command.getOptionValueSource('token') === 'cli';
  if (isArgument) log.warn('--token: every user of this machine can see the token in the list of processes; use --token-file or IOTDA_SSH_TOKEN');
  return checked(options.token, 'the tunnel token', isArgument ? '--token' : 'IOTDA_SSH_TOKEN');
}

/** Refuses to listen for other machines unless the operator said so. */
export function checkListen(address: ListenAddress, options: { allowRemoteListen?: boolean }, log: Log): void {
  if ('path' in address || isLoopback(address.host)) return;
  if (options.allowRemoteListen !== true) {
    throw new Fault('USAGE', `${formatAddress(address)} can be reached from other machines: add --allow-remote-listen if that is what you want, or listen on 127.0.0.1`);
  }
  log.warn({ address: formatAddress(address) }, 'listening for other machines as well');
}
