import { expect, it } from 'vitest';
import { helperText } from '../../../src/helper/python/program.js';
import * as link from '../../../src/link/wire.js';
import * as mux from '../../../src/mux/wire.js';

/** The value of a constant in the helper, alone or in a list (`A,B=1,2`). */
function constant(name: string): number {
  for (const line of helperText().split('\n')) {
    const match = /^([A-Z_0-9,=]+)=([\d.,]+)$/.exec(line);
    if (match?.[1] === undefined || match[2] === undefined) continue;
    const values = match[2].split(',').map(Number);
    for (const names of match[1].split('=')) {
      const at = names.split(',').indexOf(name);
      if (at >= 0) return values[at] as number;
    }
  }
  throw new Error(`no constant ${name} in the helper`);
}

it('both halves of the link agree on its constants', () => {
  expect({
    data: constant('DATA_PACKET'),
    ack: constant('ACK_PACKET'),
    bye: constant('BYE_PACKET'),
    ackNow: constant('ACK_NOW'),
    reply: constant('REPLY'),
    stuck: constant('STUCK'),
    packet: constant('PACKET_LIMIT'),
    ranges: constant('RANGES_MOST'),
    reassembly: constant('REASSEMBLY_LIMIT'),
    windowMost: constant('WINDOW_MOST'),
    queueMs: constant('QUEUE_TIME') * 1000,
    queueLeast: constant('QUEUE_LEAST'),
    trips: constant('TRIPS'),
    renewMs: constant('RENEW_TIME') * 1000,
    renewFirstMs: constant('RENEW_FIRST') * 1000,
  }).toEqual({
    data: link.TYPE_DATA,
    ack: link.TYPE_ACK,
    bye: link.TYPE_BYE,
    ackNow: link.FLAG_ACK_NOW,
    reply: link.FLAG_REPLY,
    stuck: link.FLAG_STUCK,
    packet: link.PACKET_LIMIT_CHARS,
    ranges: link.ACK_RANGES,
    reassembly: link.REASSEMBLY_LIMIT_BYTES,
    windowMost: link.WINDOW_MAX_BYTES,
    queueMs: link.QUEUE_MS,
    queueLeast: link.QUEUE_LEAST_BYTES,
    trips: link.RTTS,
    renewMs: link.RENEW_MS,
    renewFirstMs: link.RENEW_FIRST_MS,
  });
});

it('both halves of the mux agree on its messages and limits', () => {
  const names = /\(OPEN,([A-Z,]+)\)=range\(1,17\)/.exec(helperText())?.[1]?.split(',') ?? [];
  expect(['OPEN', ...names]).toEqual(Object.keys(mux.MSG));
  expect(Object.values(mux.MSG)).toEqual(Object.keys(mux.MSG).map((_, i) => i + 1));
  expect([constant('MESSAGE_LIMIT'), constant('OPEN_LIMIT'), constant('CREDIT_TO_BRIDGE'), constant('CREDIT_TO_DEVICE'), constant('CREDIT_MOST'), constant('SLICE')]).toEqual([
    mux.PAYLOAD_LIMIT_BYTES,
    mux.OPEN_LIMIT_BYTES,
    mux.CREDIT_TO_BRIDGE_BYTES,
    mux.CREDIT_TO_DEVICE_BYTES,
    mux.CREDIT_MOST_BYTES,
    mux.SLICE_BYTES,
  ]);
});
