import { randomBytes, randomUUID } from 'node:crypto';
import { userInfo } from 'node:os';
import { Command } from 'commander';
import { PROFILE_NAMES, type ProfileName } from '../../agent/profiles.js';
import type { Log } from '../../base/log.js';
import type { ListenAddress } from '../../ssh/listen.js';
import { isLoopback } from '../address.js';
import type { Parts } from '../deps.js';
import { option, SSH_LISTEN_HELP, sshListenAddress, wholeNumber, withCommonOptions, type CommonOptions } from '../option.js';
import { whereToConnect } from '../ready-file.js';
import { readSecretFile } from '../secrets.js';
import { serve } from '../serve.js';
import { serverSettings, withServerOptions, type ServerOptions } from '../server-options.js';
import { checkListen } from '../shared-options.js';
import { MAX_SEED } from './device.js';

interface DemoOptions extends CommonOptions, ServerOptions {
  listen: ListenAddress;
  passwordFile?: string;
  shell?: string;
  profile: ProfileName;
  seed: number;
}

/** Entropy of the random password, in bytes. */
const PASSWORD_BYTES = 9;

export function demoCommand(parts: Parts, exit: (code: number) => void): Command {
  const command = new Command('demo')
    .description('Everything on this machine in one process: relay, a device with a login shell of yours, and the bridge.')
    .addOption(option('--listen <address>', SSH_LISTEN_HELP).argParser(sshListenAddress).default({ host: '127.0.0.1', port: 2222 }, '127.0.0.1:2222'))
    .addOption(option('--password-file <file>', 'file with the password; without it a random one is made and shown'))
    .addOption(option('--shell <path>', 'login shell of the device (default: yours)'))
    .addOption(option('--profile <name>', 'which agent the device behaves like').choices(PROFILE_NAMES).default('sound'))
    .addOption(option('--seed <n>', 'makes the faults of a profile repeatable').argParser(wholeNumber(0, MAX_SEED)).default(1));
  withCommonOptions(withServerOptions(command), { logLevel: 'warn' });
  return command.action(async (options: DemoOptions) => {
    exit(
      await serve(options, async (log, keep) => {
        checkListen(options.listen, options, log);
        const given = await givenPassword(options, log);
        const password = given ?? randomBytes(PASSWORD_BYTES).toString('base64url');
        const user = userInfo().username;
        const tunnel = { tunnel_id: randomUUID(), device_id: 'demo', source_token: randomUUID(), device_token: randomUUID() };
        const loopback = { host: '127.0.0.1', port: 0 };
        const relay = keep(await parts.startRelay({ listen: loopback, tunnels: [tunnel], tls: undefined, delayMs: 0, log: log.child({ part: 'relay' }) }));
        const leg = (name: string, token: string) => ({
          uri: `ws://127.0.0.1:${relay.address.port}/v5/iot/tunnels/${tunnel.tunnel_id}/${name}`,
          ...{ token, ca: undefined, insecure: false },
        });
        const target = { kind: 'local', password, shell: options.shell } as const;
        const { profile, seed } = options;
        const agent = keep(await parts.startAgent({ tunnel: leg('device-connect', tunnel.device_token), target, profile, seed, faults: [], log: log.child({ part: 'device' }) }));
        await agent.opened;
        const bridge = keep(
          await parts.startBridge({ ...serverSettings(options), tunnel: leg('source-connect', tunnel.source_token), listen: options.listen, keys: undefined, log: log.child({ part: 'bridge' }) }),
        );
        const { publicKey, fingerprint: hostKeyFingerprint } = bridge.hostKey;
        return {
          ready: { ...whereToConnect(bridge.address, publicKey), user, hostKeyFingerprint },
          announcement: announcement(bridge.address, user, given === undefined ? password : undefined, hostKeyFingerprint),
        };
      }),
    );
  });
}

async function givenPassword(options: DemoOptions, log: Log): Promise<string | undefined> {
  if (options.passwordFile === undefined) return undefined;
  const secret = await readSecretFile(options.passwordFile, 'the password');
  if (secret.warning !== undefined) log.warn(secret.warning);
  return secret.value;
}

/** Arguments of ssh. */
function destination(address: ListenAddress, user: string): string {
  if ('path' in address) return `-o ProxyCommand='nc -U ${address.path}' ${user}@device`;
  const { host, port } = address;
  return `-p ${port} ${user}@${isLoopback(host) && host !== '::1' ? 'localhost' : host}`;
}

/** What the user reads; `password` undefined when it is the user's own. */
function announcement(address: ListenAddress, user: string, password: string | undefined, key: string): string {
  return [
    'A device with your own login shell is behind this address. From another terminal:',
    '',
    `  ssh ${destination(address, user)}`,
    '',
    `  password  ${password ?? 'the one in your password file'}${password === undefined ? '' : '  (for this run only)'}`,
    `  host key  ${key}`,
    '',
    'Press Ctrl-C here to stop.',
    '',
  ].join('\n');
}
