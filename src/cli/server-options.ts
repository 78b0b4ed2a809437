/** The options of the SSH server that `bridge` and `demo` have in common: what sshd_config says for sshd. */
import { InvalidArgumentError, type Command } from 'commander';
import { GRACE_MS, LINGER_MS, RAW_IDLE_MS } from '../bridge/bridge.js';
import { chooseAlgorithms } from '../ssh/algorithm-list.js';
import { DEFAULT_ALGORITHMS, type AlgorithmLists } from '../ssh/algorithms.js';
import { LOGIN_GRACE_MS, MAX_UNAUTHENTICATED } from '../ssh/limits.js';
import { DEFAULT_POLICY, isSftpCommand, parseEndpoint, parseVariable, type Endpoint, type SshPolicy } from '../ssh/policy.js';
import { readBanner } from './banner.js';
import type { BridgeSettings } from './deps.js';
import { list, option, parsed, repeatable, wholeNumber } from './option.js';

const TIERS = ['auto', 'python', 'sh', 'raw'] as const;

/** Most that may be asked for between two key exchanges. */
const MAX_REKEY_BYTES = 4 * 1024 ** 3;
const MAX_REKEY_SECONDS = 86_400;

export interface ServerOptions {
  allowRemoteListen?: boolean;
  hostKey?: string[];
  tier: BridgeSettings['tier'];
  linger: number;
  grace: number;
  rawTimeout: number;
  drain: number;
  acceptEnv?: string[];
  forwardTcp: SshPolicy['forwardTcp'];
  forwardUnix: SshPolicy['forwardUnix'];
  forwardAgent: 'yes' | 'no';
  gatewayPorts: SshPolicy['gatewayPorts'];
  permitOpen?: Endpoint[];
  permitListen?: Endpoint[];
  permitTty: 'yes' | 'no';
  forceCommand?: string;
  setEnv?: [name: string, value: string][];
  banner?: string;
  kexAlgorithms?: readonly string[];
  ciphers?: readonly string[];
  macs?: readonly string[];
  hostKeyAlgorithms?: readonly string[];
  pubkeyAcceptedAlgorithms?: readonly string[];
  rekeyLimit?: { bytes: number; ms: number | undefined };
  loginGrace?: number;
  maxStartups?: number;
}

/** What the SSH server of `bridge` and `demo` has in common. */
export function withServerOptions(command: Command): Command {
  return command
    .addOption(option('--allow-remote-listen', 'permit --listen addresses that other machines can reach'))
    .addOption(option('--host-key <file>', 'host key, made there on first use (repeatable; default: two in the state folder)').argParser(repeatable))
    .addOption(option('--tier <tier>', 'what runs on the device').choices(TIERS).default('auto'))
    .addOption(option('--linger <seconds>', 'keep the device session so long after the last client').argParser(wholeNumber(0, 86_400, 'seconds')).default(LINGER_MS / 1000))
    .addOption(option('--grace <seconds>', 'how long the device keeps running programs when nobody returns').argParser(wholeNumber(10, 86_400, 'seconds')).default(GRACE_MS / 1000))
    .addOption(option('--raw-timeout <seconds>', 'end a plain terminal (tier raw) in which nothing was typed or printed for so long; 0: never').argParser(wholeNumber(0, 86_400, 'seconds')).default(RAW_IDLE_MS / 1000))
    .addOption(option('--drain <seconds>', 'how long open sessions may finish after SIGTERM').argParser(wholeNumber(0, 3_600, 'seconds')).default(5))
    .addOption(option('--accept-env <patterns>', `variables that clients may set (repeatable, comma list; default: ${DEFAULT_POLICY.acceptEnv.join(',')})`).argParser(list))
    .addOption(option('--forward-tcp <which>', 'allow -L, -D and -W (local), -R (remote), or both (yes)').choices(['yes', 'local', 'remote', 'no']).default(DEFAULT_POLICY.forwardTcp))
    .addOption(option('--forward-unix <which>', 'the same for Unix sockets').choices(['yes', 'local', 'remote', 'no']).default(DEFAULT_POLICY.forwardUnix))
    .addOption(option('--forward-agent <yes|no>', 'allow -A').choices(['yes', 'no']).default('yes'))
    .addOption(option('--gateway-ports <which>', 'addresses of the device that -R may listen on').choices(['no', 'yes', 'clientspecified']).default(DEFAULT_POLICY.gatewayPorts))
    .addOption(option('--permit-open <endpoints>', 'HOST:PORT that -L, -D and -W may reach, * for any (repeatable, comma list; default: all)').argParser(endpoints('open')))
    .addOption(option('--permit-listen <endpoints>', '[HOST:]PORT that -R may ask for (likewise)').argParser(endpoints('listen')))
    .addOption(option('--permit-tty <yes|no>', 'give terminals').choices(['yes', 'no']).default('yes'))
    .addOption(option('--force-command <command>', 'run this instead of what clients ask for; internal-sftp is the SFTP server').argParser(forcedCommand))
    .addOption(option('--set-env <variable>', 'NAME=VALUE for every session, stronger than the client’s (repeatable)').argParser(variables))
    .addOption(option('--banner <file>', 'shown to clients before they log in'))
    .addOption(option('--kex-algorithms <list>', 'key exchange methods: a,b those; +a those as well; ^a those first; -a not those (* and ? stand for any)').argParser(algorithms('kex')))
    .addOption(option('--ciphers <list>', 'likewise').argParser(algorithms('ciphers')))
    .addOption(option('--macs <list>', 'likewise').argParser(algorithms('macs')))
    .addOption(option('--host-key-algorithms <list>', 'signatures of the host keys, likewise').argParser(algorithms('hostKeys')))
    .addOption(option('--pubkey-accepted-algorithms <list>', 'signatures of users’ keys, likewise').argParser(algorithms('publicKeys')))
    .addOption(option('--rekey-limit <limit>', 'new keys after BYTES[K|M|G][,SECONDS] (default: 1G,3600)').argParser(rekeyLimit))
    .addOption(option('--login-grace <seconds>', `how long a client may take to log in (default: ${LOGIN_GRACE_MS / 1000})`).argParser(wholeNumber(1, 86_400, 'seconds')))
    .addOption(option('--max-startups <n>', `clients that may be logging in at a time (default: ${MAX_UNAUTHENTICATED})`).argParser(wholeNumber(1, 1_000, 'clients')));
}

