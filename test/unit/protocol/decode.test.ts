import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { INBOUND_LIMIT_BYTES } from '../../../src/protocol/constants.js';
import { decodeFrame } from '../../../src/protocol/decode.js';
import { encodeFrame, encodeUnchecked, type FrameStyle } from '../../../src/protocol/encode.js';
import type { Frame } from '../../../src/protocol/frames.js';

const requestId = '0f8fad5b-d9cb-469f-a165-70867728950e';
const EMPTY = Buffer.alloc(0);

function decoded(bytes: Buffer | string): Frame {
  const result = decodeFrame(Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes));
  if (result.kind !== 'frame') throw new Error(`not a frame: ${JSON.stringify(result)}`);
  return result.frame;
}

function wire(operation: string, data?: string): string {
  const rest = data === undefined ? '' : `,"data":${data}`;
  return `{"operation_type":"${operation}","tunnel_service_type":"ssh","request_id":"${requestId}"${rest}}`;
}

const text = fc.string({ unit: 'binary', maxLength: 50 }).filter((value) => !value.includes('\0') && !/\p{Surrogate}/u.test(value));
const bytes = fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array));
const anyFrame: fc.Arbitrary<Frame> = fc.oneof(
  fc.constantFrom('connect_tunnel' as const, 'ping' as const, 'pong' as const).map((operation) => ({ operation, requestId })),
  fc.record({ operation: fc.constant('connect' as const), requestId: fc.uuid(), username: text, password: text }),
  fc.record({ operation: fc.constant('command' as const), requestId: fc.uuid(), data: text }),
  fc.record({ operation: fc.constantFrom('connect_response' as const, 'command_response' as const), requestId: fc.uuid(), data: bytes }),
  fc.record({ operation: fc.constant('disconnect' as const), requestId: fc.uuid(), status: text, message: text }),
);
const style = fc.constantFrom('compact' as const, 'cjson' as const);

/** The C agent's empty connect_response has no data key, and that is told. */
function asRead(frame: Frame, how: FrameStyle | undefined): Frame {
  return how === 'cjson' && frame.operation === 'connect_response' && frame.data.length === 0 ? { ...frame, bare: true } : frame;
}

