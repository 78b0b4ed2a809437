import { describe, expect, it } from 'vitest';
import { acceptsEnv, DEFAULT_POLICY, listenAddress, matches } from '../../../src/ssh/policy.js';

describe('environment variables of clients', () => {
  it.each(['LANG', 'LC_ALL', 'LC_CTYPE', 'COLORTERM'])('%s is accepted by default', (name) => {
    expect(acceptsEnv(DEFAULT_POLICY.acceptEnv, name)).toBe(true);
  });

  it.each(['PATH', 'LD_PRELOAD', 'BASH_ENV', 'LANGUAGE_X', 'XLANG', '', 'LC_A=B', 'LC_\0'])('%j is refused by default', (name) => {
    expect(acceptsEnv(DEFAULT_POLICY.acceptEnv, name)).toBe(false);
  });

  it('patterns know * and ? and nothing else', () => {
    expect(matches('A?C', 'ABC')).toBe(true);
    expect(matches('A?C', 'AC')).toBe(false);
    expect(matches('A*', 'A')).toBe(true);
    expect(matches('A.C', 'ABC')).toBe(false);
    expect(matches('[AB]', 'A')).toBe(false);
  });
});

describe('the address -R listens on', () => {
  it.each([
    ['', 'no', 'localhost'],
    ['*', 'no', 'localhost'],
    ['0.0.0.0', 'no', 'localhost'],
    ['localhost', 'no', 'localhost'],
    ['127.0.0.1', 'no', '127.0.0.1'],
    ['::1', 'no', '::1'],
    ['localhost', 'yes', ''],
    ['10.0.0.1', 'yes', ''],
    ['', 'clientspecified', ''],
    ['*', 'clientspecified', ''],
    ['localhost', 'clientspecified', 'localhost'],
    ['10.0.0.1', 'clientspecified', '10.0.0.1'],
  ] as const)('for %j under GatewayPorts %s is %j', (asked, gatewayPorts, expected) => {
    expect(listenAddress(asked, gatewayPorts)).toBe(expected);
  });
});
