import { describe, expect, it } from 'vitest';
import { MAX_COMMAND_DATA } from '../../../src/protocol/command.js';
import * as constants from '../../../src/protocol/constants.js';

describe('wire constants', () => {
  it('are exactly what the platform and its device SDKs use', () => {
    expect({ ...constants }).toEqual({
      OPERATIONS: ['connect_tunnel', 'connect', 'connect_response', 'command', 'command_response', 'disconnect', 'ping', 'pong'],
      SERVICE_SSH: 'ssh',
      FRAME_LIMIT_BYTES: 10_000,
      INBOUND_LIMIT_BYTES: 262_144,
      REQUEST_ID_LENGTH: 36,
      TOKEN_HEADER: 'tunnel_access_token',
      CLOSE_NORMAL: 1000,
      CLOSE_AUTH_FAILED: 1002,
      CLOSE_REPLACED: 4000,
      FINAL_CLOSE_CODES: [1000, 1002, 4000],
      STATUS_LOGIN_FAILED: '400',
      STATUS_SHELL_ENDED: '408',
    });
  });

  it('leave this much room for the text of a command', () => {
    expect(MAX_COMMAND_DATA).toBe(9_882);
  });
});
