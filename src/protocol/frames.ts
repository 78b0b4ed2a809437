/**
 * The typed frames of the secure tunnel. Directions: A = application (the bridge), D = device,
 * P = platform. Text that a shell printed is kept as bytes: agents cut UTF-8 sequences at their
 * read boundaries and pass other encodings raw inside JSON text.
 */
export type Frame =
  /** P→A: the device leg is up (again). May be missed, may repeat. */
  | { operation: 'connect_tunnel'; requestId: string }
  /** A→D: log in. */
  | { operation: 'connect'; requestId: string; username: string; password: string }
  /** D→A: before authentication (C agent, no data) or after it (C# agent, first output in data). */
  | { operation: 'connect_response'; requestId: string; data: Buffer; /** There was no data key: a C agent. */ bare?: true }
  /** A→D: text to type. */
  | { operation: 'command'; requestId: string; data: string }
  /** D→A: what the shell printed; empty when data was null, missing or not a string. */
  | { operation: 'command_response'; requestId: string; data: Buffer }
  /** Either way: the session is over. status is '' when the sender gave none. */
  | { operation: 'disconnect'; requestId: string; status: string; message: string }
  /** A→P and P→A: application-level heartbeat. */
  | { operation: 'ping'; requestId: string }
  | { operation: 'pong'; requestId: string };

export type FrameOf<O extends Frame['operation']> = Extract<Frame, { operation: O }>;
