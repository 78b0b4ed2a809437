import { deflateSync } from 'node:zlib';
import type { Channel, ChannelEvents, ListenerEvents } from '../../../src/mux/device.js';
import { encodeMessage, MessageReader } from '../../../src/mux/message.js';
import { Mux } from '../../../src/mux/mux.js';
import { CREDIT_TO_DEVICE_BYTES, DEVICE_CHANNEL_BIT, MSG } from '../../../src/mux/wire.js';
import { Choices, must, type Target } from '../engine.js';

/** Holds one channel's events to the order that ChannelEvents promises, whatever the device says. */
export class Recorder implements ChannelEvents {
  channel: Channel | undefined;
  #phase: 'opening' | 'open' | 'over';
  #outcomes = 0;
  #eofs = 0;
  unconsumed = 0;
  readonly #credit: number;

  constructor(open: boolean, credit: number = CREDIT_TO_DEVICE_BYTES) {
    this.#phase = open ? 'open' : 'opening';
    this.#credit = credit;
  }

  opened(): void {
    must(this.#phase === 'opening', 'opened twice');
    this.#phase = 'open';
  }

  refused(): void {
    must(this.#phase === 'opening', 'refused after it was opened');
    this.#phase = 'over';
  }

  data(_stream: 'out' | 'err', bytes: Buffer): void {
    must(this.#phase !== 'over', 'data after the end');
    this.unconsumed += bytes.length;
    must(this.unconsumed <= this.#credit, 'more data than credit');
  }

  drain(): void {
    must(this.#phase !== 'over', 'drain after the end');
  }

  outcome(): void {
    must(this.#phase !== 'over' && ++this.#outcomes === 1, 'a second outcome, or one after the end');
  }

  eof(): void {
    must(this.#phase !== 'over' && ++this.#eofs === 1, 'a second end of file, or one after the end');
  }

  closed(): void {
    must(this.#phase !== 'over', 'closed twice');
    this.#phase = 'over';
  }
}

const JSONS = ['{}', '{"port":80}', '{"port":-1}', '{"path":"/tmp/a"}', '{"path":""}', '{"code":"prohibited","message":"\\u001b[31mno"}', '{"status":3}', '{"signal":"TERM"}', '{"signal":"\\u009b"}', '{"kind":"accept","listener":4,"host":"::1","port":9}', '{"listener":5}', '{"__proto__":{"port":1}}', '[]', 'null', '{'];

function payload(choices: Choices): Buffer {
  switch (choices.below(5)) {
    case 0:
      return Buffer.from(JSONS[choices.below(JSONS.length)] ?? '');
    case 1:
      return choices.bytes(70_000);
    case 2:
      return deflateSync(Buffer.alloc(choices.number(4) % 80_000));
    case 3:
      return Buffer.alloc(choices.number(4) % 66_000, 0x61);
    default:
      return Buffer.from([choices.byte(), choices.byte(), choices.byte(), choices.byte()]);
  }
}

/** A device that sends any messages in any order: no exception, each channel's contract holds, other channels go on. */
export const mux: Target = {
  name: 'mux',
  watch: /src\/mux\//,
  seeds: [
    Buffer.from([1, 1, 0, 3, 1, 3, 50, 9, 1, 1, 0, 5]),
    Buffer.from([0, 3, 3, 0, 2, 0, 9, 7, 0, 1, 4, 0, 1, 1, 0, 9]),
    Buffer.from('the quick brown fox jumps over the lazy dog'),
  ],
  run(input) {
    const choices = new Choices(input);
    let ended = 0;
    const mux = new Mux({ wake: () => undefined, info: () => undefined, ended: () => (ended += 1) });
    const recorders: Recorder[] = [];
    const open = (): void => {
      const recorder = new Recorder(false);
      recorder.channel = mux.open({ kind: 'exec', command: Buffer.from('x'), pty: undefined, env: {} }, recorder);
      recorders.push(recorder);
    };
    const listen = (kind: 'tcp' | 'agent'): void => {
      let phase = 'opening';
      const events: ListenerEvents = {
        listening: (where) => {
          must(phase === 'opening', 'listening twice');
          phase = 'open';
          if ('port' in where) must(where.port >= 0 && where.port <= 0xffff, 'a port that is none');
        },
        refused: () => {
          must(phase === 'opening', 'refused after it listened');
          phase = 'over';
        },
        incoming: (channel, peer) => {
          must(phase !== 'over', 'a connection after the end');
          must(/^[\x21-\x7e]{0,255}$/.test(peer.host) && peer.port >= 0 && peer.port <= 0xffff, 'a peer that is none');
          const recorder = new Recorder(true);
          recorder.channel = channel;
          recorders.push(recorder);
          return recorder;
        },
        closed: () => {
          must(phase !== 'over', 'closed twice');
          phase = 'over';
        },
      };
      mux.listen(kind === 'tcp' ? { kind, host: '', port: 0 } : { kind }, events);
    };
    open();
    open();
    open();
    listen('tcp');
    listen('agent');
    while (choices.left > 0) {
      const recorder = recorders[choices.below(recorders.length)];
      switch (choices.below(10)) {
        case 0:
          open();
          break;
        case 1:
          recorder?.channel?.write(Buffer.alloc(choices.number(4) % 100_000));
          break;
        case 2:
          if (choices.below(2) === 0) recorder?.channel?.close();
          else recorder?.channel?.end();
          break;
        case 3:
          recorder?.channel?.consumed(recorder.unconsumed);
          if (recorder !== undefined) recorder.unconsumed = 0;
          break;
        case 4: {
          const max = 1 + (choices.number(4) % 20_000);
          const pulled = mux.pull(max);
          must(pulled === undefined || (pulled.length > 0 && pulled.length <= max), 'more was pulled than asked for');
          break;
        }
        case 5:
          mux.push(choices.bytes(2_000));
          break;
        default: {
          const number = choices.below(4) === 0 ? DEVICE_CHANNEL_BIT + choices.below(3) : choices.below(7);
          const type = choices.below(18);
          mux.push(encodeMessage(type, number, payload(choices)));
        }
      }
    }
    must(ended <= 1 || mux.size === 0, 'channels outlived the end');
    const before = ended;
    mux.push(encodeMessage(MSG.DATA, 1, 'x'));
    must(before === 0 || ended === before, 'a dead mux ends again');
  },
};

/** A byte stream of messages, cut anywhere. */
export const messages: Target = {
  name: 'messages',
  watch: /src\/mux\/message/,
  seeds: [Buffer.concat([encodeMessage(MSG.DATA, 1, 'hello'), encodeMessage(MSG.EOF, 1), encodeMessage(MSG.OPEN, 0x8000_0001, '{"listener":1}')])],
  words: [encodeMessage(MSG.CREDIT, 2, Buffer.alloc(4)), Buffer.from('04010000', 'hex'), Buffer.from('04010001', 'hex')],
  run(input) {
    const read = (step: number): string => {
      const reader = new MessageReader();
      const found: string[] = [];
      try {
        for (let at = 0; at < input.length; at += step) {
          reader.push(input.subarray(at, at + step), ({ type, channel, payload: body }) => found.push(`${String(type)} ${String(channel)} ${body.toString('base64')}`));
        }
      } catch {
        found.push('fault');
      }
      return found.join();
    };
    must(read(Math.max(1, input.length)) === read(1 + (input[0] ?? 0) % 5), 'another cut gives other messages');
  },
};