describe('decodeFrame', () => {
  it('gives back every frame that was encoded, in both styles, bytes included', () => {
    fc.assert(
      fc.property(anyFrame, style, (frame, how) => {
        expect(decoded(encodeFrame(frame, how))).toEqual(asRead(frame, how));
      }),
    );
  });

  it('gives back every frame behind a byte order mark and before a tail of garbage', () => {
    fc.assert(
      fc.property(anyFrame, style, bytes, (frame, how, tail) => {
        const marked = Buffer.concat([Buffer.from('\ufeff \r\n'), encodeFrame(frame, how), tail]);
        expect(decoded(marked)).toEqual(asRead(frame, how));
      }),
    );
  });

  it('never throws on arbitrary bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 500 }), (array) => {
        expect(['frame', 'ignored', 'fault']).toContain(decodeFrame(Buffer.from(array)).kind);
      }),
    );
  });

  it('never throws on mutations of valid frames, and every fault is a PROTOCOL fault', () => {
    const edit = fc.record({ at: fc.nat(), remove: fc.nat({ max: 5 }), insert: fc.uint8Array({ maxLength: 5 }) });
    fc.assert(
      fc.property(anyFrame, style, fc.array(edit, { minLength: 1, maxLength: 5 }), (frame, how, edits) => {
        let mutated = encodeFrame(frame, how);
        for (const { at, remove, insert } of edits) {
          const cut = at % (mutated.length + 1);
          mutated = Buffer.concat([mutated.subarray(0, cut), insert, mutated.subarray(cut + remove)]);
        }
        const result = decodeFrame(mutated);
        if (result.kind === 'fault') expect(result.fault.code).toBe('PROTOCOL');
      }),
      { numRuns: 500 },
    );
  });

  it('decides the same by the quick way for output as by the long way', () => {
    const plain = fc.string({ unit: 'grapheme-ascii', maxLength: 60 });
    const edit = fc.record({ at: fc.nat(), remove: fc.nat({ max: 3 }), insert: fc.constantFrom('', '"', '\\', '}', ',"data":"x"', '\n') });
    fc.assert(
      fc.property(plain, style, fc.array(edit, { maxLength: 2 }), (data, how, edits) => {
        let sent = encodeFrame({ operation: 'command_response', requestId, data: Buffer.from(data) }, how).toString();
        for (const { at, remove, insert } of edits) {
          const cut = at % (sent.length + 1);
          sent = sent.slice(0, cut) + insert + sent.slice(cut + remove);
        }
        const quick = decodeFrame(Buffer.from(sent));
        const long = decodeFrame(Buffer.from(` ${sent}`)); // the quick way wants the brace first
        expect(quick.kind).toBe(long.kind);
        if (quick.kind !== 'fault') expect(quick).toEqual(long);
      }),
      { numRuns: 1000 },
    );
  });

  it('refuses every cut of a frame', () => {
    const whole = encodeFrame({ operation: 'disconnect', requestId, status: '400', message: 'é' }, 'cjson');
    for (let end = 0; end < whole.length; end++) expect(decodeFrame(whole.subarray(0, end)).kind, `cut at ${end}`).toBe('fault');
  });

  it('keeps a character that the agent cut in two as bytes', () => {
    const first = encodeUnchecked({ operation: 'command_response', requestId, data: Buffer.from([0x61, 0xe4, 0xbd]) }, 'cjson');
    const second = encodeUnchecked({ operation: 'command_response', requestId, data: Buffer.from([0xa0, 0x0a]) }, 'cjson');
    const parts = [decoded(first), decoded(second)].map((frame) => ('data' in frame ? (frame.data as Buffer) : EMPTY));
    expect(Buffer.concat(parts).toString()).toBe('a你\n');
  });

  it('takes a frame of the size a C agent makes of 2,048 control characters', () => {
    const data = Buffer.alloc(2048, 0x1b);
    const large = encodeUnchecked({ operation: 'command_response', requestId, data }, 'cjson');
    expect(large.length).toBeGreaterThan(10_000);
    expect(decoded(large)).toEqual({ operation: 'command_response', requestId, data });
  });

  it.each(['null', '17', 'true', '{}', '["x"]', undefined])('takes data %s in an answer as no output', (data) => {
    expect(decoded(wire('command_response', data))).toEqual({ operation: 'command_response', requestId, data: EMPTY });
    expect(decoded(wire('connect_response', data))).toEqual({ operation: 'connect_response', requestId, data: EMPTY, ...(data === undefined ? { bare: true } : {}) });
  });

  it.each([
    ['strings', '{"status_code":"400","status_msg":"no"}', '400', 'no'],
    ['a number', '{"status_code":408,"status_msg":"bye"}', '408', 'bye'],
    ['other types', '{"status_code":[],"status_msg":null}', '', ''],
    ['an empty object', '{}', '', ''],
    ['null', 'null', '', ''],
    ['a string', '"gone"', '', ''],
    ['nothing', undefined, '', ''],
  ])('takes a disconnect whose data holds %s', (_name, data, status, message) => {
    expect(decoded(wire('disconnect', data))).toEqual({ operation: 'disconnect', requestId, status, message });
  });

  it.each(['"SSH_timeout_disconnect"', '"x"', '""'])('hands on the foreign request id %s', (id) => {
    expect(decoded(`{"operation_type":"pong","request_id":${id}}`)).toEqual({ operation: 'pong', requestId: JSON.parse(id) as string });
  });

  it.each(['null', '5', undefined])('reads the request id %s as an empty one', (id) => {
    const member = id === undefined ? '' : `,"request_id":${id}`;
    expect(decoded(`{"operation_type":"connect_tunnel"${member}}`)).toEqual({ operation: 'connect_tunnel', requestId: '' });
  });

  it('takes the first of repeated keys, in any case, and skips unknown ones', () => {
    const frame = `{"extra":{"data":"no"},"Operation_Type":"command","operation_type":"pong","request_id":"${requestId}","data":"a","data":"b"}`;
    expect(decoded(frame)).toEqual({ operation: 'command', requestId, data: 'a' });
  });

  it('is not misled by output that looks like a frame', () => {
    const data = Buffer.from('","data":"x"} "operation_type":"disconnect" {"data":\t"');
    expect(decoded(encodeFrame({ operation: 'command_response', requestId, data }, 'cjson'))).toEqual({ operation: 'command_response', requestId, data });
  });

  it('ignores an unknown operation and an unknown service, and says which', () => {
    expect(decodeFrame(Buffer.from(wire('resize', '{}')))).toEqual({ kind: 'ignored', reason: 'unknown operation "resize"' });
    const foreign = decodeFrame(Buffer.from('{"operation_type":"ping","tunnel_service_type":"rdp"}'));
    expect(foreign).toEqual({ kind: 'ignored', reason: 'ping for unknown service "rdp"' });
  });

  it('shortens and escapes the name of an unknown operation', () => {
    const result = decodeFrame(Buffer.from(wire(`\\n${'x'.repeat(100_000)}`)));
    expect(result).toEqual({ kind: 'ignored', reason: `unknown operation "\\n${'x'.repeat(39)}…"` });
  });

  it.each([
    ['nothing at all', '', 'frame: expected a JSON value at byte 0, got the end of 0 bytes'],
    ['text', 'hello', 'frame: expected a JSON value at byte 0, got another character'],
    ['an array', '[]', 'frame: expected a JSON object, got an array'],
    ['no operation', '{}', 'field operation_type: expected a string, got nothing'],
    ['a number as operation', '{"operation_type":7}', 'field operation_type: expected a string, got a number'],
    ['a command without data', wire('command'), 'command, field data: expected a string, got nothing'],
    ['a command with null', wire('command', 'null'), 'command, field data: expected a string, got null'],
    ['a connect without data', wire('connect'), 'connect, field data: expected an object, got nothing'],
    ['a connect without user name', wire('connect', '{"password":"hunter2"}'), 'connect, field data.username: expected a string, got nothing'],
    ['a connect with a number as password', wire('connect', '{"username":"u","password":4711}'), 'connect, field data.password: expected a string, got a number'],
    ['a connect that breaks off in the password', wire('connect', '{"username":"u","password":"hunter2'), 'frame: expected a closing quote'],
    ['deep nesting', `{"data":${'['.repeat(50_000)}`, 'frame: expected at most 16 levels'],
  ])('refuses %s and names frame, field, expected and got', (_name, sent, words) => {
    const result = decodeFrame(Buffer.from(sent));
    if (result.kind !== 'fault') throw new Error(`not refused: ${JSON.stringify(result)}`);
    expect(result.fault.code).toBe('PROTOCOL');
    expect(result.fault.message).toContain(words);
    expect(result.fault.message).not.toMatch(/hunter2|4711/);
  });

  it('takes a frame of the inbound limit and refuses one byte more', () => {
    const padded = (size: number): Buffer => Buffer.concat([Buffer.from(wire('pong')), Buffer.alloc(size - wire('pong').length, ' ')]);
    expect(decodeFrame(padded(INBOUND_LIMIT_BYTES)).kind).toBe('frame');
    const result = decodeFrame(padded(INBOUND_LIMIT_BYTES + 1));
    expect(result).toMatchObject({ kind: 'fault', fault: { message: expect.stringContaining('got 262145 bytes') as string } });
  });
});
