import { describe, expect, test } from 'vitest';
import { formatAddress, isLoopback, parseAddress, parseListenAddress } from '../../../src/cli/address.js';

describe('an address is read', () => {
  test.each([
    ['localhost:2222', 'localhost', 2222],
    ['127.0.0.1:0', '127.0.0.1', 0],
    ['[::1]:2222', '::1', 2222],
    ['[fe80::1%eth0]:22', 'fe80::1%eth0', 22],
    ['[::ffff:127.0.0.1]:22', '::ffff:127.0.0.1', 22],
    [':2222', '127.0.0.1', 2222],
    ['2222', '127.0.0.1', 2222],
    ['0', '127.0.0.1', 0],
    ['my-device_1.example:65535', 'my-device_1.example', 65535],
  ])('%s', (text, host, port) => {
    expect(parseAddress(text)).toEqual({ host, port });
  });
});

describe('an address to listen on', () => {
  test('is a Unix socket when it has a slash, and HOST:PORT else', () => {
    expect(parseListenAddress('/run/user/1000/gw7.sock')).toEqual({ path: '/run/user/1000/gw7.sock' });
    expect(parseListenAddress('./gw7.sock')).toEqual({ path: `${process.cwd()}/gw7.sock` });
    expect(parseListenAddress(':2222')).toEqual({ host: '127.0.0.1', port: 2222 });
    expect(() => parseListenAddress('gw7.sock')).toThrow('the port is missing');
    expect(() => parseListenAddress(`/${'x'.repeat(107)}`)).toThrow('too long for a Unix socket');
    expect(parseListenAddress(`/${'x'.repeat(106)}`)).toEqual({ path: `/${'x'.repeat(106)}` });
    expect(formatAddress({ path: '/run/gw7.sock' })).toBe('/run/gw7.sock');
  });
});

describe('an address is refused with the reason', () => {
  test.each([
    ['', 'the port is missing'],
    ['localhost', 'the port is missing'],
    ['localhost:', 'the port is missing'],
    ['localhost:ssh', 'number from 0 to 65535'],
    ['localhost:65536', 'number from 0 to 65535'],
    ['localhost:-1', 'number from 0 to 65535'],
    ['localhost:22 ', 'number from 0 to 65535'],
    ['999999', 'number from 0 to 65535'],
    ['::1:2222', 'in brackets'],
    ['::1', 'in brackets'],
    ['[::1]', 'it reads as in'],
    ['[]:22', 'brackets hold an IPv6 address'],
    ['[localhost]:22', 'brackets hold an IPv6 address'],
    ['a b:22', 'the host is a name'],
    ['*:22', 'the host is a name'],
    ['http://x:22', 'it reads as in'],
    ['user@host:22', 'the host is a name'],
  ])('%j', (text, reason) => {
    expect(() => parseAddress(text)).toThrow(expect.objectContaining({ code: 'USAGE', message: expect.stringContaining(reason) }));
  });
});

test('an address is written as it is read', () => {
  for (const text of ['[::1]:2222', 'localhost:2222', '127.0.0.1:0']) expect(formatAddress(parseAddress(text))).toBe(text);
});

test('only addresses of this machine count as loopback', () => {
  expect(['localhost', 'LOCALHOST', '127.0.0.1', '127.9.8.7', '::1'].filter((host) => !isLoopback(host))).toEqual([]);
  expect(['0.0.0.0', '::', '10.0.0.1', 'localhost.example', '127.0.0.1.example', 'fe80::1', '128.0.0.1'].filter(isLoopback)).toEqual([]);
});