/** PermitOpen and PermitListen: a list of endpoints, repeatable. */
function endpoints(kind: 'open' | 'listen'): (text: string, before: readonly Endpoint[] | undefined) => Endpoint[] {
  return (text, before) => [...(before ?? []), ...list(text, undefined).map((each) => {
    const endpoint = parseEndpoint(each, kind);
    if (endpoint === undefined) throw new InvalidArgumentError(`${each} is not ${kind === 'open' ? 'HOST:PORT' : '[HOST:]PORT'}.`);
    return endpoint;
  })];
}

function variables(text: string, before: readonly [string, string][] | undefined): [string, string][] {
  const variable = parseVariable(text);
  if (variable === undefined) throw new InvalidArgumentError('It is NAME=VALUE.');
  return [...(before ?? []), variable];
}

/** KexAlgorithms and its like; the first counts, as in sshd. */
function algorithms(kind: keyof AlgorithmLists): (text: string, before: readonly string[] | undefined) => readonly string[] {
  const parse = parsed((text) => chooseAlgorithms(kind, text));
  return (text, before) => before ?? parse(text);
}

function forcedCommand(text: string): string {
  if (text === '') throw new InvalidArgumentError('It is a command.');
  if (isSftpCommand(text) === 'with-options') throw new InvalidArgumentError('internal-sftp takes no options here.');
  return text;
}

const UNITS: Readonly<Record<string, number>> = { '': 1, K: 1024, M: 1024 ** 2, G: 1024 ** 3 };

function rekeyLimit(text: string): { bytes: number; ms: number | undefined } {
  const [, number, unit = '', seconds] = /^(\d{1,12})([KMG]?)(?:,(\d{1,6}))?$/i.exec(text) ?? [];
  const bytes = Number(number) * (UNITS[unit.toUpperCase()] ?? 0);
  // A cipher's keys are not good for ever (RFC 4253 section 9).
  if (number === undefined || bytes < 16 || bytes > MAX_REKEY_BYTES || seconds === '0' || Number(seconds ?? 1) > MAX_REKEY_SECONDS) {
    throw new InvalidArgumentError('It is BYTES[K|M|G][,SECONDS] from 16 to 4G, and 1 to 86400.');
  }
  return { bytes, ms: seconds === undefined ? undefined : Number(seconds) * 1000 };
}

export function serverSettings(options: ServerOptions): Omit<BridgeSettings, 'tunnel' | 'listen' | 'keys' | 'log'> {
  const { banner, loginGrace, rekeyLimit: rekey } = options;
  return {
    hostKeyFiles: options.hostKey,
    tier: options.tier,
    lingerMs: options.linger * 1000,
    graceMs: options.grace * 1000,
    rawIdleMs: options.rawTimeout * 1000,
    drainMs: options.drain * 1000,
    policy: {
      ...DEFAULT_POLICY,
      acceptEnv: options.acceptEnv ?? DEFAULT_POLICY.acceptEnv,
      forwardTcp: options.forwardTcp,
      forwardUnix: options.forwardUnix,
      forwardAgent: options.forwardAgent === 'yes',
      gatewayPorts: options.gatewayPorts,
      pty: options.permitTty === 'yes',
      command: options.forceCommand,
      // The first of a name counts, as in sshd.
      setEnv: Object.fromEntries([...(options.setEnv ?? [])].reverse()),
      permitOpen: options.permitOpen === undefined ? [] : [options.permitOpen],
      permitListen: options.permitListen === undefined ? [] : [options.permitListen],
      algorithms: {
        kex: options.kexAlgorithms ?? DEFAULT_ALGORITHMS.kex,
        ciphers: options.ciphers ?? DEFAULT_ALGORITHMS.ciphers,
        macs: options.macs ?? DEFAULT_ALGORITHMS.macs,
        hostKeys: options.hostKeyAlgorithms ?? DEFAULT_ALGORITHMS.hostKeys,
        publicKeys: options.pubkeyAcceptedAlgorithms ?? DEFAULT_ALGORITHMS.publicKeys,
      },
      ...(banner === undefined ? {} : { banner: () => readBanner(banner) }),
    },
    bounds: {
      loginGraceMs: loginGrace === undefined ? undefined : loginGrace * 1000,
      maxUnauthenticated: options.maxStartups,
      rekeyBytes: rekey?.bytes,
      rekeyMs: rekey?.ms,
    },
  };
}
