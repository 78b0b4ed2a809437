/** A connection of the sh tier: what the device is given to run, and how its answer is taken. */
import { describe, expect, it } from 'vitest';
import { ShChannel } from '../../../src/helper/sh/channel.js';
import { Connector, connectScript } from '../../../src/helper/sh/connect.js';
import { plan } from '../../../src/helper/sh/requests.js';
import { CONNECTED, escapeForPrintf, SCRIPT_INLINE_CHARS } from '../../../src/helper/sh/wire.js';
import type { ChannelEvents, OpenRequest } from '../../../src/mux/device.js';

const EVENTS: ChannelEvents = {
  opened: () => undefined, refused: () => undefined, data: () => undefined, drain: () => undefined,
  outcome: () => undefined, eof: () => undefined, closed: () => undefined,
};

function script(request: OpenRequest, facts: Readonly<Record<string, string>>): string {
  const planned = plan(request, facts);
  return planned.kind === 'connect' ? connectScript(planned.target, true).toString() : planned.kind;
}

describe('the script of a connection', () => {
  it.each([
    [{ socat: 'yes', nc: 'nc' }, '::1', "Inc='socat' Ih='::1' Ip=22 Ia=1\n. ../cn\n"],
    [{ nc: 'busybox nc' }, '127.0.0.1', "Inc='busybox nc' Ih='127.0.0.1' Ip=22 Ia=1\n. ../cn\n"],
    [{ nc: 'nc -N' }, 'db.example', "Inc='nc -N' Ih='db.example' Ip=22 Ia=\n. ../cn\n"],
  ])('names the tool that the device has, and tells addresses from names: %j, %s', (facts, host, expected) => {
    expect(script({ kind: 'tcp', host, port: 22 }, facts)).toBe(expected);
  });

  it.each([
    [{ socat: 'yes', ncU: 'yes' }, "Inc= Ih=\nset -- 'socat' '-t' '3600' '-,shut-close' 'UNIX-CONNECT:/a\\,b'\n. ../cn\n"],
    [{ ncU: 'yes' }, "Inc= Ih=\nset -- 'nc' '-N' '-v' '-U' '/a,b'\n. ../cn\n"],
  ])('has the whole command for a Unix socket: %j', (facts, expected) => {
    expect(script({ kind: 'unix', path: Buffer.from('/a,b') }, facts)).toBe(expected);
  });

  it('brings what it runs until a connection has told that the device has it', () => {
    const target = { tool: 'socat', host: '127.0.0.1', port: 22 };
    const connector = new Connector();
    const first = connector.script(target).toString();
    expect(first).toMatch(/^Inc=.*\ncat >w <<'IEOF' && mv w \.\.\/cn\n[^]*\nIEOF\n\. \.\.\/cn\n$/);
    const events = connector.watch(EVENTS);
    events.refused({ code: 'connect-failed', message: 'Connection refused' });
    expect(connector.script(target).toString()).toBe(first);
    events.opened();
    expect(connector.script(target)).toEqual(connectScript(target, true));
  });

  it('fits a line, and gives no name to a variable that a user may have exported', () => {
    const text = connectScript({ tool: 'busybox nc', host: 'h'.repeat(253), port: 65_535 }, false);
    expect(escapeForPrintf(text).length).toBeLessThan(SCRIPT_INLINE_CHARS);
    const names = [...text.toString().matchAll(/(?:^|[ ;({&|])([A-Za-z_][A-Za-z0-9_]*)=/gm)].map((match) => match[1]);
    expect(names.filter((name) => !/^I/.test(name ?? ''))).toEqual([]);
  });
});

describe('a connection', () => {
  function connection(): { channel: ShChannel; order: string[] } {
    const order: string[] = [];
    const note = (word: string) => () => { order.push(word); };
    const events = {
      ...EVENTS,
      opened: note('opened'),
      refused: ({ message }: { message: string }) => { order.push(message); },
      data: (_: string, bytes: Buffer) => { order.push(bytes.toString()); },
      eof: note('eof'),
      closed: note('closed'),
    };
    const host = { submit: () => undefined, wake: () => undefined, granted: () => undefined, finished: () => undefined };
    return { channel: new ShChannel(1, events, host, 'connection'), order };
  }
  const mark = Buffer.of(CONNECTED);

  it('is open when the device says that it stands, and what the tool says thereafter is nobody’s', () => {
    const { channel, order } = connection();
    channel.segment('e', 0, mark, 0);
    channel.segment('e', 1, Buffer.from('socat: E read(): Connection reset by peer\n'), 0);
    channel.segment('o', 0, Buffer.alloc(0), 0);
    channel.exited({ status: 1, signal: 0, out: 1, err: 2 }, 0);
    expect(order).toEqual(['opened', 'eof', 'closed']);
  });

  it('is not open for a complaint, nor for the end of the output alone', () => {
    const { channel, order } = connection();
    channel.segment('o', 0, Buffer.alloc(0), 0);
    channel.segment('e', 0, Buffer.from('nc: connect to 127.0.0.1 port 1 (tcp) failed: Connection refused\n'), 0);
    expect(order).toEqual([]);
    channel.exited({ status: 1, signal: 0, out: 1, err: 1 }, 0);
    expect(order).toEqual(['Connection refused']);
  });

  it.each([
    ["nc: bad address 'x.test'\n", 'Name or service not known'],
    ["nc: can't connect to remote host (127.0.0.2): Connection refused\nnc: can't connect to remote host: No route to host\n", 'No route to host'],
    ['', 'The device could not connect.'],
  ])('is refused with the last reason, in sshd’s words: %j', (said, reason) => {
    const { channel, order } = connection();
    if (said !== '') channel.segment('e', 0, Buffer.from(said), 0);
    channel.exited({ status: 1, signal: 0, out: 0, err: said === '' ? 0 : 1 }, 0);
    expect(order).toEqual([reason]);
  });

  it('that came and went unseen was one: its words, its end', () => {
    const { channel, order } = connection();
    channel.segment('o', 0, Buffer.from('hello'), 0);
    channel.segment('o', 1, Buffer.alloc(0), 0);
    channel.exited({ status: 0, signal: 0, out: 2, err: 0 }, 0);
    expect(order).toEqual(['opened', 'hello', 'eof', 'closed']);
  });

  it('whose server ended before it was seen to stand, ends once that is seen', () => {
    const { channel, order } = connection();
    channel.segment('o', 0, Buffer.alloc(0), 0);
    channel.segment('e', 0, mark, 0);
    expect(order).toEqual(['opened', 'eof']);
  });
});
