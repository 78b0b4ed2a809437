/** A device whose helper is not ours: what it may say, and what that costs the bridge. */
import { randomBytes } from 'node:crypto';
import { deflateSync } from 'node:zlib';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { Fault } from '../../src/base/errors.js';
import { silentLog } from '../../src/base/log.js';
import { SftpWorker } from '../../src/helper/sh/sftp-worker.js';
import { goneMark } from '../../src/helper/python/program.js';
import { PythonBackend } from '../../src/helper/python-backend.js';
import { RawBackend } from '../../src/helper/raw-backend.js';
import type { Carrier } from '../../src/link/carrier.js';
import { Link } from '../../src/link/link.js';
import { directionKey, encodeAck, encodeData, PacketReader } from '../../src/link/packet.js';
import { Receiver } from '../../src/link/receiver.js';
import { REASSEMBLY_LIMIT_BYTES, REASSEMBLY_LIMIT_PIECES } from '../../src/link/wire.js';
import { HelperGone } from '../../src/mux/backend.js';
import type { Channel, ChannelEvents, Refusal } from '../../src/mux/device.js';
import { encodeMessage, MessageReader } from '../../src/mux/message.js';
import { Mux } from '../../src/mux/mux.js';
import { CREDIT_TO_DEVICE_BYTES, DEVICE_CHANNEL_BIT, MSG } from '../../src/mux/wire.js';
import { Outbox, TurnQueue } from '../../src/ssh/outbox.js';
import { heldBytes, MiB } from './memory.js';

class Seen implements ChannelEvents {
  readonly said: string[] = [];
  refusal: Refusal | undefined;
  fault: Fault | undefined;
  bytes = 0;
  opened(): void { this.said.push('opened'); }
  refused(reason: Refusal): void { this.said.push('refused'); this.refusal = reason; }
  data(_stream: 'out' | 'err', bytes: Buffer): void { this.bytes += bytes.length; }
  drain(): void { this.said.push('drain'); }
  outcome(): void { this.said.push('outcome'); }
  eof(): void { this.said.push('eof'); }
  closed(fault: Fault | undefined): void { this.said.push('closed'); this.fault = fault; }
}

function session(): { mux: Mux; faults: Fault[]; open(events?: ChannelEvents): Channel } {
  const faults: Fault[] = [];
  const mux = new Mux({ wake: () => undefined, info: () => undefined, ended: (fault) => faults.push(fault) });
  return { mux, faults, open: (events = new Seen()) => mux.open({ kind: 'exec', command: Buffer.from('x'), pty: undefined, env: {} }, events) };
}

/** Runs `attack` and tells by how much what is held has grown. */
function growth(attack: () => unknown): number {
  const before = heldBytes();
  const kept = attack();
  const grown = heldBytes() - before;
  // What the attack left is alive until here.
  expect(kept).toBeDefined();
  return grown;
}

