/** The real OpenSSH client, with a password from sshpass and a private known_hosts file. */
import { Program, RUN_MS, type Run, type StartOptions } from './program.js';

/** Where and as whom to log in: the bridge, or a private sshd for comparison. */
export interface Target {
  host: string;
  port: number;
  user: string;
  password: string;
  knownHosts: string;
}

/** Options that keep this machine's own ssh settings, agent and keys out of the tests. */
export function sshOptions(target: Target): string[] {
  return [
    ...['-F', 'none'],
    ...['-o', `UserKnownHostsFile=${target.knownHosts}`],
    ...['-o', 'GlobalKnownHostsFile=/dev/null'],
    ...['-o', 'StrictHostKeyChecking=yes'],
    ...['-o', 'IdentityAgent=none'],
    ...['-o', 'PubkeyAuthentication=no'],
    ...['-o', 'NumberOfPasswordPrompts=1'],
    ...['-o', 'ConnectTimeout=20'],
    ...['-o', 'LogLevel=ERROR'],
  ];
}

export interface SshOptions extends StartOptions {
  /** Further options of ssh itself, before the destination: ['-tt'], ['-o', 'RekeyLimit=1M']. */
  options?: readonly string[];
}

/** Starts `ssh [options] user@host [command…]`; nothing ends it but the caller, or `timeoutMs`. */
export function startSsh(target: Target, command: readonly string[], options: SshOptions = {}): Program {
  const { options: own = [], env, ...rest } = options;
  const args = ['-e', 'ssh', ...own, ...sshOptions(target), '-p', String(target.port), `${target.user}@${target.host}`, ...command];
  return new Program('sshpass', args, { ...rest, env: { ...env, SSHPASS: target.password, SSH_AUTH_SOCK: undefined } });
}

/** Runs `ssh user@host command…` to its end. `status` is ssh's own: 255 when the connection failed. */
export function ssh(target: Target, command: readonly string[], options: SshOptions = {}): Promise<Run> {
  return startSsh(target, command, { timeoutMs: RUN_MS, ...options }).done;
}
