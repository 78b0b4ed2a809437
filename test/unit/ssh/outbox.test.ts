import { describe, expect, it } from 'vitest';
import { MSG } from '../../../src/ssh/messages.js';
import { Outbox, TurnQueue } from '../../../src/ssh/outbox.js';
import { WireReader } from '../../../src/ssh/wire.js';

/** A transport that can be blocked, and what it was given in readable form. */
function setUp(window: number, maxPacket = 10) {
  const sent: string[] = [];
  const state = { open: true, consumed: 0 };
  const port = {
    canSend: () => state.open,
    send: (head: Buffer, body?: Buffer) => { sent.push(show(head, body)); },
  };
  const turns = new TurnQueue(port.canSend);
  const outbox = new Outbox(port, turns, { id: 7, window, maxPacket }, (bytes) => { state.consumed += bytes; });
  return { sent, state, port, turns, outbox };
}

function show(head: Buffer, body: Buffer | undefined): string {
  const reader = new WireReader(head, 5);
  switch (head[0]) {
    case MSG.CHANNEL_DATA: return `out ${body?.toString() ?? ''}`;
    case MSG.CHANNEL_EXTENDED_DATA: return `err ${body?.toString() ?? ''}`;
    case MSG.CHANNEL_EOF: return 'eof';
    case MSG.CHANNEL_CLOSE: return 'close';
    case MSG.CHANNEL_REQUEST: return reader.latin1('type');
    default: return `message ${head[0] ?? 0}`;
  }
}

describe('the writer of channel output', () => {
  it('sends rest of both streams, exit status, EOF and CLOSE in this order, whenever the window opens', () => {
    for (const step of [1, 2, 3, 7, 100]) {
      const { outbox, sent } = setUp(0);
      outbox.write('out', Buffer.from('abc'));
      outbox.write('err', Buffer.from('xyz'));
      outbox.write('out', Buffer.from('def'));
      outbox.outcome({ kind: 'status', status: 3 });
      outbox.eof();
      outbox.close();
      expect(sent).toEqual([]);
      for (let given = 0; given < 9; given += step) outbox.adjust(step);
      const text = (stream: string): string => sent.filter((line) => line.startsWith(`${stream} `)).map((line) => line.slice(4)).join('');
      expect(text('out')).toBe('abcdef');
      expect(text('err')).toBe('xyz');
      expect(sent.slice(-3)).toEqual(['exit-status', 'eof', 'close']);
      expect(outbox.closeSent).toBe(true);
    }
  });

  it('needs no window for an exit status without output', () => {
    const { outbox, sent } = setUp(0);
    outbox.outcome({ kind: 'signal', signal: 'TERM', coreDumped: false, message: '' });
    outbox.eof();
    outbox.close();
    expect(sent).toEqual(['exit-signal', 'eof', 'close']);
  });

  it('gives credit back only for bytes that left', () => {
    const { outbox, state, turns } = setUp(4);
    outbox.write('out', Buffer.from('abcdefgh'));
    expect(state.consumed).toBe(4);
    state.open = false;
    outbox.adjust(10);
    expect(state.consumed).toBe(4);
    state.open = true;
    turns.run();
    expect(state.consumed).toBe(8);
  });

  it('cuts data at the packet size the client asked for', () => {
    const { outbox, sent } = setUp(100, 3);
    outbox.write('out', Buffer.from('abcdefgh'));
    expect(sent).toEqual(['out abc', 'out def', 'out gh']);
  });

  it('drops what waits for a stream that nobody reads, and counts it as consumed', () => {
    const { outbox, sent, state } = setUp(2);
    outbox.write('out', Buffer.from('abcdef'));
    outbox.write('err', Buffer.from('!'));
    outbox.stop('out');
    outbox.write('out', Buffer.from('more'));
    expect(state.consumed).toBe(10);
    outbox.adjust(100);
    expect(sent).toEqual(['out ab', 'err !']);
    expect(state.consumed).toBe(11);
  });

  it('answers a CLOSE with CLOSE alone, whatever was waiting', () => {
    const { outbox, sent, state } = setUp(0);
    outbox.write('out', Buffer.from('abc'));
    outbox.outcome({ kind: 'status', status: 0 });
    outbox.abandon();
    outbox.abandon();
    expect(sent).toEqual(['close']);
    expect(state.consumed).toBe(3);
  });

  it('sends nothing after EOF', () => {
    const { outbox, sent } = setUp(100);
    outbox.eof();
    outbox.write('out', Buffer.from('late'));
    outbox.note('late');
    outbox.eof();
    outbox.close();
    outbox.close();
    expect(sent).toEqual(['eof', 'close']);
  });

  it('keeps output until the client has confirmed a channel that we opened', () => {
    const { port, turns, sent } = setUp(0);
    const outbox = new Outbox(port, turns, undefined, () => {});
    outbox.write('out', Buffer.from('early'));
    outbox.eof();
    expect(sent).toEqual([]);
    outbox.opened({ id: 1, window: 100, maxPacket: 100 });
    expect(sent).toEqual(['out early', 'eof']);
  });

  it('refuses a window beyond 4 GiB', () => {
    const { outbox } = setUp(10);
    expect(() => outbox.adjust(0xffff_ffff)).toThrow('window');
  });

  it('takes turns between channels, one packet each', () => {
    const { port, turns, sent, state } = setUp(0);
    state.open = false;
    const make = (id: number): Outbox => new Outbox(port, turns, { id, window: 100, maxPacket: 2 }, () => {});
    const bulk = make(1);
    const keys = make(2);
    bulk.write('out', Buffer.from('aaaaaa'));
    keys.write('out', Buffer.from('k'));
    state.open = true;
    turns.run();
    expect(sent).toEqual(['out aa', 'out k', 'out aa', 'out aa']);
  });

  it('is not confused by a device that sends more while credit is given', () => {
    const sent: string[] = [];
    const port = { canSend: () => true, send: (head: Buffer, body?: Buffer) => { sent.push(show(head, body)); } };
    const turns = new TurnQueue(port.canSend);
    let left = 3;
    const outbox: Outbox = new Outbox(port, turns, { id: 1, window: 100, maxPacket: 2 }, () => {
      if (left-- > 0) outbox.write('out', Buffer.from(String(left)));
    });
    outbox.write('out', Buffer.from('ab'));
    expect(sent).toEqual(['out ab', 'out 2', 'out 1', 'out 0']);
  });
});
