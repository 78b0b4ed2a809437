/** How a carrier wants to be written to, from what is known of the agent at its other end. */
export interface Manners {
  /** Least time between two frames in ms. The C agent reads one message per readiness event. */
  readonly frameGapMs: number;
  /** Most bytes of link payload in flight towards the device. */
  readonly windowBytes: number;
  /** Most characters of one frame. */
  readonly frameChars: number;
  /**
   * True while the agent may be one that sends output only for a while after a command: it is then to
   * be asked with empty commands while output is awaited.
   */
  readonly polled: boolean;
  /**
   * The agent's reader and its writer race: what comes from the device just while it types may end the
   * session, or let it hang so that only the end of its connection to the device's SSH server frees it.
   */
  readonly races: boolean;
}

/**
 * One logged-in PTY text stream: what `login` gives to the layers above. It may lose, cut or garble
 * text in either direction and may end at any moment; a new one then takes its place.
 */
export interface Carrier {
  /** Most characters that one command frame holds when none of them needs an escape. */
  readonly maxWrite: number;
  /** Bytes handed over that the socket has not taken yet; callers hold back above their own bound. */
  readonly buffered: number;
  /** Undefined: written to without restraint. */
  readonly manners?: Manners;
  /** Types `text` (printable ASCII and LF for the tiers; any text in the raw tier) as one frame, or more when escapes make it too long. */
  write(text: string): void;
  /** What the device printed, in order of arrival, cut anywhere. Set by the current owner. */
  onText: (bytes: Buffer) => void;
  /** Called once when this stream is gone, or soon if it is already. Set by the current owner. */
  onLost: (cause: Error) => void;
}
