/**
 * Errors are told apart by what the reader does next, never by their text. Each carries a stable
 * code (listed in README "Exit codes and errors", held together by a test), one sentence for a
 * person, and the cause.
 */
export type FaultCode =
  /** An option, file or value given by the operator is wrong: correct it and start again. */
  | 'USAGE'
  /** A file or the address to listen on cannot be used (busy port, unreadable key). */
  | 'LOCAL'
  /** The platform cannot be reached or refuses the tunnel token. */
  | 'TUNNEL'
  /** The device's own login refused the credential. */
  | 'DENIED'
  /** The device's single session is in use under another credential. */
  | 'BUSY'
  /** The device does not answer, or its session was lost for longer than can be bridged. */
  | 'DEVICE_LOST'
  /** The device (or the tier in use) cannot do what was asked. */
  | 'UNSUPPORTED'
  /** A peer sent something that its protocol does not allow. */
  | 'PROTOCOL'
  /** A defect of this program. */
  | 'INTERNAL';

export class Fault extends Error {
  readonly code: FaultCode;

  /** `message` is one sentence: the thing that failed, why, and the next step. It holds no secret. */
  constructor(code: FaultCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'Fault';
    this.code = code;
  }
}

/** Any thrown value as a Fault; what is not one already is a defect of ours or of the platform. */
export function toFault(thrown: unknown, code: FaultCode = 'INTERNAL'): Fault {
  if (thrown instanceof Fault) return thrown;
  return new Fault(code, thrown instanceof Error ? thrown.message : String(thrown), { cause: thrown });
}
