/**
 * What a device can do, as the ssh layer sees it. Every tier (python, sh, raw) implements this;
 * nothing here speaks of frames, packets or shells. Bytes are exact; paths and commands are Buffers
 * because Unix names are bytes.
 */
import type { Fault } from '../base/errors.js';

export type Tier = 'python' | 'sh' | 'raw';

/** Window size in characters and pixels (RFC 4254 section 6.2); 0 means unknown. */
export interface WindowSize {
  cols: number;
  rows: number;
  widthPx: number;
  heightPx: number;
}

export interface PtyRequest {
  term: string;
  size: WindowSize;
  /** Encoded terminal modes as [opcode, value] (RFC 4254 section 8), in the client's order. */
  modes: readonly (readonly [opcode: number, value: number])[];
}

export type OpenRequest =
  /**
   * `command` undefined: the login shell. Defined: `$SHELL -c command`. Names and values of `env` are bytes, a
   * character for each (latin1): nobody says that they are text.
   */
  | { kind: 'exec'; command: Buffer | undefined; pty: PtyRequest | undefined; env: Readonly<Record<string, string>> }
  /** An SFTP version 3 server: the device's own binary or the helper's. */
  | { kind: 'sftp' }
  | { kind: 'tcp'; host: string; port: number }
  | { kind: 'unix'; path: Buffer };

export type ListenRequest =
  /** Port 0: the device chooses. `host` follows sshd: '' and '*' all, 'localhost' loopback. */
  | { kind: 'tcp'; host: string; port: number }
  | { kind: 'unix'; path: Buffer }
  /** A private Unix socket for SSH_AUTH_SOCK; the device chooses the path. */
  | { kind: 'agent' };

export type Outcome =
  | { kind: 'status'; status: number }
  /** Signal name without SIG (RFC 4254 section 6.10). */
  | { kind: 'signal'; signal: string; coreDumped: boolean; message: string };

/** Why a channel was not opened; `code` chooses the SSH answer, `message` is for people. */
export interface Refusal {
  code: 'unsupported' | 'prohibited' | 'connect-failed' | 'resource';
  message: string;
}

/**
 * Events of one channel, in this order: opened | refused; then data and drain; then for processes
 * outcome; then eof; then closed. After refused or closed nothing more comes.
 */
export interface ChannelEvents {
  opened(): void;
  refused(reason: Refusal): void;
  data(stream: 'out' | 'err', bytes: Buffer): void;
  /** write() may be called again after it returned false. */
  drain(): void;
  outcome(outcome: Outcome): void;
  eof(): void;
  /** `fault` is set when the channel ended for a reason that is not the program's own. */
  closed(fault: Fault | undefined): void;
}

export interface Channel {
  /** Takes the bytes always; false asks the caller to wait for drain before the next write. */
  write(bytes: Buffer): boolean;
  /** No more input (EOF), after everything written. */
  end(): void;
  /** Returns credit: this many bytes of data() have left our hands. Nothing flows without it. */
  consumed(bytes: number): void;
  /**
   * Nobody reads standard output any more (eow@openssh.com): close its reading end on the device, so
   * that the writer gets SIGPIPE. Output still on its way is dropped; outcome, eof and closed follow.
   * For a socket: receive no more, deliver what was written, and be closed once end() took effect.
   */
  closeOutput(): void;
  resize(size: WindowSize): void;
  /** Signal name without SIG, sent to the process group. */
  signal(name: string): void;
  /** The client is gone: hang up the process group, close sockets. `closed` still follows. */
  close(): void;
}

export interface ListenerEvents {
  /** `port` for tcp (the chosen one when 0 was asked), `path` for unix and agent. */
  listening(where: { port: number } | { path: Buffer }): void;
  refused(reason: Refusal): void;
  /** A peer connected: the callee returns the events it wants for it; the channel is open already. */
  incoming(channel: Channel, peer: { host: string; port: number }): ChannelEvents;
  closed(fault: Fault | undefined): void;
}

export interface Listener {
  close(): void;
}

export interface DeviceInfo {
  tier: Tier;
  /** One line for people: why this tier, which interpreter. */
  detail: string;
  user: string;
  home: string;
  shell: string;
  /** Path of the device's own SFTP server; undefined where the bridge serves SFTP. */
  sftpServer: string | undefined;
}

export interface Device {
  readonly info: DeviceInfo;
  open(request: OpenRequest, events: ChannelEvents): Channel;
  listen(request: ListenRequest, events: ListenerEvents): Listener;
}
