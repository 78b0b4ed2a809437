/** What a script wrote for sshd, as far as the bridge has a like of it: sshd_config to options of `bridge`. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { DEFAULT_ALGORITHMS, WEAK, type AlgorithmLists } from '../../../src/ssh/algorithms.js';

export interface BridgeSetup {
  /** Arguments of `iotda-ssh bridge`; equal arguments may share a bridge. */
  args: string[];
  /** Port of 127.0.0.1 that the configuration names. */
  port: number;
  /** Changes with the host keys in the files: sshd -i reads them anew for each connection. */
  version: string;
}

/** Keyword (lower case) to its values, in the order of the file; the first counts, as in sshd. */
type Settings = ReadonlyMap<string, readonly string[]>;

/** What the bridge's options are called, for settings with the same values. */
const SAME_VALUES: ReadonlyMap<string, string> = new Map([
  ['allowstreamlocalforwarding', '--forward-unix'],
  ['allowtcpforwarding', '--forward-tcp'],
  ['allowagentforwarding', '--forward-agent'],
  ['gatewayports', '--gateway-ports'],
  ['permittty', '--permit-tty'],
  ['forcecommand', '--force-command'],
  ['banner', '--banner'],
  ['maxstartups', '--max-startups'],
]);

/** And for lists of algorithms; a name that the bridge has not, sshd's own list has more than enough of. */
const LISTS: ReadonlyMap<string, readonly [option: string, kind: keyof AlgorithmLists]> = new Map([
  ['kexalgorithms', ['--kex-algorithms', 'kex']],
  ['ciphers', ['--ciphers', 'ciphers']],
  ['macs', ['--macs', 'macs']],
  ['hostkeyalgorithms', ['--host-key-algorithms', 'hostKeys']],
  ['pubkeyacceptedalgorithms', ['--pubkey-accepted-algorithms', 'publicKeys']],
]);

/** Reads `file` and the options of sshd's command line, which come first. */
export async function bridgeSetup(file: string, options: readonly string[], user: string): Promise<BridgeSetup> {
  const settings = parse([...options, ...(await readFile(file, 'utf8')).split('\n')]);
  const first = (name: string): string | undefined => settings.get(name)?.[0];
  const words = (name: string): string[] => first(name)?.split(/\s+/) ?? [];
  const args: string[] = [];
  for (const [name, option] of SAME_VALUES) {
    const value = first(name);
    if (value !== undefined) args.push(option, plain(value));
  }
  for (const [name, [option, kind]] of LISTS) {
    const [, sign = '', names = ''] = /^([-+^]?)(.*)$/.exec(first(name) ?? '') ?? [];
    const known = names.split(',').filter((each) => [...DEFAULT_ALGORITHMS[kind], ...WEAK[kind]].includes(each));
    if (known.length > 0) args.push(option, `${sign}${known.join(',')}`);
  }
  const accepted = settings.get('acceptenv') ?? [];
  if (accepted.length > 0) args.push('--accept-env', accepted.flatMap((line) => line.split(/\s+/)).join(','));
  // PATH leads to the scripts' own scp first, which is the wrapper of this side.
  const variables = words('setenv').filter((variable) => !variable.startsWith('PATH='));
  args.push(...variables.flatMap((variable) => ['--set-env', variable]));
  for (const kind of ['open', 'listen']) {
    const list = words(`permit${kind}`);
    if (list.length > 0) args.push(`--permit-${kind}`, list.join(','));
  }
  const [bytes, seconds] = words('rekeylimit');
  if (bytes !== undefined) args.push('--rekey-limit', `${bytes === 'default' ? '1G' : bytes}${seconds === undefined ? '' : `,${seconds}`}`);
  const grace = first('logingracetime');
  if (grace !== undefined) args.push('--login-grace', grace.replace(/s$/, ''));
  const keys = words('authorizedkeysfile').filter((path) => path !== 'none' && path !== '/dev/null');
  args.push('--authorized-keys', keys[0]?.replaceAll('%u', user) ?? '/dev/null');
  const keyFiles = hostKeys(settings);
  args.push(...keyFiles.flatMap((path) => ['--host-key', path]));
  const version = createHash('sha256');
  for (const path of keyFiles) version.update(await readFile(path));
  return { args, port: Number(first('port') ?? 22), version: version.digest('hex') };
}

/** `all` is another word for yes; where internal-sftp begins matters to names that are not absolute, which no script uses. */
function plain(value: string): string {
  return value === 'all' ? 'yes' : value.replace(/^internal-sftp -d \/$/, 'internal-sftp');
}

function parse(lines: readonly string[]): Settings {
  const settings = new Map<string, string[]>();
  for (const line of lines) {
    const [, keyword = '', value = ''] = /^\s*([A-Za-z]+)[\s=]+(.*?)\s*$/.exec(line.replace(/\s#.*$/, '')) ?? [];
    if (keyword === '') continue;
    // What follows holds for some clients only, and the bridge knows one kind.
    if (keyword.toLowerCase() === 'match') break;
    const values = settings.get(keyword.toLowerCase());
    if (values === undefined) settings.set(keyword.toLowerCase(), [value]);
    else values.push(value);
  }
  return settings;
}

/** All that the bridge can use: no DSA, and no keys of security tokens. */
function hostKeys(settings: Settings): string[] {
  const files = settings.get('hostkey') ?? [];
  return files.filter((file) => !/ssh-dss|dsa-1024|\bsk-|-sk$/.test(file));
}
