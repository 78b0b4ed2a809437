import { describe, expect, it, vi } from 'vitest';
import type { Fault } from '../../../src/base/errors.js';
import { RawBackend } from '../../../src/helper/raw-backend.js';
import { MUTE_NOTICE_MS, QUIET_END_MS } from '../../../src/helper/raw-channel.js';
import type { Carrier } from '../../../src/link/carrier.js';
import type { Channel, ChannelEvents } from '../../../src/mux/device.js';
import { useClock } from '../bridge/scene.js';

const GRACE_MS = 60_000;
const IDLE_MS = 3_600_000;
const SIZE = { cols: 80, rows: 24, widthPx: 0, heightPx: 0 };

useClock();

class Terminal implements Carrier {
  readonly maxWrite = 1_000;
  buffered = 0;
  readonly typed: string[] = [];
  onText: (bytes: Buffer) => void = () => undefined;
  onLost: (cause: Error) => void = () => undefined;
  write(text: string): void {
    this.typed.push(text);
  }
  print(text: string): void {
    this.onText(Buffer.from(text));
  }
}

async function scene(pty = true, idleMs = IDLE_MS) {
  const terminal = new Terminal();
  const backend = new RawBackend('pi', { graceMs: GRACE_MS, idleMs });
  const ended: Fault[] = [];
  backend.onEnd = (fault) => ended.push(fault);
  await backend.attach(terminal);
  const seen: string[] = [];
  const events: ChannelEvents = {
    opened: () => seen.push('opened'),
    refused: (reason) => seen.push(`refused: ${reason.message}`),
    data: (stream, bytes) => seen.push(`${stream}: ${bytes.toString()}`),
    drain: () => seen.push('drain'),
    outcome: () => seen.push('outcome'),
    eof: () => seen.push('eof'),
    closed: (fault) => seen.push(`closed: ${fault?.message ?? 'well'}`),
  };
  const open = (): Channel => backend.open({ kind: 'exec', command: undefined, pty: pty ? { term: 'xterm', size: SIZE, modes: [] } : undefined, env: {} }, events);
  const channel = open();
  await vi.advanceTimersByTimeAsync(0);
  return { terminal, backend, channel, seen, ended, open };
}

