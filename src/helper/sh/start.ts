import { Fault } from '../../base/errors.js';
import type { Carrier } from '../../link/carrier.js';
import { HelperGone, type Boot } from '../../mux/backend.js';
import { attachLine, loaderLine, numberedLines } from './program.js';
import { RecordScanner } from './scanner.js';
import type { ShRecord } from './wire.js';
import { Uplink } from './uplink.js';
import { FrameWriter } from './writer.js';

/** One try: the program crosses, the tools are probed, an answer comes back. */
const TRY_MS = 2_500;
const TRIES = 6;
/** Frame size for repeated tries: large frames may be what was lost. */
const CAREFUL_CHARS = 1_000;

export interface Started {
  /** Last line that the device has done. */
  last: number;
  /** What the device told of itself, as the encoder printed it. */
  hello: string | undefined;
}

const REASONS: Readonly<Record<string, string>> = {
  'no-directory': 'it has no directory that can be written to',
  'no-checksum-tool': 'it has none of cksum, md5sum, sha1sum and sha256sum',
  'no-encoder': 'it has none of base64, openssl, od and hexdump',
};

/** Where and as whom to start. */
export interface StartPlan {
  tag: string;
  /** The whole program, for the first start; ignored with a directory. */
  lines: readonly string[];
  /** The state directory of a helper that ran before. */
  directory: string | undefined;
  /** Records that are not of the start go here. */
  take: (record: ShRecord, chars: number) => void;
}

/**
 * Gets a front running on the device behind this carrier. Everything it types may be lost, so each
 * try asks first how far the last one came.
 */
export async function start(carrier: Carrier, boot: Boot, plan: StartPlan, signal: AbortSignal): Promise<Started> {
  const { tag, lines, directory } = plan;
  return await new Promise<Started>((resolve, reject) => {
    let last: number | undefined;
    let hello: string | undefined;
    let loaded: number | undefined;
    let tries = 0;
    let timer: NodeJS.Timeout | undefined;
    const settle = (finish: () => void): void => {
      clearTimeout(timer);
      writer.use(undefined);
      signal.removeEventListener('abort', onAbort);
      finish();
    };
    const fail = (code: 'DEVICE_LOST' | 'UNSUPPORTED', message: string, cause?: unknown): void => {
      settle(() => {
        carrier.onText = () => undefined;
        reject(new Fault(code, message, { cause }));
      });
    };
    const onAbort = (): void => {
      fail('DEVICE_LOST', 'The start on the device was given up.', signal.reason);
    };
    const writer = new FrameWriter(() => undefined, () => (tries > 1 ? CAREFUL_CHARS : carrier.maxWrite));
    writer.use(carrier);
    const type = (text: string): void => {
      writer.write(text);
    };
    const sendFrom = (first: number): void => {
      type(`\n${numberedLines(tag, lines, first)}`);
    };
    const attempt = (): void => {
      clearTimeout(timer);
      timer = setTimeout(attempt, TRY_MS);
      tries += 1;
      if (tries > TRIES) {
        fail('DEVICE_LOST', 'The helper program did not start on the device in time.');
        return;
      }
      // A front that runs already takes this for what it is; anything else ignores it.
      if (tries > 1) type(`\n${Uplink.blindNote(tag, 'h')}`);
      if (directory !== undefined) {
        boot.run(attachLine(tag, directory, carrier.manners?.races));
        return;
      }
      if (loaded === undefined) boot.run(loaderLine(tag, carrier.manners?.races));
      // After a loss only the question is repeated: the answer says where to go on.
      if (tries === 1) sendFrom(1);
      else type(`\n${numberedLines(tag, lines, lines.length + 1)}`);
    };
    const done = (): void => {
      if (last === undefined || (directory === undefined && hello === undefined)) return;
      const started = { last, hello };
      settle(() => {
        resolve(started);
      });
    };
    const scanner = new RecordScanner(tag, (record, chars) => {
      switch (record.type) {
        case 'l':
          loaded = record.value;
          if (loaded < lines.length) sendFrom(loaded + 1);
          return;
        case 'h':
          hello = record.text;
          done();
          return;
        case 'A':
          last = record.value;
          done();
          return;
        case 'f':
          fail('UNSUPPORTED', `The sh tier cannot run on this device: ${REASONS[record.reason] ?? record.reason.replace('no-', 'it has no ')}.`);
          return;
        case 'g':
          settle(() => {
            carrier.onText = () => undefined;
            reject(new HelperGone('The helper is gone from the device (a reboot, the end of its process, or of its grace time); what it ran has ended, or is out of reach.'));
          });
          return;
        default:
          plan.take(record, chars);
      }
    });
    carrier.onText = (bytes) => {
      scanner.feed(bytes);
    };
    carrier.onLost = (cause) => {
      fail('DEVICE_LOST', 'The device session ended while the helper was started.', cause);
    };
    if (signal.aborted) onAbort();
    else {
      signal.addEventListener('abort', onAbort);
      attempt();
    }
  });
}