describe('memory', () => {
  it('is bounded for bytes beyond a gap, however small their pieces', () => {
    const receiver = new Receiver();
    const grown = growth(() => {
      for (let at = 0; at < 200_000; at += 1) receiver.take(at + 1, 10 + 2 * at, Buffer.alloc(1), () => undefined);
      return receiver;
    });
    expect(receiver.ranges().length).toBe(REASSEMBLY_LIMIT_PIECES);
    expect(grown).toBeLessThan(16 * MiB);
    // What was dropped comes again: the stream goes on.
    let got = 0;
    for (let at = 0; at < 100_000; at += 10_000) receiver.take(300_000 + at, at, Buffer.alloc(10_000), (bytes) => (got += bytes.length));
    expect(got).toBe(100_000);
  });

  it('is bounded for what a plain terminal prints before there is a client for it, in single bytes among much else', async () => {
    const backend = new RawBackend('pi', { graceMs: 1_000, idleMs: 0 });
    const terminal: Carrier = { maxWrite: 100, buffered: 0, write: () => undefined, onText: () => undefined, onLost: () => undefined };
    await backend.attach(terminal);
    const grown = growth(() => {
      for (let n = 0; n < 4_000; n += 1) terminal.onText(Buffer.alloc(64 * 1024, 'x').subarray(5, 6));
      return backend;
    });
    expect(grown).toBeLessThan(8 * MiB);
  });

  it('is bounded for the answer of a file worker that comes byte by byte', async () => {
    let events: ChannelEvents | undefined;
    const channel = { write: () => true, end: () => undefined, consumed: () => undefined, closeOutput: () => undefined, resize: () => undefined, signal: () => undefined, close: () => undefined };
    let script = '';
    const worker = new SftpWorker((text, own) => {
      script = text.toString();
      events = own;
      return channel;
    }, () => undefined);
    const greeting = worker.greeting();
    const grown = growth(() => {
      for (let n = 0; n < 500_000; n += 1) events?.data('out', Buffer.from([0x61 + (n % 26)]));
      return worker;
    });
    expect(grown).toBeLessThan(8 * MiB);
    const [, token = ''] = /([0-9a-f]{24}) /.exec(script) ?? [];
    events?.data('out', Buffer.from(`\n${token} 7\n`));
    const { status, output } = await greeting;
    expect([status, output.length, output.subarray(499_998).toString()]).toEqual([7, 500_000, 'st']);
  });

  it('is bounded for packets that overlap in all but a byte', () => {
    const receiver = new Receiver();
    const grown = growth(() => {
      for (let at = 0; at < 12_000; at += 1) receiver.take(at + 1, 10 + at, Buffer.alloc(12_000), () => undefined);
      return receiver;
    });
    expect(receiver.earlyBytes).toBe(24_000 - 1);
    expect(grown).toBeLessThan(8 * MiB);
  });

  it('is bounded for bytes far beyond the next one', () => {
    const receiver = new Receiver();
    for (let at = 0; at < 2_000; at += 1) receiver.take(at + 1, 1 + at * 12_000, Buffer.alloc(12_000), () => undefined);
    expect(receiver.earlyBytes).toBeLessThanOrEqual(REASSEMBLY_LIMIT_BYTES);
    receiver.take(1, 2 ** 48 - 13_000, Buffer.alloc(12_000), () => undefined);
    expect(receiver.earlyBytes).toBeLessThanOrEqual(REASSEMBLY_LIMIT_BYTES);
  });

  it('is bounded for output in single bytes, each in a large packet, to a client that does not read', () => {
    const { mux, open, faults } = session();
    const outbox = new Outbox({ send: () => undefined, canSend: () => false }, new TurnQueue(() => false), undefined, () => undefined);
    const seen = new Seen();
    seen.data = (stream, bytes) => outbox.write(stream, bytes);
    open(seen);
    const grown = growth(() => {
      for (let at = 0; at < 20_000; at += 1) {
        const stream = at % 2 === 0 ? MSG.DATA : MSG.ERR;
        mux.push(Buffer.concat([encodeMessage(stream, 1, 'x'), encodeMessage(MSG.DATA, 999, Buffer.alloc(12_000))]));
      }
      return outbox;
    });
    expect(faults).toEqual([]);
    expect(grown).toBeLessThan(24 * MiB);
  });

  it('is bounded for a message that comes byte by byte', () => {
    const reader = new MessageReader();
    const message = encodeMessage(MSG.OPEN, DEVICE_CHANNEL_BIT, Buffer.alloc(200_000, 0x20));
    let whole = 0;
    const grown = growth(() => {
      for (let at = 0; at < message.length - 1; at += 1) reader.push(Buffer.from(message.subarray(at, at + 1)), () => (whole += 1));
      return reader;
    });
    expect(grown).toBeLessThan(4 * MiB);
    reader.push(message.subarray(-1), () => (whole += 1));
    expect(whole).toBe(1);
  });

  it('is bounded for compressed output that inflates beyond one message', () => {
    const { mux, open, faults } = session();
    open();
    mux.push(encodeMessage(MSG.ZDATA, 1, deflateSync(Buffer.alloc(60 * MiB))));
    expect(faults).toMatchObject([{ code: 'PROTOCOL', message: expect.stringContaining('does not inflate within its bound') as string }]);
  });

  it('is bounded for connections that the device opens without reading the answers', () => {
    const { mux, faults } = session();
    for (let at = 0; faults.length === 0 && at < 100_000; at += 1) {
      mux.push(encodeMessage(MSG.OPEN, DEVICE_CHANNEL_BIT + at, '{"kind":"accept","listener":77,"host":"h","port":1}'));
    }
    expect(faults).toMatchObject([{ code: 'PROTOCOL', message: expect.stringContaining('opens connections without end') as string }]);
  });

  it('is bounded for a channel that ends, and a listener that opens, again and again', () => {
    const { mux, open } = session();
    const seen = new Seen();
    open(seen);
    const listening: unknown[] = [];
    mux.listen({ kind: 'tcp', host: '', port: 0 }, {
      listening: (where) => listening.push(where),
      refused: () => listening.push('refused'),
      incoming: () => new Seen(),
      closed: () => undefined,
    });
    for (let at = 0; at < 1_000; at += 1) {
      for (const type of [MSG.OPENED, MSG.EXIT, MSG.EOF]) mux.push(encodeMessage(type, 1, '{"status":0}'));
      mux.push(encodeMessage(MSG.REFUSED, 1, '{"code":"resource","message":"late"}'));
      mux.push(encodeMessage(MSG.OPENED, 2, JSON.stringify({ port: at + 1 })));
      mux.push(encodeMessage(MSG.REFUSED, 2, '{}'));
    }
    expect(seen.said).toEqual(['opened', 'outcome', 'eof']);
    expect(listening).toEqual([{ port: 1 }]);
  });

  it('is bounded for what a client asks of a device that takes nothing', () => {
    const { mux, open } = session();
    const channel = open();
    const grown = growth(() => {
      for (let at = 0; at < 50_000; at += 1) {
        channel.signal('INT');
        channel.resize({ cols: at, rows: at, widthPx: 0, heightPx: 0 });
        channel.closeOutput();
      }
      return mux;
    });
    expect(grown).toBeLessThan(4 * MiB);
    // The last size is the one that counts.
    const sent = Buffer.concat([...pulled(mux)]);
    expect(sent.includes(encodeMessage(MSG.RESIZE, 1, Buffer.from('c34fc34f00000000', 'hex')))).toBe(true);
    expect(sent.toString('latin1').split(encodeMessage(MSG.RESIZE, 1, Buffer.alloc(0)).toString('latin1', 0, 3)).length).toBe(2);
  });
});

