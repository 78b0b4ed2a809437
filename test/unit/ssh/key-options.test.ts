import { describe, expect, it } from 'vitest';
import { matchesAddress } from '../../../src/ssh/address-match.js';
import { bothLimits, isUsable, limitedPolicy, NO_LIMITS, parseKeyOptions } from '../../../src/ssh/key-options.js';
import { DEFAULT_POLICY, permits } from '../../../src/ssh/policy.js';

const parse = (options: string) => parseKeyOptions(options, 'keys line 1').limits;

describe('the options of a key', () => {
  it('restrict takes everything, and what follows gives some of it back', () => {
    expect(parse('restrict')).toMatchObject({ pty: false, forwarding: false, agentForwarding: false });
    expect(parse('restrict,pty,port-forwarding')).toMatchObject({ pty: true, forwarding: true, agentForwarding: false });
    expect(parse('pty,restrict')).toMatchObject({ pty: false });
    expect(parse('no-pty,NO-agent-forwarding')).toMatchObject({ pty: false, forwarding: true, agentForwarding: false });
  });

  it('command may hold commas and escaped quotes', () => {
    expect(parse('no-pty,command="echo \\"a, b\\" \\n",no-port-forwarding')).toMatchObject({ command: 'echo "a, b" \\n', pty: false, forwarding: false });
  });

  it('the first of two variables with one name counts, as in sshd', () => {
    expect(parse('environment="A=1",environment="B=x=y",environment="A=2"').environment).toEqual({ A: '1', B: 'x=y' });
  });

  it('permitopen and permitlisten collect their endpoints', () => {
    const { permitOpen, permitListen } = parse('permitopen="127.0.0.1:22",permitopen="[::1]:*",permitlisten="8080",permitlisten="localhost:1"');
    expect(permitOpen).toEqual([{ host: '127.0.0.1', port: 22 }, { host: '::1', port: undefined }]);
    expect(permitListen).toEqual([{ host: undefined, port: 8080 }, { host: 'localhost', port: 1 }]);
  });

  it('the earliest of two times counts', () => {
    expect(parse('expiry-time="20200101Z",expiry-time="20990101Z"').expiresAt).toBe(Date.UTC(2020, 0, 1));
    expect(parse('expiry-time="20990101Z",expiry-time="20200101Z"').expiresAt).toBe(Date.UTC(2020, 0, 1));
  });

  it('verify-required holds whatever else is said', () => {
    expect([parse('verify-required,restrict').verifyRequired, parse('restrict').verifyRequired]).toEqual([true, false]);
  });

  it('tell an authority, and whom it may vouch for', () => {
    expect(parseKeyOptions('cert-authority,principals="ops,root"', 'keys line 1')).toMatchObject({ isAuthority: true, principals: ['ops', 'root'] });
    expect(parseKeyOptions('no-pty', 'keys line 1')).toMatchObject({ isAuthority: false, principals: undefined });
  });

  it.each([
    'principals="root"', 'principals', 'permitopen="22"', 'permitopen="host:0"', 'permitopen="host:65536"', 'permitlisten=""', 'environment="A"', 'environment="A B=1"',
    'command=""', 'command=date', 'restrict="x"', 'cert-authority="x"', 'command="x\\\\",pty', 'command="a",command="b"', 'cert-authority,principals="a",principals="b"', 'command="internal-sftp -R"', 'from="a",from="b"', 'constructor', 'toString="x"', 'no-command',
  ])('that say nothing sensible are refused: %s', (options) => {
    expect(() => parse(options)).toThrow(/^keys line 1/);
  });
});

describe('a limited key', () => {
  it('is good until it expires and from where it may come', () => {
    expect(isUsable({ ...NO_LIMITS, expiresAt: 1000 }, '127.0.0.1', 999)).toBe(true);
    expect(isUsable({ ...NO_LIMITS, expiresAt: 1000 }, '127.0.0.1', 1000)).toBe(false);
    expect(isUsable({ ...NO_LIMITS, from: '10.*' }, '127.0.0.1', 0)).toBe(false);
  });

  it.each([
    ['127.0.0.1', '127.0.0.1', true], ['127.*', '127.0.0.1', true], ['127.0.0.0/8', '127.1.2.3', true], ['10.0.0.0/8', '127.0.0.1', false],
    ['10.0.0.0/8,127.0.0.1', '127.0.0.1', true], ['127.*,!127.0.0.1', '127.0.0.1', false], ['!127.0.0.2', '127.0.0.1', false],
    ['127.0.0.1/8', '127.0.0.1', false], ['127.0.0.1,10.0.0.1/8', '127.0.0.1', false], ['127.0.0.1 , 10.0.0.1', '127.0.0.1', false],
    ['::1', '::1', true], ['::/0', '::1', true], ['2001:db8::/32', '2001:db8:1::2', true], ['2001:db8::1/32', '2001:db8::1', false], ['!2001:db8:0::1,2001:db8::/32', '2001:db8::1', false], ['2001:0DB8::1', '2001:db8::1', true], ['::ffff:10.0.0.0/104', '::ffff:10.1.2.3', true], ['fe80::/10', 'fe80::1', true], ['fe80::/10', '127.0.0.1', false], ['127.0.0.0/33', '127.0.0.1', false],
    ['localhost', '127.0.0.1', false], ['', '127.0.0.1', false], ['0.0.0.0/0', '::1', false],
  ])('from="%s" takes %s: %s', (list, address, expected) => {
    expect(matchesAddress(list, address)).toBe(expected);
  });

  it('and a certificate both have a say', () => {
    expect(bothLimits(parse('no-pty'), parse('no-agent-forwarding'))).toMatchObject({ pty: false, forwarding: true, agentForwarding: false });
    const [date, uptime] = [parse('command="date"'), parse('command="uptime"')];
    expect([bothLimits(date, NO_LIMITS)?.command, bothLimits(NO_LIMITS, date)?.command, bothLimits(date, date)?.command]).toEqual(['date', 'date', 'date']);
    expect(bothLimits(date, uptime)).toBeUndefined();
  });

  it('and the operator’s policy both have a say', () => {
    const policy = { ...DEFAULT_POLICY, forwardTcp: 'local' as const, setEnv: { A: 'operator' }, permitOpen: [[{ host: 'a', port: 1 }, { host: 'b', port: 2 }]] };
    const limited = limitedPolicy(policy, parse('no-agent-forwarding,environment="A=key",environment="B=key",permitopen="b:2",permitopen="c:3",command="date"'));
    expect(limited).toMatchObject({ forwardTcp: 'local', forwardUnix: 'yes', forwardAgent: false, pty: true, command: 'date', setEnv: { A: 'operator', B: 'key' } });
    expect([permits(limited.permitOpen, 'a', 1), permits(limited.permitOpen, 'b', 2), permits(limited.permitOpen, 'c', 3)]).toEqual([false, true, false]);
    expect(limitedPolicy(policy, parse('no-port-forwarding'))).toMatchObject({ forwardTcp: 'no', forwardUnix: 'no' });
    expect(limitedPolicy({ ...policy, command: 'uptime' }, parse('command="date"')).command).toBe('uptime');
  });
});