describe('the plain terminal', () => {
  it('tells the client of input that nothing was printed after, once, and is lost after the grace', async () => {
    const { terminal, channel, seen, ended } = await scene();
    channel.write(Buffer.from('ls\r'));
    await vi.advanceTimersByTimeAsync(MUTE_NOTICE_MS - 1);
    expect(seen).toEqual(['opened']);
    // The empty command wakes agents that wait for their next input.
    expect(terminal.typed).toEqual(['ls\r', '']);
    channel.write(Buffer.from('x'));
    await vi.advanceTimersByTimeAsync(1);
    expect(seen.slice(1)).toEqual([expect.stringMatching(/^err: \r\niotda-ssh: The device has printed nothing since the input of 15 s ago: .*\r\n$/s)]);
    await vi.advanceTimersByTimeAsync(GRACE_MS - MUTE_NOTICE_MS - 1);
    expect(seen).toHaveLength(2);
    await vi.advanceTimersByTimeAsync(1);
    expect(seen.slice(2)).toEqual(['closed: The device has printed nothing for 60 s after input; its session is taken for lost.']);
    expect(ended.map(({ code }) => code)).toEqual(['DEVICE_LOST']);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('does not take what was printed before the client came for an answer to what it types', async () => {
    const terminal = new Terminal();
    const backend = new RawBackend('pi', { graceMs: GRACE_MS, idleMs: IDLE_MS });
    await backend.attach(terminal);
    terminal.print('$ ');
    const seen: string[] = [];
    const nothing = (): void => {};
    const events: ChannelEvents = {
      opened: nothing, refused: nothing, drain: nothing, outcome: nothing, eof: nothing, closed: nothing,
      data: (stream, bytes) => seen.push(`${stream}: ${bytes.toString()}`),
    };
    const channel = backend.open({ kind: 'exec', command: undefined, pty: { term: 'xterm', size: SIZE, modes: [] }, env: {} }, events);
    channel.write(Buffer.from('typed ahead\r'));
    await vi.advanceTimersByTimeAsync(MUTE_NOTICE_MS);
    expect(terminal.typed).toEqual(['typed ahead\r', '']);
    expect(seen).toEqual(['out: $ ', expect.stringContaining('has printed nothing')]);
  });

  it('takes any output for a sign of life, and silence without input for none', async () => {
    const { terminal, channel, seen, ended } = await scene();
    await vi.advanceTimersByTimeAsync(10 * GRACE_MS);
    channel.write(Buffer.from('make\r'));
    await vi.advanceTimersByTimeAsync(MUTE_NOTICE_MS - 1);
    terminal.print('make\r\n');
    await vi.advanceTimersByTimeAsync(10 * GRACE_MS);
    expect(seen).toEqual(['opened', 'out: make\r\n']);
    expect(ended).toEqual([]);
  });

  it('ends a terminal in which nothing is typed or printed, and tells its user a minute before', async () => {
    const { terminal, channel, seen, ended } = await scene();
    const told = (): string[] => seen.filter((each) => each.startsWith('err'));
    await vi.advanceTimersByTimeAsync(IDLE_MS - 60_001);
    terminal.print('a tick');
    await vi.advanceTimersByTimeAsync(IDLE_MS - 60_001);
    channel.write(Buffer.from('x'));
    terminal.print('x');
    await vi.advanceTimersByTimeAsync(IDLE_MS - 60_001);
    expect(told()).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    expect(told()).toEqual([expect.stringMatching(/^err: \r\niotda-ssh: Nothing was typed or printed for 3540 s, .* ends in 60 s unless something is \(--raw-timeout\)\.\r\n$/s)]);
    // Our own word is no sign of life, but what is printed after it is.
    terminal.print('another tick');
    await vi.advanceTimersByTimeAsync(IDLE_MS - 1);
    expect(told()).toHaveLength(2);
    expect(ended).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    expect(seen.at(-1)).toBe('closed: Nothing was typed or printed for 3600 s (--raw-timeout); the session on the device is taken for lost.');
    expect(ended.map(({ code }) => code)).toEqual(['DEVICE_LOST']);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('tells of a short bound at its half, and waits for ever if it is to', async () => {
    const short = await scene(false, 10_000);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(short.seen).toEqual(['opened', expect.stringMatching(/^err: iotda-ssh: Nothing was typed or printed for 5 s, .*\n$/s)]);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(short.ended).toHaveLength(1);
    const endless = await scene(true, 0);
    await vi.advanceTimersByTimeAsync(1_000 * IDLE_MS);
    expect(endless.seen).toEqual(['opened']);
    endless.channel.close();
    expect(vi.getTimerCount()).toBe(0);
  });

  it('ends a client without a terminal when its input has ended and the device has become quiet', async () => {
    const { terminal, channel, seen, ended } = await scene(false);
    channel.write(Buffer.from('status\n'));
    channel.end();
    await vi.advanceTimersByTimeAsync(QUIET_END_MS - 1);
    terminal.print('well\r\n');
    await vi.advanceTimersByTimeAsync(QUIET_END_MS - 1);
    expect(seen).toEqual(['opened', 'out: well\r\n']);
    await vi.advanceTimersByTimeAsync(1);
    expect(seen.slice(2)).toEqual([expect.stringMatching(/^closed: The input has ended, and the device has printed nothing for 10 s; /)]);
    expect(ended).toHaveLength(1);
  });

  it('is free when a client without a terminal wants neither to type nor to read', async () => {
    const { channel, seen, ended } = await scene(false);
    channel.closeOutput();
    expect(ended).toEqual([]);
    channel.end();
    channel.closeOutput();
    expect(seen).toEqual(['opened', 'eof', 'closed: well']);
    expect(ended).toHaveLength(1);
  });

  it('leaves a client with a terminal alone when its input has ended, as sshd does', async () => {
    const { channel, seen } = await scene();
    channel.end();
    await vi.advanceTimersByTimeAsync(10 * QUIET_END_MS);
    expect(seen).toEqual(['opened']);
  });

  it('tells why it ended when its login is gone, and is not resumed', async () => {
    const { backend, seen, ended, terminal, channel } = await scene();
    channel.write(Buffer.from('exit\r'));
    backend.detach(new Error('The login shell on the device ended.'));
    expect(seen.slice(1)).toEqual(['closed: The login shell on the device ended.']);
    expect(ended).toHaveLength(1);
    expect(vi.getTimerCount()).toBe(0);
    await expect(backend.attach(terminal)).rejects.toThrow('cannot be resumed');
  });

  it('that nobody used yet survives the loss of its login', async () => {
    const backend = new RawBackend('pi', { graceMs: GRACE_MS, idleMs: IDLE_MS });
    const ended: Fault[] = [];
    backend.onEnd = (fault) => ended.push(fault);
    const [first, second] = [new Terminal(), new Terminal()];
    await backend.attach(first);
    first.print('first $ ');
    backend.detach(new Error('gone'));
    await backend.attach(second);
    second.print('second $ ');
    expect(ended).toEqual([]);
    const seen: string[] = [];
    const nothing = (): void => undefined;
    backend.open(
      { kind: 'exec', command: undefined, pty: undefined, env: {} },
      { opened: nothing, refused: nothing, drain: nothing, outcome: nothing, eof: nothing, closed: nothing, data: (_stream, bytes) => seen.push(bytes.toString()) },
    );
    await vi.advanceTimersByTimeAsync(0);
    expect(seen).toEqual(['second $ ']);
  });

  it('holds a client back that types faster than the tunnel takes it', async () => {
    const { terminal, channel, seen } = await scene();
    expect(channel.write(Buffer.from('a'))).toBe(true);
    terminal.buffered = 100 * 1024;
    expect(channel.write(Buffer.alloc(2_500, 'b'))).toBe(false);
    // As many frames as the agent bears.
    expect(terminal.typed.map((text) => text.length)).toEqual([1, 1_000, 1_000, 500]);
    await vi.advanceTimersByTimeAsync(100);
    expect(seen).toEqual(['opened']);
    terminal.buffered = 10 * 1024;
    await vi.advanceTimersByTimeAsync(100);
    expect(seen).toEqual(['opened', 'drain']);
  });

  it('is given to one client', async () => {
    const { open, seen, channel } = await scene();
    open();
    await vi.advanceTimersByTimeAsync(0);
    expect(seen[1]).toMatch(/^refused: .*in use/);
    channel.close();
    expect(seen.slice(2)).toEqual(['eof', 'closed: well']);
  });
});
