import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { readMessage, type Inbound } from '../../../src/agent/inbound.js';
import { PROFILE_NAMES, PROFILES } from '../../../src/agent/profiles.js';
import { encodeUnchecked } from '../../../src/protocol/encode.js';

const C = PROFILES['c-agent'];
const CSHARP = PROFILES['csharp-agent'];
const read = (text: string, behaviour = C, binary = false): Inbound => readMessage(Buffer.from(text), binary, behaviour);
const command = (members: string): string => `{"operation_type":"command","tunnel_service_type":"ssh",${members}}`;

describe('the C agent', () => {
  test('takes the first of two equal keys', () => {
    expect(read(command('"request_id":"a","data":"first","data":"second"'))).toEqual({ kind: 'command', id: 'a', text: 'first' });
  });

  test('takes keys without regard to case', () => {
    expect(read('{"Operation_Type":"command","TUNNEL_SERVICE_TYPE":"ssh","Request_Id":"a","DATA":"x"}')).toEqual({ kind: 'command', id: 'a', text: 'x' });
  });

  test('cuts a command at a NUL, without its carriage return', () => {
    expect(read(command('"request_id":"a","data":"ls\\u0000 -l\\r"'))).toEqual({ kind: 'command', id: 'a', text: 'ls' });
  });

  test.each([
    ['high', '\\ud83d'],
    ['low', '\\ude00'],
    ['high before text', '\\ud83dx'],
    ['high before another escape', '\\ud83d\\n'],
    ['two high', '\\ud83d\\ud83d'],
  ])('drops a frame with half a surrogate pair: %s', (_name, half) => {
    expect(read(command(`"request_id":"a","data":"${half}"`))).toMatchObject({ kind: 'ignored' });
  });

  test('takes a whole surrogate pair, and a backslash before the letters of an escape', () => {
    expect(read(command('"request_id":"a","data":"\\ud83d\\ude00"'))).toMatchObject({ text: '\u{1f600}' });
    expect(read(command('"request_id":"a","data":"\\\\ud83d"'))).toMatchObject({ text: '\\ud83d' });
  });

  test.each(['null', '1', '{}', '[]', 'true'])('drops a command whose data is %s', (data) => {
    expect(read(command(`"request_id":"a","data":${data}`))).toMatchObject({ kind: 'ignored' });
  });

  test.each([
    ['no operation_type', '{"tunnel_service_type":"ssh"}'],
    ['operation_type a number', '{"operation_type":1,"tunnel_service_type":"ssh"}'],
    ['no tunnel_service_type', '{"operation_type":"command"}'],
    ['tunnel_service_type null', '{"operation_type":"command","tunnel_service_type":null}'],
  ])('crashes at %s', (_name, text) => {
    expect(read(text)).toMatchObject({ kind: 'crash' });
  });

  test('closes its WebSocket at an empty message', () => {
    expect(read('')).toMatchObject({ kind: 'close' });
  });

  test.each(['ping', 'pong', 'connect_tunnel', 'whatever'])('ignores %s', (operation) => {
    expect(read(`{"operation_type":"${operation}","tunnel_service_type":"ssh","request_id":"a","data":null}`)).toMatchObject({ kind: 'ignored' });
  });

  test('drops what is not JSON', () => {
    expect(read('hello')).toMatchObject({ kind: 'ignored' });
  });

  test('needs user name and password as texts', () => {
    const connect = (data: string): Inbound => read(`{"operation_type":"connect","tunnel_service_type":"ssh","request_id":"a","data":${data}}`);
    expect(connect('{"username":"u","password":"p"}')).toEqual({ kind: 'connect', id: 'a', user: 'u', password: 'p' });
    expect(connect('{"username":"u","password":1}')).toMatchObject({ kind: 'ignored' });
    expect(connect('null')).toMatchObject({ kind: 'ignored' });
  });
});

describe('the C# agent', () => {
  test('closes with 1011 at what is not JSON, or is binary', () => {
    expect(read('hello', CSHARP)).toMatchObject({ kind: 'close', code: 1011 });
    expect(read(command('"request_id":"a","data":"x"'), CSHARP, true)).toMatchObject({ kind: 'close', code: 1011 });
  });

  test('takes a disconnect only with a data key', () => {
    const head = '{"operation_type":"disconnect","tunnel_service_type":"ssh","request_id":"a"';
    expect(read(`${head}}`, CSHARP)).toMatchObject({ kind: 'ignored' });
    expect(read(`${head},"data":null}`, CSHARP)).toEqual({ kind: 'disconnect' });
  });

  test('types a NUL', () => {
    expect(read(command('"request_id":"a","data":"a\\u0000b"'), CSHARP)).toMatchObject({ text: 'a\0b' });
  });
});

describe.each(PROFILE_NAMES)('reading as %s', (profile) => {
  test('never throws, whatever arrives', () => {
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array(), fc.json().map((text) => Buffer.from(text))), fc.boolean(), (bytes, binary) => {
        readMessage(Buffer.from(bytes), binary, PROFILES[profile]);
      }),
    );
  });

  test('takes every command that the bridge may send as it was meant', () => {
    const texts = fc.string({ unit: 'binary' }).filter((text) => !text.includes('\0'));
    fc.assert(
      fc.property(texts, (data) => {
        const bytes = encodeUnchecked({ operation: 'command', requestId: 'a', data });
        expect(readMessage(bytes, false, PROFILES[profile])).toEqual({ kind: 'command', id: 'a', text: data });
      }),
    );
  });
});
