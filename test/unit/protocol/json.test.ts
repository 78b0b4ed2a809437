import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { JSON_DEPTH_LIMIT, readJson, type Json } from '../../../src/protocol/json.js';

/** Our value as JSON.parse would give it; object keys in order, the first of equal ones. */
function plain(value: Json): unknown {
  if (Buffer.isBuffer(value)) return value.toString('utf8');
  if (Array.isArray(value)) return value.map(plain);
  if (value instanceof Map) return new Map([...value].map(([key, item]) => [key, plain(item)]));
  return value;
}

function fromParse(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(fromParse);
  if (typeof value === 'object' && value !== null) {
    return new Map(Object.entries(value).map(([key, item]) => [key, fromParse(item)]));
  }
  return value;
}

function read(text: string | Buffer): unknown {
  const result = readJson(Buffer.from(text as string));
  return result.ok ? plain(result.value) : undefined;
}

function bytesOf(text: string | Buffer): Buffer {
  const result = readJson(Buffer.isBuffer(text) ? text : Buffer.from(text));
  if (!result.ok || !Buffer.isBuffer(result.value)) throw new Error('not a string');
  return result.value;
}

const wellFormed = fc.string({ unit: 'binary' });
const jsonValue = fc.jsonValue({ maxDepth: 6, stringUnit: 'binary' });

describe('readJson', () => {
  it('agrees with JSON.parse on compact JSON', () => {
    fc.assert(
      fc.property(jsonValue, (value) => {
        const text = JSON.stringify(value);
        expect(read(text)).toEqual(fromParse(JSON.parse(text)));
      }),
    );
  });

  it('agrees with JSON.parse on JSON printed with any indent', () => {
    fc.assert(
      fc.property(jsonValue, fc.constantFrom('\t', ' ', '    '), (value, indent) => {
        const text = JSON.stringify(value, undefined, indent);
        expect(read(text)).toEqual(fromParse(JSON.parse(text)));
      }),
    );
  });

  it('agrees with JSON.parse on strings whose every unit is escaped', () => {
    fc.assert(
      fc.property(wellFormed, (text) => {
        const escaped = [...Array(text.length).keys()]
          .map((index) => `\\u${text.charCodeAt(index).toString(16).padStart(4, '0')}`)
          .join('');
        expect(bytesOf(`"${escaped}"`)).toEqual(Buffer.from(text));
      }),
    );
  });

  it('keeps any bytes but quote and backslash exactly as they are', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (array) => {
        const raw = Buffer.from(array.filter((byte) => byte !== 0x22 && byte !== 0x5c));
        expect(bytesOf(Buffer.concat([Buffer.from('"'), raw, Buffer.from('"')]))).toEqual(raw);
        expect(bytesOf(Buffer.concat([Buffer.from('"\\n'), raw, Buffer.from('"')])).subarray(1)).toEqual(raw);
      }),
    );
  });

  it('never throws and never reads past the end, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (array) => {
        const result = readJson(Buffer.from(array));
        if (result.ok) expect(result.end).toBeLessThanOrEqual(array.length);
        else expect(result.offset).toBeLessThanOrEqual(array.length);
      }),
    );
  });

  it('never throws on text made of the characters that matter', () => {
    const soup = fc.array(fc.constantFrom(...'{}[]",:\\u0d8n\t 1-.eE', 'null', 'true', '"data":')).map((parts) => parts.join(''));
    fc.assert(
      fc.property(soup, (text) => {
        let expected: unknown;
        try {
          expected = fromParse(JSON.parse(text));
        } catch {
          expect(() => read(text)).not.toThrow();
          return;
        }
        if (!/"([^"]*)":.*"\1":/.test(text)) expect(read(text)).toEqual(expected);
      }),
    );
  });

  it('refuses every cut of a document', () => {
    const text = '{ "a": "x\\u00e9\\n", "b": [true, null, {}], "c": "\\ud83d\\ude00" }';
    expect(read(text)).toBeInstanceOf(Map);
    for (let end = 0; end < text.length; end++) expect(readJson(Buffer.from(text.slice(0, end))).ok, `${end}`).toBe(false);
  });

  it.each([
    ['a valid pair', '\\ud83d\\ude00', '😀'],
    ['a high surrogate alone', '\\ud83dx', '\ufffdx'],
    ['a low surrogate alone', '\\ude00x', '\ufffdx'],
    ['two high surrogates and a low one', '\\ud83d\\ud83d\\ude00', '\ufffd😀'],
    ['a high surrogate at the end', 'x\\ud83d', 'x\ufffd'],
    ['a high surrogate before another escape', '\\ud83d\\n', '\ufffd\n'],
    ['upper-case digits', '\\u00E9', 'é'],
    ['NUL', '\\u0000', '\0'],
  ])('turns %s into UTF-8', (_name, escaped, expected) => {
    expect(bytesOf(`"${escaped}"`)).toEqual(Buffer.from(expected));
  });

  it.each(['"\\x"', '"\\u12g4"', '"\\u12"', '"\\', '"\\"', '01', '1.', '+1', '.5', 'nul', 'truefalse', '{"a"}', '{a:1}', '{"a":1,}', '[1,]', '[1 2]', '', '  ', '"'])(
    'refuses %s',
    (text) => {
      expect(readJson(Buffer.from(text)).ok).toBe(false);
    },
  );

  it('takes the first of equal keys', () => {
    expect(read('{"a":1,"a":2}')).toEqual(new Map([['a', 1]]));
  });

  it('keeps keys that are special in JavaScript as ordinary keys', () => {
    expect(read('{"__proto__":{"x":1},"constructor":2}')).toEqual(new Map<string, unknown>([['__proto__', new Map([['x', 1]])], ['constructor', 2]]));
  });

  it('stops at the value and says where it ended', () => {
    expect(readJson(Buffer.from('{"a":1}\0garbage}'))).toMatchObject({ ok: true, end: 7 });
  });

  it('refuses nesting beyond the limit and accepts it up to there', () => {
    const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth);
    expect(readJson(Buffer.from(nested(JSON_DEPTH_LIMIT))).ok).toBe(true);
    expect(readJson(Buffer.from(nested(JSON_DEPTH_LIMIT + 1)))).toEqual({ ok: false, offset: JSON_DEPTH_LIMIT, expected: `at most ${JSON_DEPTH_LIMIT} levels` });
    expect(readJson(Buffer.from('['.repeat(200_000))).ok).toBe(false);
  });
});
