import { Command } from 'commander';
import { Fault } from '../../base/errors.js';
import { parseTunnels } from '../../relay/config.js';
import type { Address } from '../address.js';
import type { Parts } from '../deps.js';
import { readSecrets, readText } from '../files.js';
import { listenAddress, option, wholeNumber, withCommonOptions, type CommonOptions } from '../option.js';
import { serve } from '../serve.js';
import { checkListen } from '../shared-options.js';

interface RelayOptions extends CommonOptions {
  listen: Address;
  allowRemoteListen?: boolean;
  tunnels: string;
  tlsCert?: string;
  tlsKey?: string;
  delay: number;
}

export function relayCommand(parts: Parts, exit: (code: number) => void): Command {
  const command = new Command('relay')
    .description('Be the platform: join the two ends of each tunnel, for self-hosting and for tests.')
    .addOption(option('--listen <address>', 'HOST:PORT to listen on; port 0 for any free one').argParser(listenAddress).makeOptionMandatory())
    .addOption(option('--tunnels <file>', 'JSON list of {tunnel_id, device_id, source_token, device_token}').makeOptionMandatory())
    .addOption(option('--tls-cert <file>', 'PEM certificate chain: serve wss:// instead of ws://'))
    .addOption(option('--tls-key <file>', 'PEM key of that certificate'))
    .addOption(option('--delay <ms>', 'delay each frame so long, each way').argParser(wholeNumber(0, 60_000, 'milliseconds')).default(0))
    .addOption(option('--allow-remote-listen', 'permit --listen addresses that other machines can reach'));
  return withCommonOptions(command, { logLevel: 'info' }).action(async (options: RelayOptions) => {
    exit(
      await serve(options, async (log, keep) => {
        checkListen(options.listen, options, log);
        const tunnels = parseTunnels(await readSecrets(options.tunnels, 'the tunnels file', (sentence) => log.warn(sentence)), options.tunnels);
        const relay = keep(await parts.startRelay({ listen: options.listen, tunnels, tls: await tls(options, (sentence) => log.warn(sentence)), delayMs: options.delay, log }));
        return { ready: relay.address };
      }),
    );
  });
}

async function tls(options: RelayOptions, warn: (sentence: string) => void): Promise<{ cert: string; key: string } | undefined> {
  const { tlsCert, tlsKey } = options;
  if (tlsCert === undefined && tlsKey === undefined) return undefined;
  if (tlsCert === undefined || tlsKey === undefined) throw new Fault('USAGE', '--tls-cert and --tls-key belong together: give both');
  return { cert: await readText(tlsCert, 'the TLS certificate'), key: await readSecrets(tlsKey, 'the TLS key', warn) };
}