function* pulled(mux: Mux): Generator<Buffer> {
  for (let next = mux.pull(60_000); next !== undefined; next = mux.pull(60_000)) yield next;
}

describe('a device', () => {
  it('that sends more than its credit ends its session, with that as the reason', () => {
    const { mux, open, faults } = session();
    const seen = new Seen();
    open(seen);
    for (let sent = 0; sent <= CREDIT_TO_DEVICE_BYTES; sent += 65_536) mux.push(encodeMessage(MSG.DATA, 1, Buffer.alloc(65_536)));
    expect(faults).toMatchObject([{ code: 'PROTOCOL', message: expect.stringContaining('more output than it was allowed') as string }]);
    expect(seen.bytes).toBe(CREDIT_TO_DEVICE_BYTES);
    expect(seen.said).toEqual(['closed']);
  });

  it('speaks for its own channels alone: other numbers, and numbers of ours, do nothing or end its session', () => {
    const { mux, open, faults } = session();
    const [one, two] = [new Seen(), new Seen()];
    open(one);
    open(two);
    for (const type of Object.values(MSG)) if (type !== MSG.OPEN && type !== MSG.INFO) mux.push(encodeMessage(type, 3, '{"status":1}'));
    mux.push(encodeMessage(MSG.DATA, DEVICE_CHANNEL_BIT + 1, 'x'));
    mux.push(encodeMessage(MSG.DATA, 2, 'mine'));
    expect([one.bytes, two.bytes, faults.length]).toEqual([0, 4, 0]);
    mux.push(encodeMessage(MSG.OPEN, 1, '{"kind":"accept","listener":1}'));
    expect(faults).toMatchObject([{ code: 'PROTOCOL', message: expect.stringContaining('a number that is not its own') as string }]);
  });

  it('is answered with a refusal for a listener that does not exist', () => {
    const { mux, faults } = session();
    mux.push(encodeMessage(MSG.OPEN, DEVICE_CHANNEL_BIT + 5, '{"kind":"accept","listener":4}'));
    expect(faults).toEqual([]);
    expect(Buffer.concat([...pulled(mux)])).toEqual(encodeMessage(MSG.CLOSE, DEVICE_CHANNEL_BIT + 5));
  });

  it('cannot put control characters, endless text or nonsense into what clients and logs show', () => {
    const { mux, open, faults } = session();
    const [refused, closed, signalled] = [new Seen(), new Seen(), new Seen()];
    let outcome: unknown;
    signalled.outcome = (...args: unknown[]) => { [outcome] = args; };
    for (const seen of [refused, closed, signalled]) open(seen);
    const evil = '\u001b]0;owned\u0007\u009b2J\r\n\u202eevil';
    mux.push(encodeMessage(MSG.REFUSED, 1, JSON.stringify({ code: 'nonsense', message: evil + 'x'.repeat(60_000) })));
    mux.push(encodeMessage(MSG.CLOSE, 2, evil));
    mux.push(encodeMessage(MSG.EXIT, 3, JSON.stringify({ signal: evil, message: evil })));
    expect(refused.refusal).toEqual({ code: 'resource', message: `?]0;owned??2J???evil${'x'.repeat(380)}…` });
    expect(closed.fault?.message).toBe('?]0;owned??2J???evil');
    expect(outcome).toEqual({ kind: 'signal', signal: '02J', coreDumped: false, message: '?]0;owned??2J???evil' });
    mux.bye(evil.repeat(1_000));
    expect(faults[0]?.message).toMatch(/^The helper on the device ended: [\x20-\x7e]{400}…\.$/);
  });

  it('cannot make a client believe in peers and ports that do not exist', () => {
    const { mux } = session();
    const peers: unknown[] = [];
    mux.listen({ kind: 'tcp', host: '', port: 0 }, { listening: () => undefined, refused: () => undefined, incoming: (_channel, peer) => { peers.push(peer); return new Seen(); }, closed: () => undefined });
    const accept = (id: number, rest: object): void => mux.push(encodeMessage(MSG.OPEN, DEVICE_CHANNEL_BIT + id, JSON.stringify({ kind: 'accept', listener: 1, ...rest })));
    accept(1, { host: '::1', port: 4711 });
    accept(2, { host: 'a b\n', port: -1 });
    accept(3, { host: 'x'.repeat(100_000), port: 1e9 });
    accept(4, { host: { toString: 1 }, port: '22' });
    expect(peers).toEqual([{ host: '::1', port: 4711 }, { host: '', port: 0 }, { host: '', port: 0 }, { host: '', port: 0 }]);
  });

  it('is not sent a command and an environment that its helper would end of', () => {
    const { mux, open } = session();
    const seen = new Seen();
    const env = Object.fromEntries(Array.from({ length: 128 }, (_, at) => [`LC_${String(at)}`, 'x'.repeat(32 * 1024)]));
    mux.open({ kind: 'exec', command: Buffer.from('x'), pty: undefined, env }, seen);
    mux.open({ kind: 'exec', command: Buffer.alloc(250_000, 1), pty: undefined, env: {} }, seen);
    mux.listen({ kind: 'unix', path: Buffer.alloc(250_000, 1) }, { listening: () => undefined, refused: (reason) => seen.refused(reason), incoming: () => new Seen(), closed: () => undefined });
    open(seen);
    return new Promise<void>((resolve) => {
      setImmediate(() => {
        expect(seen.said).toEqual(['refused', 'refused', 'refused']);
        expect(seen.refusal?.message).toContain('longer than the device takes');
        expect(Buffer.concat([...pulled(mux)]).length).toBeLessThan(200);
        resolve();
      });
    });
  });
});

