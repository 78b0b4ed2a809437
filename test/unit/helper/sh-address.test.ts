import { describe, expect, it } from 'vitest';
import { isHost, peerOfSocat, peerOfTable, socatWord } from '../../../src/helper/sh/address.js';
import { planListen } from '../../../src/helper/sh/listen.js';
import { plan } from '../../../src/helper/sh/requests.js';

describe('the peer of a connection that the sh tier accepted', () => {
  it.each([
    ['0100007F:A8F6', false, '127.0.0.1', 43_254],
    ['7F000001:A8F6', true, '127.0.0.1', 43_254],
    ['00000000000000000000000001000000:E070', false, '::1', 57_456],
    ['00000000000000000000000000000001:E070', true, '::1', 57_456],
    ['0000000000000000FFFF00000201A8C0:0050', false, '192.168.1.2', 80],
    ['B80D012000000000000000000A000000:0050', false, '2001:db8::a', 80],
    ['00000000000000000000000000000000:0001', false, '::', 1],
    ['', false, '', 0],
    ['0100007F:A8F6;x', false, '', 0],
  ])('is read from the kernel’s table: %s', (text, big, host, port) => {
    expect(peerOfTable(text, big)).toEqual({ host, port });
  });

  it.each([
    ['127.0.0.1', '80', '127.0.0.1', 80],
    ['[0000:0000:0000:0000:0000:0000:0000:0001]', '80', '::1', 80],
    ['[2001:0db8:0000:0000:0001:0000:0000:0000]', '80', '2001:db8:0:0:1::', 80],
    ['[0000:0000:0000:0000:0000:ffff:7f00:0001]', '80', '127.0.0.1', 80],
    ['[fe80:0001:0000:0000:0002:0000:0000:0003]', '1', 'fe80:1::2:0:0:3', 1],
    ['<anon>', '', '', 0],
    ['1.2.3.4', '70000', '', 0],
    ['\u001b[31m', '1', '', 0],
  ])('is read from what socat says: %s %s', (host, port, read, number) => {
    expect(peerOfSocat(host, port)).toEqual({ host: read, port: number });
  });
});

describe('an address for the device’s tools', () => {
  it.each(['localhost', '127.0.0.1', '::1', 'fe80::1%eth0', 'a-b.example', '_x'])('is taken: %s', (host) => {
    expect(isHost(host)).toBe(true);
  });

  it.each(['', '-e', 'a,fork', 'a b', "a'b", '$(id)', 'a\nb', 'a!!b', '[::1]', '/tmp/x'])('is refused, for it could be an option: %j', (host) => {
    expect(isHost(host)).toBe(false);
    expect(plan({ kind: 'tcp', host, port: 1 }, { socat: 'yes', nc: 'nc' })).toMatchObject({ kind: 'refuse' });
  });

  it('is one word of socat whatever it is, letters and bytes beyond ASCII left alone', () => {
    expect(socatWord(Buffer.from('/a,b:c!!d "e\' \u00e9\n')).toString()).toBe('/a\\,b\\:c\\!\\!d\\ \\"e\\\'\\ \u00e9\n');
  });
});

describe('a listener', () => {
  it('is made of what the device has', () => {
    const script = (facts: Record<string, string>, host = ''): string => {
      const planned = planListen({ kind: 'tcp', host, port: 8022 }, facts);
      return planned.kind === 'run' ? planned.script.toString() : planned.reason.message;
    };
    expect(script({ socat: 'yes', nc: 'nc', listen: 'll' })).toMatch(/^Ihow='socat'\n(?:I.*\n)*Ihosts='0\.0\.0\.0 ::'\nIport='8022'\n/);
    expect(script({ nc: 'busybox nc', listen: 'll' }, 'localhost')).toMatch(/^Ihow='ll'\n(?:I.*\n)*Inc='busybox nc'\nIhosts='127\.0\.0\.1 ::1'\n/);
    expect(script({ nc: 'nc -N' })).toContain('cannot start a program for each connection');
    expect(script({})).toContain('neither socat nor nc');
  });

  it('has a path from the root, as in sshd, and no empty one', () => {
    const planned = planListen({ kind: 'unix', path: Buffer.from("it's") }, { socat: 'yes' });
    expect(planned.kind === 'run' && planned.script.toString()).toContain("Ipath='/it'\\''s'\nIsocat='/it\\'\\''s'\n");
    for (const path of [Buffer.alloc(0), Buffer.from('a\0b')]) expect(planListen({ kind: 'unix', path }, { socat: 'yes' })).toMatchObject({ kind: 'refuse' });
  });
});
