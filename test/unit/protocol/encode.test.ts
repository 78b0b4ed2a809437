import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Fault } from '../../../src/base/errors.js';
import { commandDataBytes, MAX_COMMAND_DATA, splitCommandData } from '../../../src/protocol/command.js';
import { FRAME_LIMIT_BYTES } from '../../../src/protocol/constants.js';
import { encodeFrame, encodeUnchecked, newRequestId } from '../../../src/protocol/encode.js';
import type { Frame } from '../../../src/protocol/frames.js';

const requestId = '0f8fad5b-d9cb-469f-a165-70867728950e';

function command(data: string): Frame {
  return { operation: 'command', requestId, data };
}

function fault(frame: unknown): Fault {
  try {
    encodeFrame(frame as Frame);
  } catch (thrown) {
    if (thrown instanceof Fault) return thrown;
    throw thrown;
  }
  throw new Error('the frame was let through');
}

describe('encodeFrame', () => {
  it.each<[string, Frame, string]>([
    ['connect_tunnel', { operation: 'connect_tunnel', requestId }, 'null'],
    ['connect', { operation: 'connect', requestId, username: 'root', password: 'a"b' }, '{"username":"root","password":"a\\"b"}'],
    ['connect_response', { operation: 'connect_response', requestId, data: Buffer.from('$ ') }, '"$ "'],
    ['connect_response', { operation: 'connect_response', requestId, data: Buffer.alloc(0) }, '""'],
    ['command', command('ls\r'), '"ls\\r"'],
    ['command', command(''), '""'],
    ['command_response', { operation: 'command_response', requestId, data: Buffer.from('é\0\n') }, '"é\\u0000\\n"'],
    ['disconnect', { operation: 'disconnect', requestId, status: '400', message: 'no' }, '{"status_code":"400","status_msg":"no"}'],
    ['disconnect', { operation: 'disconnect', requestId, status: '', message: '' }, 'null'],
    ['ping', { operation: 'ping', requestId }, 'null'],
    ['pong', { operation: 'pong', requestId }, 'null'],
  ])('prints %s compactly in the documented key order', (operation, frame, data) => {
    expect(encodeFrame(frame).toString()).toBe(
      `{"operation_type":"${operation}","tunnel_service_type":"ssh","request_id":"${requestId}","data":${data}}`,
    );
  });

  it('prints a command_response byte for byte as the C agent does', () => {
    const data = Buffer.concat([Buffer.from('a/"\\\b\f\n\r\t\x1b\x7f é '), Buffer.from([0xe4, 0xbd])]);
    expect(encodeFrame({ operation: 'command_response', requestId, data }, 'cjson')).toEqual(
      Buffer.concat([
        Buffer.from(
          '{\n\t"operation_type":\t"command_response",\n\t"tunnel_service_type":\t"ssh",\n' +
            `\t"request_id":\t"${requestId}",\n\t"data":\t"a/\\"\\\\\\b\\f\\n\\r\\t\\u001b\x7f é `,
        ),
        Buffer.from([0xe4, 0xbd]),
        Buffer.from('"\n}'),
      ]),
    );
  });

  it('prints a connect_response without data as the C agent does', () => {
    expect(encodeFrame({ operation: 'connect_response', requestId, data: Buffer.alloc(0) }, 'cjson').toString()).toBe(
      `{\n\t"operation_type":\t"connect_response",\n\t"tunnel_service_type":\t"ssh",\n\t"request_id":\t"${requestId}"\n}`,
    );
  });

  it('prints a disconnect with its nested object as the C agent does', () => {
    const frame: Frame = { operation: 'disconnect', requestId, status: '408', message: 'idle' };
    expect(encodeFrame(frame, 'cjson').toString()).toBe(
      `{\n\t"operation_type":\t"disconnect",\n\t"tunnel_service_type":\t"ssh",\n\t"request_id":\t"${requestId}",\n` +
        '\t"data":\t{\n\t\t"status_code":\t"408",\n\t\t"status_msg":\t"idle"\n\t}\n}',
    );
  });

  it('writes any text as JSON that means the same text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 300 }), fc.constantFrom('compact', 'cjson'), (data, style) => {
        fc.pre(!data.includes('\0'));
        const parsed = JSON.parse(encodeFrame(command(data), style as 'compact').toString()) as { data: string };
        expect(parsed.data).toBe(data);
      }),
    );
  });

  it.each<[string, unknown, string]>([
    ['an unknown operation', { operation: 'resize', requestId }, 'field operation_type'],
    ['no operation', { requestId }, 'field operation_type: expected one of connect_tunnel'],
    ['no request id', { operation: 'ping' }, 'field request_id: expected 36 printable ASCII characters, got nothing'],
    ['a short request id', { operation: 'ping', requestId: 'short' }, 'field request_id: expected 36 printable ASCII characters, got 5 characters'],
    ['a long request id', { operation: 'ping', requestId: `${requestId}0` }, 'got 37 characters'],
    ['a request id with a character of two bytes', { operation: 'ping', requestId: `é${requestId.slice(1)}` }, 'field request_id'],
    ['a command without data', { operation: 'command', requestId }, 'frame command not sent, field data: expected a string, got nothing'],
    ['a command with null', { operation: 'command', requestId, data: null }, 'field data: expected a string, got null'],
    ['a command with NUL', command('ls\0rm'), 'field data: expected no NUL'],
    ['a command with a lone high surrogate', command('a\ud800b'), 'field data: expected whole characters'],
    ['a command with a lone low surrogate', command('\udc00'), 'field data: expected whole characters'],
    ['a connect without user name', { operation: 'connect', requestId, password: 'hunter2' }, 'field data.username: expected a string, got nothing'],
    ['a connect with a number for password', { operation: 'connect', requestId, username: 'u', password: 4711 }, 'field data.password: expected a string, got a value of type number'],
    ['a connect with NUL in the password', { operation: 'connect', requestId, username: 'u', password: 'hunter2\0' }, 'field data.password'],
    ['a disconnect without status', { operation: 'disconnect', requestId, message: '' }, 'field data.status_code'],
    ['a command_response with a string', { operation: 'command_response', requestId, data: 'x' }, 'field data: expected bytes'],
    ['a command that is one byte too large', command('x'.repeat(MAX_COMMAND_DATA + 1)), 'field size: expected at most 10000 bytes, got 10001 bytes'],
  ])('refuses %s and names it', (_name, frame, words) => {
    const refused = fault(frame);
    expect(refused.code).toBe('PROTOCOL');
    expect(refused.message).toContain(words);
    expect(refused.message).not.toMatch(/hunter2|4711|rm/);
  });

  it('takes the largest command there can be', () => {
    expect(encodeFrame(command('x'.repeat(MAX_COMMAND_DATA))).length).toBe(FRAME_LIMIT_BYTES);
  });

  it('makes request ids that it accepts', () => {
    expect(encodeFrame({ operation: 'ping', requestId: newRequestId() }).length).toBeGreaterThan(0);
    expect(newRequestId()).not.toBe(newRequestId());
  });
});