describe('text that others put into the terminal', () => {
  const secret = randomBytes(32);
  const key = directionKey(secret, 'down');

  it('is no packet, whatever its characters', () => {
    fc.assert(fc.property(fc.array(fc.oneof(fc.constantFrom(':', ';', '=', '@'), fc.base64String({ maxLength: 80 }), fc.string())), (parts) => {
      const found: unknown[] = [];
      new PacketReader(key).push(Buffer.from(parts.join('')), (packet) => found.push(packet));
      expect(found).toEqual([]);
    }), { numRuns: 2_000 });
  });

  it('is no packet when it is one of another session, of the other direction, or changed in one character', () => {
    const read = (text: string): number => {
      let found = 0;
      new PacketReader(key).push(Buffer.from(text), () => (found += 1));
      return found;
    };
    const good = encodeData(key, 1, 0, 0, Buffer.from('hello'));
    expect(read(good)).toBe(1);
    expect(read(encodeData(directionKey(secret, 'up'), 1, 0, 0, Buffer.from('hello')))).toBe(0);
    expect(read(encodeData(directionKey(randomBytes(32), 'down'), 1, 0, 0, Buffer.from('hello')))).toBe(0);
    for (let at = 1; at < good.length - 5; at += 1) {
      for (const other of 'Aa0/') {
        if (good[at] !== other) expect(read(good.slice(0, at) + other + good.slice(at + 1))).toBe(0);
      }
    }
  });

  it('delivers nothing twice when a packet is played back', () => {
    const got: Buffer[] = [];
    const link = new Link(secret, { pull: () => undefined, push: (bytes) => got.push(bytes), bye: () => undefined }, silentLog());
    const packets = ['one', 'two'].map((word, at) => encodeData(key, at + 1, 0, at * 3, Buffer.from(word)));
    for (const text of [...packets, ...packets, packets[0] ?? '']) link.receive(Buffer.from(text));
    link.receive(Buffer.from(encodeData(key, 9, 0, 1, Buffer.from('NEWER'))));
    link.detach();
    // Bytes that were delivered stay; of the last one only what is behind them is new.
    expect(Buffer.concat(got).toString()).toBe('onetwo');
  });

  it('in the place of acknowledgements makes the bridge neither send without end nor stop', () => {
    const carrier: Carrier & { text: string[] } = { maxWrite: 9_000, buffered: 0, text: [], write(text) { this.text.push(text); }, onText: () => undefined, onLost: () => undefined };
    const link = new Link(secret, { pull: (max) => Buffer.alloc(Math.min(max, 1_000)), push: () => undefined, bye: () => undefined }, silentLog());
    void link.attach(carrier);
    const down = (recv: number, pn: number): void => link.receive(Buffer.from(encodeAck(key, 0, recv, pn, [{ start: 5, end: 2 ** 47 }])));
    for (let at = 0; at < 1_000; at += 1) down(at % 2 === 0 ? 2 ** 47 : 0, 0xffff_ffff - at);
    const { stats } = link;
    link.detach();
    expect(stats.unackedBytes).toBeGreaterThanOrEqual(0);
    expect(stats.windowBytes).toBeGreaterThan(0);
    expect(carrier.text.length).toBeLessThan(10);
  });

  let backend: PythonBackend | undefined;
  afterEach(() => { backend?.detach(); });

  /** Attaches a backend to a terminal that prints `says`; resolves with why it gave up, or undefined while it waits on. */
  async function attachTo(says: (line: string) => string): Promise<unknown> {
    const tried = new PythonBackend({ graceSeconds: 60, log: silentLog() });
    backend = tried;
    const abort = new AbortController();
    const carrier: Carrier = { maxWrite: 9_000, buffered: 0, write: () => undefined, onText: () => undefined, onLost: () => undefined };
    let line = '';
    const attached = tried.attach(carrier, { facts: { python3: 'yes' }, run: (text) => { line = text; } }, abort.signal);
    const outcome = attached.then(() => 'attached', (thrown: unknown) => thrown);
    carrier.onText(Buffer.from(says(line)));
    const first = await Promise.race([outcome, new Promise((resolve) => setTimeout(resolve, 50, undefined))]);
    abort.abort();
    await outcome;
    return first;
  }

  it('ends no session by claiming that the helper is gone or cannot run', async () => {
    expect(await attachTo(() => '@GONE@ @NOPY@ @NAK@ @GONE-0000000000000000@ @NOPY-0000000000000000@')).toBeUndefined();
    // The same words with the mark that only the terminal's own user has are believed.
    expect(await attachTo((line) => `@NOPY-${/_I=([0-9a-f]+) /.exec(line)?.[1] ?? ''}@`)).toMatchObject({ code: 'UNSUPPORTED' });
    expect(goneMark(randomBytes(32))).not.toBe(goneMark(randomBytes(32)));
    expect(new HelperGone('x').code).toBe('DEVICE_LOST');
  });
});
