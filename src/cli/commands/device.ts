import { Command } from 'commander';
import { PROFILE_NAMES, type ProfileName } from '../../agent/profiles.js';
import { Fault } from '../../base/errors.js';
import type { Log } from '../../base/log.js';
import type { Address } from '../address.js';
import type { AgentSettings, Parts } from '../deps.js';
import { option, peerAddress, repeatable, wholeNumber, withCommonOptions, type CommonOptions } from '../option.js';
import { readSecretFile } from '../secrets.js';
import { serve } from '../serve.js';
import { tunnelSettings, withTunnelOptions, type TunnelOptions } from '../shared-options.js';

interface DeviceOptions extends CommonOptions, TunnelOptions {
  sshd?: Address;
  local?: boolean;
  passwordFile?: string;
  shell?: string;
  profile: ProfileName;
  seed: number;
  fault?: string[];
}

export const MAX_SEED = 0xffff_ffff;

export function deviceCommand(parts: Parts, exit: (code: number) => void): Command {
  const command = withTunnelOptions(
    new Command('device').description('Be the device: take logins from the tunnel and open a shell, as the stock agents do, faults included.'),
  )
    .addOption(option('--sshd <address>', 'log in to the SSH server at HOST:PORT').argParser(peerAddress))
    .addOption(option('--local', 'or start a login shell of this user, under the password in --password-file'))
    .addOption(option('--password-file <file>', 'file with the password for --local; - for standard input'))
    .addOption(option('--shell <path>', 'login shell for --local (default: that of this user)'))
    .addOption(option('--profile <name>', 'which agent to behave like').choices(PROFILE_NAMES).default('sound'))
    .addOption(option('--seed <n>', 'makes the faults of a profile repeatable').argParser(wholeNumber(0, MAX_SEED)).default(1))
    .addOption(option('--fault <name=value>', 'change one switch of the profile (repeatable)').argParser(repeatable).hideHelp());
  return withCommonOptions(command, { logLevel: 'info' }).action(async (options: DeviceOptions) => {
    exit(
      await serve(options, async (log, keep) => {
        const target = await deviceTarget(options, log);
        const tunnel = await tunnelSettings(options, command, log);
        const { profile, seed, fault: faults = [] } = options;
        const agent = keep(await parts.startAgent({ tunnel, target, profile, seed, faults, log }));
        await agent.opened;
        return { ready: {} };
      }),
    );
  });
}

async function deviceTarget(options: DeviceOptions, log: Log): Promise<AgentSettings['target']> {
  if ((options.sshd === undefined) === (options.local !== true)) {
    throw new Fault('USAGE', 'say what the device logs in to: either --sshd HOST:PORT or --local --password-file FILE');
  }
  if (options.sshd !== undefined) return { kind: 'sshd', address: options.sshd };
  if (options.passwordFile === undefined) throw new Fault('USAGE', '--local needs --password-file FILE: the password under which the shell is given out');
  if (options.passwordFile === '-' && options.tokenFile === '-') throw new Fault('USAGE', 'standard input can hold only one of the token and the password');
  const secret = await readSecretFile(options.passwordFile, 'the device password');
  if (secret.warning !== undefined) log.warn(secret.warning);
  return { kind: 'local', password: secret.value, shell: options.shell };
}
