/**
 * A login on the device, as the engine sees it: a terminal that is typed into and read from in
 * pieces. Pulling instead of pushing lets a profile leave output unread, as real agents do.
 */
export interface Session {
  /** Next output, at most `max` bytes; undefined when none waits. */
  read(max: number): Buffer | undefined;
  /** Types text. Takes it always; `untaken` tells how much waits. */
  type(text: string): void;
  /** Bytes typed that the terminal has not taken yet. */
  readonly untaken: number;
  /** `exited`: the login shell ended. `lost`: what carried the session ended. Output may still wait. */
  readonly state: 'open' | 'exited' | 'lost';
  /** A connection to an SSH server carries it, whose end frees an agent that hangs. */
  readonly carried?: boolean;
  /** Output waits, the state changed or typed text was taken. Set by the current owner. */
  onChange: () => void;
  /** Ends the session as a closed connection does: SIGHUP, and what ignores it lives on. */
  hangUp(): void;
}

export interface Terminal {
  term: string;
  cols: number;
  rows: number;
}

/** Where sessions come from. Both reject with a Fault. */
export interface SessionSource {
  /** Says early what would make every login fail: no shell, no SSH server. */
  check(): Promise<void>;
  /** Logs in. Fault DENIED: wrong credential. DEVICE_LOST: no session for another reason. */
  open(user: string, password: string, terminal: Terminal): Promise<Session>;
  /** Ends every session that is still there, by force where SIGHUP is ignored. */
  close(): Promise<void>;
}
