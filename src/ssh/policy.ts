import { DEFAULT_ALGORITHMS, type AlgorithmLists } from './algorithms.js';

/** Where a forwarding may go or listen; undefined is any host, any port. */
export interface Endpoint {
  host: string | undefined;
  port: number | undefined;
}

/** What the operator allows, as in sshd_config. */
export interface SshPolicy {
  /** AcceptEnv: names of variables a client may set, with `*` and `?`. */
  acceptEnv: readonly string[];
  /** AllowTcpForwarding: -L, -D and -W are local, -R is remote. */
  forwardTcp: 'yes' | 'local' | 'remote' | 'no';
  /** AllowStreamLocalForwarding: the same for Unix sockets. */
  forwardUnix: 'yes' | 'local' | 'remote' | 'no';
  /** AllowAgentForwarding. */
  forwardAgent: boolean;
  /** GatewayPorts: which addresses of the device -R may listen on. */
  gatewayPorts: 'no' | 'yes' | 'clientspecified';
  /** PermitTTY. */
  pty: boolean;
  /** ForceCommand: run instead of what the client asks for; `internal-sftp` is the SFTP server. */
  command: string | undefined;
  /** SetEnv: variables of every session, stronger than the client's. */
  setEnv: Readonly<Record<string, string>>;
  /** PermitOpen: each of these lists must hold the destination of -L, -D or -W. */
  permitOpen: readonly (readonly Endpoint[])[];
  /** PermitListen: the same for the address that -R asks for. */
  permitListen: readonly (readonly Endpoint[])[];
  /** Banner: what is shown before the login. Asked at each login; undefined is none. */
  banner: () => Promise<Buffer | undefined>;
  /** KexAlgorithms, Ciphers, MACs, HostKeyAlgorithms, PubkeyAcceptedAlgorithms. */
  algorithms: AlgorithmLists;
  /** Offer public key authentication. */
  publicKeys: boolean;
  /** Offer password and keyboard-interactive authentication. */
  passwords: boolean;
}

export const DEFAULT_POLICY: SshPolicy = {
  acceptEnv: ['LANG', 'LC_*', 'TZ', 'COLORTERM', 'TERM_PROGRAM', 'TERM_PROGRAM_VERSION', 'NO_COLOR'],
  forwardTcp: 'yes',
  forwardUnix: 'yes',
  forwardAgent: true,
  gatewayPorts: 'no',
  pty: true,
  command: undefined,
  setEnv: {},
  permitOpen: [],
  permitListen: [],
  banner: async () => undefined,
  algorithms: DEFAULT_ALGORITHMS,
  publicKeys: true,
  passwords: true,
};

/** Whether an environment variable's name is on the list. */
export function acceptsEnv(patterns: readonly string[], name: string): boolean {
  if (name === '' || name.includes('=') || name.includes('\0')) return false;
  return patterns.some((pattern) => matches(pattern, name));
}

/** OpenSSH's match_pattern: `*` any run of characters, `?` any one. */
export function matches(pattern: string, text: string): boolean {
  const expression = [...pattern]
    .map((char) => (char === '*' ? '.*' : char === '?' ? '.' : char.replace(/[\\^$.|+()[\]{}]/, '\\$&')))
    .join('');
  return new RegExp(`^${expression}$`, 's').test(text);
}

/**
 * The address the device listens on for a client's -R request: sshd's channel_fwd_bind_addr.
 * '' means all addresses, 'localhost' both loopbacks, anything else that one address.
 */
export function listenAddress(asked: string, gatewayPorts: SshPolicy['gatewayPorts']): string {
  const isExplicitLoopback = asked === '127.0.0.1' || asked === '::1';
  if (gatewayPorts === 'no') return isExplicitLoopback ? asked : 'localhost';
  if (gatewayPorts === 'yes' || asked === '' || asked === '*') return '';
  return asked;
}

/** `HOST:PORT` as PermitOpen writes it, or also `PORT` for PermitListen; `*` is any. undefined: it is neither. */
export function parseEndpoint(text: string, kind: 'open' | 'listen'): Endpoint | undefined {
  const [, bracketed, plain, portText = ''] = /^(?:(?:\[([^\]]+)\]|([^:[\]]+)):)?(\d{1,5}|\*)$/.exec(text.trim()) ?? [];
  const host = bracketed ?? plain;
  const port = portText === '*' ? undefined : Number(portText);
  if (portText === '' || (host === undefined && kind === 'open') || (port !== undefined && (port < 1 || port > 65_535))) return undefined;
  return { host: host === '*' ? undefined : host, port };
}

/** Whether every list names the endpoint. The host is compared as the client wrote it, as by sshd. */
export function permits(lists: readonly (readonly Endpoint[])[], host: string, port: number): boolean {
  return lists.every((list) => list.some((each) => (each.host === undefined || each.host === host) && (each.port === undefined || each.port === port)));
}

/** What sshd calls the SFTP server within itself. */
export const INTERNAL_SFTP = 'internal-sftp';

/** Whether a forced command is the SFTP server inside sshd: its options are not ours. */
export function isSftpCommand(command: string): 'plain' | 'with-options' | undefined {
  if (command.trim() === INTERNAL_SFTP) return 'plain';
  return /^\s*internal-sftp\s/.test(command) ? 'with-options' : undefined;
}

/** NAME=VALUE as SetEnv writes it. undefined: it is not. */
export function parseVariable(text: string): [name: string, value: string] | undefined {
  const [, name, value] = /^([A-Za-z_][A-Za-z0-9_]*)=([^\0]*)$/s.exec(text) ?? [];
  return name === undefined || value === undefined ? undefined : [name, value];
}
