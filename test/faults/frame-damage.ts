/** What faults do to frames on their way through the relay. */
import { setTimeout as sleep } from 'node:timers/promises';
import { struck } from './strike.js';
import { decodeFrame } from '../../src/protocol/decode.js';
import { encodeUnchecked } from '../../src/protocol/encode.js';
import type { LegName, Verdict } from '../../src/relay/options.js';
import type { Lab } from './lab.js';

/** How long a fault may wait for something to strike; clients type all the time. */
const STRIKE_MS = 30_000;

/** Does something to frames for a while, and until it has struck. */
export async function spoilAny(lab: Lab, ms: number, how: (leg: LegName, bytes: Buffer) => Verdict): Promise<void> {
  let hits = 0;
  const filter = (leg: LegName, bytes: Buffer): Verdict => {
    const verdict = how(leg, bytes);
    if (verdict !== 'pass') hits += 1;
    return verdict;
  };
  lab.filter = filter;
  try {
    await sleep(ms);
    // Another fault may have taken the place of this one, or the clients be over.
    await struck('a frame of the kind', () => hits > 0 || lab.filter !== filter, STRIKE_MS);
  } finally {
    if (lab.filter === filter) lab.filter = undefined;
  }
}

/** Does something to some of the frames of one leg for a while. */
export async function spoil(lab: Lab, leg: LegName, ms: number, how: (bytes: Buffer) => Verdict): Promise<void> {
  await spoilAny(lab, ms, (from, bytes) => (from === leg && isWork(bytes) ? how(bytes) : 'pass'));
}

export function isWork(bytes: Buffer): boolean {
  const head = bytes.subarray(0, 200).toString('latin1');
  return head.includes('"command');
}

/** Changes what the shell printed. */
export function changed(bytes: Buffer, change: (data: Buffer) => Buffer): Verdict {
  const decoded = decodeFrame(bytes);
  if (decoded.kind !== 'frame' || decoded.frame.operation !== 'command_response') return 'pass';
  const data = change(decoded.frame.data);
  return data.equals(decoded.frame.data) ? 'pass' : { replace: encodeUnchecked({ ...decoded.frame, data }) };
}

/** A record of the sh tier that tells more than that its front is there. */
const SH_RECORD = /:s[0-9a-f]{12} [acempnoxF] /;

/** Whether it holds a packet of the link, of more than `chars` characters, or what the sh tier has in its place. */
export function hasPacket(bytes: Buffer, chars: number): boolean {
  const decoded = decodeFrame(bytes);
  if (decoded.kind !== 'frame' || decoded.frame.operation !== 'command_response') return false;
  const text = decoded.frame.data.toString('latin1');
  return SH_RECORD.test(text) || text.split(/[:;]/).some((piece) => piece.length > chars && /^[A-Za-z0-9+/=]+$/.test(piece));
}

export const FOREIGN = [
  '\r\nBroadcast message from root@device (pts/7):\r\n\r\nThe system is going down for maintenance;\r\n',
  '[1]+  Done                    sleep 3\r\n',
  '\u001b[31mkernel: eth0: link down\u001b[0m\r\n',
  ':AAAA;', ':', ';', 'Last login: never\r\n', '\ufffd', '\u0007',
];
