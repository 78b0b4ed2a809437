import { Fault } from '../../../src/base/errors.js';
import type { Carrier } from '../../../src/link/carrier.js';
import { HelperGone, type Backend, type Boot } from '../../../src/mux/backend.js';
import type { Channel, ChannelEvents, DeviceInfo, Listener } from '../../../src/mux/device.js';

/** A tier whose every answer a test decides. */
export class FakeBackend implements Backend {
  readonly info: DeviceInfo = { tier: 'python', detail: 'fake', user: 'pi', home: '/', shell: '/bin/sh', sftpServer: undefined };
  rttMs = 0;
  channels = 1;
  progress = 0;
  owed = 0;
  nudges = 0;
  attaches = 0;
  detached: Error[] = [];
  shutdowns: Fault[] = [];
  /** What its device makes of the goodbye, call by call; the last one stays. Undefined: nothing until the time is over. */
  confirms: (boolean | undefined)[] = [true];
  resumes: boolean[] = [];
  onEnd: (fault: Fault) => void = () => undefined;
  /** What attach does, call by call; the last one stays. */
  answers: (() => Promise<void>)[] = [];
  /** Undefined: the tier cannot resume. */
  resume?: (carrier: Carrier, signal: AbortSignal) => Promise<boolean>;

  owedMs(): number {
    return this.owed;
  }
  nudge(): void {
    this.nudges += 1;
  }
  attach(_carrier: Carrier, _boot: Boot, _signal: AbortSignal): Promise<void> {
    this.attaches += 1;
    const answer = this.answers.length > 1 ? this.answers.shift() : this.answers[0];
    return answer === undefined ? Promise.resolve() : answer();
  }
  detach(cause: Error): void {
    this.detached.push(cause);
  }
  shutdown(fault: Fault, signal: AbortSignal): Promise<boolean> {
    this.shutdowns.push(fault);
    const confirmed = this.confirms.length > 1 ? this.confirms.shift() : this.confirms[0];
    if (confirmed !== undefined) return Promise.resolve(confirmed);
    return new Promise((resolve) => {
      signal.addEventListener('abort', () => {
        resolve(false);
      });
    });
  }
  open(_request: unknown, _events: ChannelEvents): Channel {
    throw new Error('not for this test');
  }
  listen(): Listener {
    throw new Error('not for this test');
  }
}

export const FAILS = (): Promise<void> => Promise.reject(new Fault('DEVICE_LOST', 'this try failed'));
export const GONE = (): Promise<void> => Promise.reject(new HelperGone('the helper is gone'));
export const UNSUPPORTED = (): Promise<void> => Promise.reject(new Fault('UNSUPPORTED', 'not here'));
