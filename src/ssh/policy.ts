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
