import type { Channel, ChannelEvents } from '../../../src/mux/device.js';
import { SftpServer } from '../../../src/helper/sh/sftp-server.js';
import { PacketWriter } from '../../../src/helper/sh/sftp-wire.js';
import { Choices, must, type Target } from '../engine.js';
import { Recorder } from './mux.js';

const NAMES = ['/a', '.', '', '-rf', 'it\'s', '$(id)', '`id`', 'a\nb', 'a"b\\', '/tmp/\u00e9', 'x;y|z&', '~', '*'].map((name) => Buffer.from(name));
/** What stat, ls and the rest may print, well-formed or not. */
const OUTPUTS = ['', '81a4 5 1000 1000 1700000000 1700000000 1 user group\n', 'drwxr-xr-x 2 0 0 4096 2024-01-01 00:00:00.000 +0000 /x\n', 'No such file or directory\n', '/home/u\n', '-1 -1 NaN 1e999 \u0000\n', '4096 4096 100 50 25 10 5 255\n', 'ls: x: Permission denied\n', '0022\n', '99999999999999999999 x\n'];

/** A client that sends any SFTP requests, to a device whose tools print anything: an answer for each, no exception, and every line for the shell is one. */
export const shSftp: Target = {
  name: 'sh-sftp',
  watch: /src\/helper\/sh\/sftp/,
  seeds: [Buffer.from([1, 0, 3, 1, 0, 5, 0, 1, 0, 12, 0, 9, 2, 7]), Buffer.from('any requests to begin with, of every kind'), Buffer.from(Array.from({ length: 300 }, (_, i) => (i * 53) & 0xff))],
  async run(input) {
    const choices = new Choices(input);
    const channels: ChannelEvents[] = [];
    const recorder = new Recorder(false, 64 * 1024 * 1024);
    const run = (script: Buffer, events: ChannelEvents): Channel => {
      channels.push(events);
      const token = /printf "\\n([0-9a-f]{24}) %s/.exec(script.toString('latin1'))?.[1];
      let over = false;
      const end = (): void => {
        if (over) return;
        over = true;
        events.eof();
        events.closed(undefined);
      };
      const say = (text: string): void => {
        if (!over) events.data('out', Buffer.from(text, 'latin1'));
      };
      queueMicrotask(() => {
        events.opened();
        if (token !== undefined) say(`0022\n\n${token} 0\n`);
        else say(OUTPUTS[choices.below(OUTPUTS.length)] ?? '');
      });
      return {
        write: (bytes) => {
          if (token === undefined) return true;
          const line = bytes.toString('latin1');
          const first = line.slice(0, line.indexOf('\n'));
          // Every quote is closed: what a client names is never a word of the shell's own.
          if (!outsideQuotes(first).every((piece) => !/[`;&|<>()$]\s*(id|b|y|z)/.test(piece))) leaked ??= first;
          queueMicrotask(() => say(`${OUTPUTS[choices.below(OUTPUTS.length)] ?? ''}\n${token} ${String(choices.below(3))}\n`));
          return choices.below(8) !== 0;
        },
        end: () => { queueMicrotask(end); },
        close: () => { queueMicrotask(end); },
        consumed: () => undefined, closeOutput: () => undefined, resize: () => undefined, signal: () => undefined,
      };
    };
    let replies = 0;
    let leaked: string | undefined;
    recorder.data = (_stream, bytes) => {
      must(bytes.length >= 5, 'an answer without a length and a type');
      replies += 1;
      queueMicrotask(() => { server.consumed(bytes.length); });
    };
    const server = new SftpServer(run, recorder, { blocks: choices.below(2) === 0, stat: choices.below(2) === 0 });
    let requests = 0;
    const name = (): Buffer => (choices.below(4) === 0 ? choices.bytes(300) : NAMES[choices.below(NAMES.length)] ?? Buffer.alloc(0));
    server.write(new PacketWriter(1).uint32(3).finish());
    requests += 1;
    while (choices.left > 0) {
      if (choices.below(12) === 0) {
        server.write(choices.bytes(200));
      } else {
        const type = 3 + choices.below(19);
        const packet = new PacketWriter(type === 21 ? 200 : type).uint32(choices.byte());
        if (type === 21) packet.string(['posix-rename@openssh.com', 'hardlink@openssh.com', 'statvfs@openssh.com', 'limits@openssh.com', 'fsync@openssh.com', 'nope'][choices.below(6)] ?? '');
        packet.string(choices.below(3) === 0 ? Buffer.of(0, 0, 0, choices.below(3)) : name());
        if (choices.below(2) === 0) packet.uint32(choices.below(64)).uint32(choices.below(2) === 0 ? 0 : choices.uint(4)).uint32(choices.number(4)).uint32(choices.byte()).uint32(choices.byte());
        else packet.string(name()).uint32(0);
        server.write(packet.finish());
        requests += 1;
      }
      if (choices.below(3) === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    server.end();
    server.close();
    await new Promise((resolve) => setImmediate(resolve));
    must(leaked === undefined, `a name became shell code: ${String(leaked)}`);
    must(replies <= requests + 60, `${String(replies)} answers for ${String(requests)} requests`);
  },
};

/** The parts of a shell line that stand in no single quotes and are not escaped. */
function outsideQuotes(line: string): string[] {
  return line.split(/'[^']*'|\\./s);
}
