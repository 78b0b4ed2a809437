/** A tunnel in memory with a scripted agent at its other end. */
import { silentLog } from '../../../src/base/log.js';
import type { Carrier } from '../../../src/link/carrier.js';
import { Login, type LoginOptions } from '../../../src/login/login.js';
import type { Frame } from '../../../src/protocol/frames.js';
import { memoryTunnel, type MemoryPeer } from '../../../src/tunnel/memory.js';

export interface Platform {
  login: Login;
  peer: MemoryPeer;
  /** Everything that the login sent, in order. */
  sent: Frame[];
  /** The newest `connect`. */
  connect(): Extract<Frame, { operation: 'connect' }>;
  connects(): number;
  /** The device prints. */
  print(text: string, requestId?: string): void;
  /** The C agent's answer: at once and bare. The C# agent's: late, with data. */
  answer(data?: string): void;
  disconnect(status: string, message?: string): void;
  never: AbortSignal;
}

export const CREDENTIAL = { user: 'pi', password: 'secret' };

export function platform(options: Partial<LoginOptions> = {}): Platform {
  const { tunnel, peer } = memoryTunnel();
  const login = new Login(tunnel, { log: silentLog(), ...options });
  const sent: Frame[] = [];
  peer.onFrame = (frame) => sent.push(frame);
  login.start();
  const connects = (): Extract<Frame, { operation: 'connect' }>[] => sent.filter((frame) => frame.operation === 'connect');
  const connect = (): Extract<Frame, { operation: 'connect' }> => {
    const last = connects().at(-1);
    if (last === undefined) throw new Error('nothing was connected');
    return last;
  };
  return {
    login, peer, sent, connect,
    connects: () => connects().length,
    print: (text, requestId) => peer.deliver({ operation: 'command_response', requestId: requestId ?? connect().requestId, data: Buffer.from(text) }),
    answer: (data) => peer.deliver(
      data === undefined
        ? { operation: 'connect_response', requestId: connect().requestId, data: Buffer.alloc(0), bare: true }
        : { operation: 'connect_response', requestId: connect().requestId, data: Buffer.from(data) },
    ),
    disconnect: (status, message = '') => peer.deliver({ operation: 'disconnect', requestId: 'x'.repeat(36), status, message }),
    never: new AbortController().signal,
  };
}

/** Lets promises that are settled take effect. */
export async function turn(): Promise<void> {
  for (let n = 0; n < 10; n += 1) await Promise.resolve();
}

/** A platform whose device is there. */
export function up(): Platform {
  const all = platform();
  all.peer.open();
  all.peer.deviceUp();
  return all;
}

export async function loggedIn(all: Platform, data?: string): Promise<Carrier> {
  const opening = all.login.open(CREDENTIAL, false, all.never);
  await turn();
  all.answer(data);
  if (data === undefined || data === '') all.print('device:~$ ');
  return await opening;
}
