/** What can be the matter with a login, where it matters above which of the things it is. All are DEVICE_LOST. */
import { Fault } from '../base/errors.js';

/**
 * The device is not at the tunnel, or does not show it, or there is no tunnel (`unreachable`): trying
 * again at once would be in vain. Not TUNNEL: the tunnel goes on trying.
 */
export class DeviceAbsent extends Fault {
  constructor(what: 'has not come to' | 'does not answer at', unreachable?: Fault) {
    const device = `The device ${what} the tunnel; check that it is online and that its agent runs.`;
    super('DEVICE_LOST', unreachable === undefined ? device : `The tunnel cannot be opened: ${unreachable.message}.`, { cause: unreachable });
  }
}

/** The agent is there, but not the device's SSH server: it may be starting, after a reboot for instance. */
export class ServerAbsent extends Fault {
  constructor(said: string) {
    super('DEVICE_LOST', `The agent on the device does not reach the device's SSH server (it said ${said}).`);
  }
}

/** Nobody said anything of a login in its time: neither the agent, nor the tunnel's own connection, which may be dead unnoticed. */
export class LoginUnanswered extends Fault {
  constructor(seconds: string) {
    super('DEVICE_LOST', `The agent on the device did not log in within ${seconds} s; restart it if this goes on, and see whether the user’s login shell ends by itself.`);
  }
}

/** The agent has just connected anew: what was sent to it before is lost, and the next login will find it. */
export class AgentReturned extends Fault {
  constructor() {
    super('DEVICE_LOST', "The device's agent reconnected; its session is gone.");
  }

  /** Whether it is why something failed that came after the login. */
  static isBehind(fault: Fault): boolean {
    return fault instanceof AgentReturned || fault.cause instanceof AgentReturned;
  }
}

/** The login shell is gone, by itself or because the device ended it. The stock agent does not survive that. */
export class ShellEnded extends Fault {
  constructor() {
    super('DEVICE_LOST', 'The login shell on the device ended.');
  }

  /** Whether it is why something failed that came after the login. */
  static isBehind(fault: Fault): boolean {
    return fault instanceof ShellEnded || fault.cause instanceof ShellEnded;
  }
}
