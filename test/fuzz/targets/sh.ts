import { Fault } from '../../../src/base/errors.js';
import { silentLog } from '../../../src/base/log.js';
import { ShBackend } from '../../../src/helper/sh/backend.js';
import { checksum } from '../../../src/helper/sh/checksum.js';
import type { Carrier } from '../../../src/link/carrier.js';
import { Choices, must, type Target } from '../engine.js';
import { Recorder } from './mux.js';

/** Unconsumed output that one channel may hold: all granted segments, as long as a record may be. */
const SH_CREDIT_BYTES = 2 * 8 * 128 * 1024;

const BODIES = ['a 1 1', 'n 0 0', 'm 0 0', 'F 1 1', 'A 0 0', 'c 1=1 1=1', 'b 0 0', 'f no-dd no-dd', 'l 3 3'];

/** What a listener says, and what it never says. */
const SAYINGS = ['l 4242\n', 'l 1 big\na 7 0100007F:0050\n', 'a 5 [0:0:0:0:0:0:0:1] 99\n', 'a 6 1.2.3.4 70000\na 6 \na x\n', 'l\nl x\n', 'a 8 1.2.3.4 5\n'.repeat(500)];

/** A device of the sh tier that tells any records in any order. */
export const sh: Target = {
  name: 'sh',
  watch: /src\/helper\/sh\//,
  seeds: [Buffer.from([0, 1, 0, 9, 2, 1, 0, 8, 3, 1, 0, 0, 1, 0]), Buffer.from('some bytes to begin with: the sh tier tells records'), Buffer.from(Array.from({ length: 200 }, (_, i) => (i * 37) & 0xff))],
  async run(input) {
    const choices = new Choices(input);
    const backend = new ShBackend({ graceSeconds: 600, log: silentLog() });
    const carrier: Carrier = { maxWrite: 9_000, buffered: 0, write: () => undefined, onText: () => undefined, onLost: () => undefined };
    let tag = '';
    const tell = (text: string): void => {
      carrier.onText(Buffer.from(text, 'latin1'));
    };
    const sealed = (text: string): string => `:${tag} ${text} ${checksum('cksum', Buffer.from(text, 'latin1'))};`;
    const attached = backend.attach(carrier, { facts: {}, run: (line) => { tag = /IT=(s[0-9a-f]+)/.exec(line)?.[1] ?? tag; } }, new AbortController().signal);
    const facts = ['dir=/tmp/x', 'user=u', 'home=/', 'shell=/bin/sh', 'enc=b64', 'sum=cksum', 'blocks=yes', 'sftp=', 'script=yes', 'stty=yes', 'nc=nc', 'listen=ll', 'stat=yes', '\u001b=evil', 'system=Linux'].join('\n');
    tell(sealed(`h ${Buffer.from(facts).toString('base64')}`));
    tell(`:${tag} A 0 0;`);
    await attached;
    const recorders: Recorder[] = [];
    const open = (): void => {
      const recorder = new Recorder(false, SH_CREDIT_BYTES);
      recorder.channel = backend.open(choices.below(3) === 0 ? { kind: 'tcp', host: 'h', port: 1 } : { kind: 'exec', command: Buffer.from('x'), pty: undefined, env: {} }, recorder);
      recorders.push(recorder);
    };
    const listen = (): void => {
      const listener = backend.listen({ kind: 'tcp', host: '', port: 0 }, {
        listening: () => undefined,
        refused: () => undefined,
        incoming: (channel) => {
          const recorder = new Recorder(true, SH_CREDIT_BYTES);
          recorder.channel = channel;
          if (recorders.length < 2_000) recorders.push(recorder);
          return recorder;
        },
        closed: () => undefined,
      });
      if (choices.below(20) === 0) listener.close();
    };
    open();
    open();
    listen();
    while (choices.left > 0) {
      const recorder = recorders[choices.below(recorders.length)];
      const channel = choices.below(5);
      switch (choices.below(9)) {
        case 0:
          if (recorders.length < 40) open();
          break;
        case 1: {
          const [type = 'a'] = BODIES[choices.below(BODIES.length)]?.split(' ') ?? [];
          const value = String(choices.number(4));
          tell(`:${tag} ${type} ${value} ${value};`);
          break;
        }
        case 2:
          tell(`:${tag} ${BODIES[choices.below(BODIES.length)] ?? ''};`);
          break;
        case 3:
        case 4: {
          const bytes = choices.below(3) === 0 ? Buffer.from(SAYINGS[choices.below(SAYINGS.length)] ?? '') : choices.bytes(30_000);
          tell(sealed(`${choices.below(2) === 0 ? 'o' : 'e'} ${String(channel)} ${String(choices.below(12))}\n${bytes.toString('base64')}`));
          break;
        }
        case 5:
          tell(sealed(`x ${String(channel)} 0\n${String(choices.byte())} ${String(choices.below(20))} ${String(choices.number(4))} ${String(choices.below(4))}`));
          break;
        case 6:
          if (recorder === undefined) break;
          recorder.channel?.consumed(recorder.unconsumed);
          recorder.unconsumed = 0;
          recorder.channel?.write(Buffer.from('input'));
          break;
        case 7:
          if (choices.below(3) === 0) recorder?.channel?.close();
          else if (choices.below(2) === 0) recorder?.channel?.end();
          else tell(sealed(`p ${String(choices.byte())} ${String(choices.byte())} ${String(channel)}=${String(choices.byte())}`));
          break;
        default:
          tell(choices.bytes(300).toString('latin1'));
      }
      must(backend.owedMs() >= 0, 'owes less than nothing');
    }
    const ended = new AbortController();
    ended.abort();
    await backend.shutdown(new Fault('DEVICE_LOST', 'The test is over.'), ended.signal);
    must(backend.channels === 0, 'channels outlived the end');
  },
};
