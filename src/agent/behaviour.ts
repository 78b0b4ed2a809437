/**
 * Everything in which device agents differ, as one flat table of switches. A profile is a value for
 * each; the engine reads nothing else, so each quirk and each fault can be turned on or off alone.
 * Rates are chances from 0 (never) to 1 (always). Durations are milliseconds.
 */
export interface Behaviour {
  // ---- The wire ----
  /** How frames are printed: `cjson` with line ends and tabs, `compact` without white space. */
  json: 'cjson' | 'compact';
  /**
   * How frames are read. `tolerant`: what cannot be read is dropped. `cjson`: the same, and a lone
   * surrogate escape drops the frame. `strict`: what is not JSON, or is binary, closes with 1011.
   */
  parser: 'tolerant' | 'cjson' | 'strict';
  /** An empty text message makes the agent close its WebSocket (noPoll). */
  emptyMessageCloses: boolean;
  /** A missing or non-string operation_type or tunnel_service_type crashes (strcmp of NULL). */
  missingFieldCrashes: boolean;
  /** Bytes of request_id that are copied; 0 copies it whole. */
  requestIdBytes: number;
  /** Whose id output bears: that of the last connect or command, or always that of the connect. */
  outputId: 'last-request' | 'connect';
  /** Only the first message of one socket read is handled; the rest waits for the next read (noPoll 0.4.8). */
  oneMessagePerRead: boolean;
  /**
   * Messages that arrive in one burst share TLS records of so many bytes, and one that a record's end
   * cuts is taken for two and lost; 0 never.
   */
  recordBytes: number;
  /** What is sent to keep the WebSocket alive: a ping, or an unsolicited pong (.NET). */
  keepalive: 'ping' | 'pong';
  keepaliveMs: number;
  /** The WebSocket is given up when nothing at all arrived for so long; 0 never notices. */
  deadPeerMs: number;
  /** Tries after an abnormal end of the WebSocket; 0 never reconnects. */
  reconnectTries: number;
  /** The n-th try waits n times this, at most ten times this. */
  reconnectStepMs: number;

  // ---- Logging in ----
  /** When connect_response is sent: at once (proves nothing), or when the shell is there. */
  connectResponse: 'before-login' | 'after-login';
  /** With `after-login`: how long first output is gathered to travel in connect_response's data. */
  firstOutputMs: number;
  /** Chance that what was gathered is also sent as command_response before. */
  bannerTwiceRate: number;
  /** A refused login: a disconnect frame with status 400, or the WebSocket closed with 1011. */
  loginFailure: 'disconnect-400' | 'close-1011';
  /** How long a wrong password takes to be refused by the local shell target (sshd has its own delay). */
  refusalMs: number;
  /** A connect while a session exists: destroys it without a word, or is ignored without a word. */
  secondConnect: 'replace' | 'ignore';
  term: string;
  cols: number;
  rows: number;

  // ---- Output ----
  /** Most bytes of one read from the shell, and so of one frame's data before escaping. */
  readBytes: number;
  /**
   * `raw`: bytes go out as they are, cut anywhere, invalid UTF-8 included. `per-chunk`: each chunk
   * is decoded alone, cut characters become U+FFFD. `whole`: cut characters wait for their rest.
   */
  outputText: 'raw' | 'per-chunk' | 'whole';
  /** The rest of a chunk behind a NUL is lost. */
  nulCutsChunk: boolean;
  /** Chance that a chunk of exactly readBytes bears some bytes of heap garbage at its end. */
  trailingGarbageRate: number;
  /** A frame of more bytes than this is lost (fixed buffer of the first generation); 0 no limit. */
  frameBufferBytes: number;
  /** Output is read only until the shell was idle for so long after a connect or command; 0 always. */
  readWindowMs: number;
  /** No further frame is handled while such a window is open (first generation: one thread). */
  windowBlocks: boolean;
  /** When more than sendBufferBytes wait in the socket: stop reading the shell, or lose frames. */
  laggingReceiver: 'wait' | 'drop';
  sendBufferBytes: number;
  /** Chance for each output frame to be lost. */
  outputLossRate: number;
  /** Chance for each output frame to change places with the next one. */
  outputReorderRate: number;

  // ---- Commands ----
  /** A command is cut at a NUL, its rest dropped without a word. */
  nulCutsCommand: boolean;
  /** Chance for each command frame to be lost. */
  commandLossRate: number;
  /** Chance for a command to change places with one that already waits behind it. */
  commandReorderRate: number;
  /** Chance that a message of more than fragmentBytes is taken for fragments and lost. */
  fragmentLossRate: number;
  fragmentBytes: number;
  /** A shell that does not read its input blocks the whole agent, connect included. */
  typingBlocks: boolean;
  /** What the application's disconnect does: nothing, ends the session, or closes with 1000. */
  appDisconnect: 'ignore' | 'end-session' | 'close-1000';

  // ---- Faults of the session and of the process ----
  /** Chance for each command frame that the SSH leg dies without any frame to say so. */
  silentDeathRate: number;
  /** Commands of fewer bytes never do that: 8,212 single keys were typed without a fault. */
  silentDeathMinBytes: number;
  /** Chance for each command frame that output is held until the next command frame. */
  stallRate: number;
  /** Chance for each command frame that output is held for good; a new connect cures it. */
  stallForGoodRate: number;
  /**
   * Chance for each command frame that typing it never ends: nothing else is handled, connect included,
   * until the connection to the device's SSH server is gone. Never with a shell of our own, where there
   * is none.
   */
  hangRate: number;
  /** Chance for each command frame that the agent's process crashes. */
  crashRate: number;
  /** Chance that the connect which follows a silent death crashes the process instead of curing it. */
  recoveryCrashRate: number;
  /** So many command frames within floodMs, not paced by any output, crash the process; 0 never. */
  floodFrames: number;
  floodMs: number;
  /** Shorter commands do not count. */
  floodMinBytes: number;
  /** A crashed process comes back after this, with the same token; -1 stays dead. */
  restartMs: number;

  // ---- The end of the shell ----
  /** Chance that the end of the login shell is reported by disconnect 408. */
  exitNoticeRate: number;
  /** A session lost under the agent (sshd killed) is reported in the same way. */
  lossNotice: boolean;
  /** After the shell's end the next connect is answered, and then the agent hangs for good. */
  exitDeadlocks: boolean;
  /** Chance that a command in that state crashes the process. */
  deadlockCrashRate: number;
  /** Typing into a session that is gone closes the WebSocket with 1011. */
  typingAfterEndCloses: boolean;
}

export type BehaviourName = keyof Behaviour;
