import { Fault } from '../../../src/base/errors.js';
import { decodeFrame } from '../../../src/protocol/decode.js';
import { encodeFrame, encodeUnchecked, newRequestId } from '../../../src/protocol/encode.js';
import { JSON_DEPTH_LIMIT, readJson } from '../../../src/protocol/json.js';
import { must, type Target } from '../engine.js';

const id = newRequestId();
const output = Buffer.from('$ ls\r\n\u00e4\u0007\n');

/** Whatever a platform sends becomes a frame, something to ignore, or a fault; a good frame survives the way back. */
export const frame: Target = {
  name: 'frame',
  watch: /src\/protocol\//,
  seeds: [
    encodeUnchecked({ operation: 'connect_tunnel', requestId: id }),
    encodeUnchecked({ operation: 'connect', requestId: id, username: 'root', password: 'p"w' }, 'cjson'),
    encodeUnchecked({ operation: 'connect_response', requestId: id, data: output }),
    encodeUnchecked({ operation: 'command_response', requestId: id, data: output }, 'cjson'),
    encodeUnchecked({ operation: 'command_response', requestId: id, data: Buffer.from('plain') }, 'cjson'),
    encodeUnchecked({ operation: 'disconnect', requestId: id, status: '408', message: 'idle' }, 'cjson'),
    Buffer.from('\ufeff{"operation_type":"pong","data":[1.5e3,true,null,{"a":{}}]} tail'),
  ],
  words: ['"operation_type"', '"data"', '"command"', '"request_id":', '\\ud83d\\ude00', '\\udead', '\\u0000', '\\', '"', '{', '}', '[', ']', ':', ',', 'null', 'true', '-0', '1e5', '\ufeff', '\u0000', Buffer.from([0xc3, 0x28])],
  run(input) {
    const decoded = decodeFrame(input);
    if (decoded.kind === 'fault') {
      must(decoded.fault instanceof Fault && decoded.fault.code === 'PROTOCOL', 'the fault has another code');
      must(decoded.fault.message.length < 300, 'the fault quotes its input at length');
      return;
    }
    if (decoded.kind === 'ignored') {
      must(decoded.reason.length < 200, 'the reason quotes its input at length');
      return;
    }
    const again = decodeFrame(encodeUnchecked(decoded.frame));
    must(again.kind === 'frame' && again.frame.operation === decoded.frame.operation, 'a frame does not survive being sent on');
    if ('data' in decoded.frame && Buffer.isBuffer(decoded.frame.data)) {
      must('data' in again.frame && decoded.frame.data.equals(again.frame.data as Buffer), 'bytes of output changed on the way');
    }
    try {
      must(encodeFrame(decoded.frame).length <= 10_000, 'a frame over the limit was let out');
    } catch (thrown) {
      must(thrown instanceof Fault, 'the encoder threw something that is no fault');
    }
  },
};

/** What JSON.parse takes, our reader takes. */
export const json: Target = {
  name: 'json',
  watch: /src\/protocol\/json/,
  seeds: ['{"a":[1,2.5e-3,"x\\u00e9\\n",null,true,false,{}]}', '"\\ud83d\\ude00"', '-0.0', '[[[[]]]]', ' \t\r\n{ "k" : "v" } '].map((text) => Buffer.from(text)),
  words: ['[', ']', '{', '}', '"', ',', ':', '\\u', '\\n', 'null', 'true', 'false', '1', '-', 'e', '.', '0'],
  run(input) {
    const found = readJson(input);
    let expected: unknown;
    try {
      expected = JSON.parse(input.toString('utf8'));
    } catch {
      return;
    }
    if (depth(expected) > JSON_DEPTH_LIMIT || /[\d.eE+-]{400}/.test(input.toString('latin1'))) return;
    must(found.ok, 'JSON.parse takes it and we do not');
    if (typeof expected === 'number') must(Object.is(found.value, expected), 'the number is another one');
    if (typeof expected === 'string' && !input.includes(0xff) && Buffer.from(input.toString('utf8')).equals(input)) {
      must(Buffer.isBuffer(found.value) && found.value.toString('utf8') === Buffer.from(expected).toString('utf8'), 'the text is another one');
    }
  },
};

function depth(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  return 1 + Math.max(0, ...Object.values(value).map(depth));
}
