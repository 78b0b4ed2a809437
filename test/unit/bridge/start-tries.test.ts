import { describe, expect, it } from 'vitest';
import { Fault } from '../../../src/base/errors.js';
import { BUSY_LOGINS, SHELL_ENDED_LOGINS, START_LOGINS, StartTries } from '../../../src/bridge/start-tries.js';
import { NoShell, ShellBusy } from '../../../src/helper/boot.js';
import { AgentReturned, LoginUnanswered, ShellEnded } from '../../../src/login/faults.js';

const silent = (): Fault => new Fault('DEVICE_LOST', 'silent');
const ended = (): Fault => new Fault('DEVICE_LOST', 'ended: not available', { cause: new ShellEnded() });

function after(...faults: Fault[]): StartTries {
  const tries = new StartTries();
  for (const fault of faults) tries.failed(fault);
  return tries;
}
const many = (fault: Fault, count: number): Fault[] => Array.from({ length: count }, () => fault);

describe('the tries of a start', () => {
  it('are over after so many that failed, whatever the agent missed by its own absence', () => {
    const returned = new Fault('DEVICE_LOST', 'gone', { cause: new AgentReturned() });
    expect(after(...many(silent(), START_LOGINS - 1), ...many(returned, 50)).over).toBeUndefined();
    expect(after(...many(silent(), START_LOGINS)).over?.message).toBe('silent');
  });

  it('take a shell for none that was busy so often in a row, and not one that was once', () => {
    const busy = new ShellBusy(15_000);
    const tries = after(silent(), silent(), busy, silent(), ...many(busy, BUSY_LOGINS - 2));
    expect(tries.failed(busy)).toBe(busy);
    expect(tries.over).toBe(busy);
    const row = after(...many(busy, BUSY_LOGINS - 1));
    expect(row.failed(busy)).toBeInstanceOf(NoShell);
  });

  it('are over sooner behind the end of a login shell, and tell of that', () => {
    expect(after(...many(ended(), SHELL_ENDED_LOGINS)).over?.message).toBe('ended: not available');
    const hung = after(ended(), ...many(new LoginUnanswered('6.0'), SHELL_ENDED_LOGINS - 2));
    expect(hung.over).toBeUndefined();
    hung.failed(new LoginUnanswered('12.0'));
    expect(hung.over?.message).toBe('ended: not available');
  });

  it('forget the end of a shell behind which something else went wrong', () => {
    expect(after(ended(), silent(), ended(), silent(), ended()).over).toBeUndefined();
    expect(after(ended(), ...many(silent(), START_LOGINS - 1)).over?.message).toBe('silent');
  });
});
