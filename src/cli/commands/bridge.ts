import { Command } from 'commander';
import { Fault } from '../../base/errors.js';
import type { Log } from '../../base/log.js';
import type { ListenAddress } from '../../ssh/listen.js';
import { formatAddress } from '../address.js';
import type { BridgeSettings, Parts } from '../deps.js';
import { option, SSH_LISTEN_HELP, sshListenAddress, withCommonOptions, type CommonOptions } from '../option.js';
import { whereToConnect } from '../ready-file.js';
import { checked, readSecretCommand, readSecretFile } from '../secrets.js';
import { serve } from '../serve.js';
import { serverSettings, withServerOptions, type ServerOptions } from '../server-options.js';
import { checkListen, tunnelSettings, withTunnelOptions, type TunnelOptions } from '../shared-options.js';

interface BridgeOptions extends CommonOptions, TunnelOptions, ServerOptions {
  listen: ListenAddress;
  authorizedKeys?: string;
  deviceUser?: string;
  devicePasswordFile?: string;
  devicePasswordCommand?: string;
}

/** Has no option: a password in an argument would be seen by everybody. */
const PASSWORD_VARIABLE = 'IOTDA_SSH_DEVICE_PASSWORD';

export function bridgeCommand(parts: Parts, exit: (code: number) => void): Command {
  const command = withTunnelOptions(new Command('bridge').description('Be the SSH server: ssh to this address reaches the device behind the tunnel.'))
    .addOption(option('--listen <address>', SSH_LISTEN_HELP).argParser(sshListenAddress).default({ host: '127.0.0.1', port: 2222 }, '127.0.0.1:2222'))
    .addOption(option('--authorized-keys <file>', 'public keys that may log in without a password (authorized_keys format)'))
    .addOption(option('--device-user <user>', 'the user such a key logs in to the device as'))
    .addOption(option('--device-password-file <file>', `file with that user’s password on the device; - for standard input (env alone: ${PASSWORD_VARIABLE})`))
    .addOption(option('--device-password-command <command>', 'shell command that prints that password'));
  withCommonOptions(withServerOptions(command), { logLevel: 'info' });
  return command.action(async (options: BridgeOptions) => {
    exit(
      await serve(options, async (log, keep) => {
        checkListen(options.listen, options, log);
        const keys = await deviceKeys(options, log);
        const tunnel = await tunnelSettings(options, command, log);
        const bridge = keep(await parts.startBridge({ ...serverSettings(options), tunnel, listen: options.listen, keys, log }));
        // For whoever wonders what a bridge is waiting for: kill -USR2.
        process.on('SIGUSR2', () => log.warn({ state: bridge.state }, 'state'));
        log.info({ address: formatAddress(bridge.address), hostKey: bridge.hostKey.fingerprint }, 'bridge is ready');
        return {
          ready: {
            ...whereToConnect(bridge.address, bridge.hostKey.publicKey),
            ...(options.deviceUser === undefined ? {} : { user: options.deviceUser }),
            hostKeyFingerprint: bridge.hostKey.fingerprint,
          },
        };
      }),
    );
  });
}

/** Key logins: whose keys, and the device login that stands behind them. */
async function deviceKeys(options: BridgeOptions, log: Log): Promise<BridgeSettings['keys']> {
  const { authorizedKeys: file, deviceUser: user, devicePasswordFile, devicePasswordCommand } = options;
  const variable = process.env[PASSWORD_VARIABLE];
  // Programs that we start have no use for it.
  delete process.env[PASSWORD_VARIABLE];
  if (file === undefined) {
    if (devicePasswordFile !== undefined || devicePasswordCommand !== undefined) {
      throw new Fault('USAGE', 'a device password is used for key logins only: add --authorized-keys FILE');
    }
    return undefined;
  }
  if (user === undefined) throw new Fault('USAGE', '--authorized-keys needs --device-user USER: whom the key logs in as on the device');
  if (devicePasswordFile !== undefined && devicePasswordCommand !== undefined) {
    throw new Fault('USAGE', 'the device password is given twice: keep either --device-password-file or --device-password-command');
  }
  if (devicePasswordFile === '-' && options.tokenFile === '-') throw new Fault('USAGE', 'standard input can hold only one of the token and the password');
  const what = 'the device password';
  if (devicePasswordCommand !== undefined) return { file, user, password: () => readSecretCommand(devicePasswordCommand, what) };
  if (devicePasswordFile !== undefined) {
    const first = await readSecretFile(devicePasswordFile, what);
    if (first.warning !== undefined) log.warn(first.warning);
    // A file is read again at each login, so that a changed password needs no restart.
    const again = async () => (await readSecretFile(devicePasswordFile, what)).value;
    return { file, user, password: devicePasswordFile === '-' ? async () => first.value : again };
  }
  if (variable === undefined) {
    throw new Fault('USAGE', `--authorized-keys needs the device password: give --device-password-file, --device-password-command or ${PASSWORD_VARIABLE}`);
  }
  const password = checked(variable, what, PASSWORD_VARIABLE);
  return { file, user, password: async () => password };
}
