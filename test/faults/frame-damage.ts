/** What faults do to frames on their way through the relay. */
import { setTimeout as sleep } from 'node:timers/promises';
import { decodeFrame } from '../../src/protocol/decode.js';
import { encodeUnchecked } from '../../src/protocol/encode.js';
import type { LegName, Verdict } from '../../src/relay/options.js';
import type { Lab } from './lab.js';

/** Does something to some of the frames of one leg for a while. */
export async function spoil(lab: Lab, leg: LegName, ms: number, how: (bytes: Buffer) => Verdict): Promise<void> {
  const filter = (from: LegName, bytes: Buffer): Verdict => (from === leg && isWork(bytes) ? how(bytes) : 'pass');
  lab.filter = filter;
  await sleep(ms);
  if (lab.filter === filter) lab.filter = undefined;
}

export function isWork(bytes: Buffer): boolean {
  const head = bytes.subarray(0, 200).toString('latin1');
  return head.includes('"command');
}

/** Changes what the shell printed. */
export function changed(bytes: Buffer, change: (data: Buffer) => Buffer): Verdict {
  const decoded = decodeFrame(bytes);
  if (decoded.kind !== 'frame' || decoded.frame.operation !== 'command_response') return 'pass';
  return { replace: encodeUnchecked({ ...decoded.frame, data: change(decoded.frame.data) }) };
}

/** Whether it holds a packet of the link, and one of more than `chars` characters. */
export function hasPacket(bytes: Buffer, chars: number): boolean {
  const decoded = decodeFrame(bytes);
  if (decoded.kind !== 'frame' || decoded.frame.operation !== 'command_response') return false;
  return decoded.frame.data.toString('latin1').split(/[:;]/).some((piece) => piece.length > chars && /^[A-Za-z0-9+/=]+$/.test(piece));
}

export const FOREIGN = [
  '\r\nBroadcast message from root@device (pts/7):\r\n\r\nThe system is going down for maintenance;\r\n',
  '[1]+  Done                    sleep 3\r\n',
  '\u001b[31mkernel: eth0: link down\u001b[0m\r\n',
  ':AAAA;', ':', ';', 'Last login: never\r\n', '\ufffd', '\u0007',
];
