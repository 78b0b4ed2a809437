/** What the agent did so far, for logs and for the fault harness. All are counts since the start. */
export interface AgentStats {
  tunnelsOpened: number;
  logins: number;
  loginsRefused: number;
  shellsEnded: number;
  commands: number;
  /** Bytes typed into shells. */
  bytesTyped: number;
  outputFrames: number;
  /** Bytes of shell output in them, before escaping. */
  bytesShown: number;
  /** Output frames that were meant for the tunnel and did not get there. */
  outputFramesLost: number;
  crashes: number;
  /** Each fault that struck, by the name of its switch or injection. */
  faults: Record<string, number>;
}

export function newStats(): AgentStats {
  return {
    tunnelsOpened: 0,
    logins: 0,
    loginsRefused: 0,
    shellsEnded: 0,
    commands: 0,
    bytesTyped: 0,
    outputFrames: 0,
    bytesShown: 0,
    outputFramesLost: 0,
    crashes: 0,
    faults: {},
  };
}

export function countFault(stats: AgentStats, name: string): void {
  stats.faults[name] = (stats.faults[name] ?? 0) + 1;
}