describe('encodeUnchecked', () => {
  it('sends what a faulty agent sends: too large, with any id', () => {
    const frame: Frame = { operation: 'command_response', requestId: 'short', data: Buffer.alloc(2048, 1) };
    expect(encodeUnchecked(frame, 'cjson').length).toBeGreaterThan(12_000);
  });
});

describe('command text', () => {
  it('is measured exactly as it is encoded', () => {
    const empty = encodeUnchecked(command('')).length;
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(commandDataBytes(text)).toBe(encodeUnchecked(command(text)).length - empty);
      }),
    );
    for (let unit = 0; unit < 0x300; unit++) {
      const text = String.fromCharCode(unit);
      expect(commandDataBytes(text), `U+${unit.toString(16)}`).toBe(encodeUnchecked(command(text)).length - empty);
    }
    expect(commandDataBytes('\ud800')).toBe(encodeUnchecked(command('\ud800')).length - empty);
  });

  it('is split into pieces that fit, are not empty and join to the same text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.integer({ min: 6, max: 40 }), (text, limit) => {
        const pieces = splitCommandData(text, limit);
        expect(pieces.join('')).toBe(text);
        for (const piece of pieces) {
          expect(piece).not.toBe('');
          expect(commandDataBytes(piece)).toBeLessThanOrEqual(limit);
        }
      }),
    );
  });

  it('is cut to frames of the full size by default', () => {
    const pieces = splitCommandData('"'.repeat(MAX_COMMAND_DATA));
    expect(pieces.map((piece) => encodeFrame(command(piece)).length)).toEqual([FRAME_LIMIT_BYTES, FRAME_LIMIT_BYTES]);
  });
});
