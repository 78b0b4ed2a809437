import { randomBytes } from 'node:crypto';
import { Fault } from '../base/errors.js';
import { LastWord } from '../base/last-word.js';
import type { Log } from '../base/log.js';
import type { Carrier } from '../link/carrier.js';
import { Link, type LinkStats } from '../link/link.js';
import { SECRET_BYTES } from '../link/wire.js';
import { HelperGone, type Backend, type Boot } from '../mux/backend.js';
import type { Channel, ChannelEvents, DeviceInfo, Listener, ListenerEvents, ListenRequest, OpenRequest } from '../mux/device.js';
import { Mux } from '../mux/mux.js';
import { END_WATCH } from './boot.js';
import { attachProgram, goneMark, guardProgram, sftpProgram, startProgram } from './python/program.js';

/**
 * One try to get the program across and a packet back; less where the last start was quick, and twice as long after each
 * that was in vain, up to what the first start has in all: the device may be under load now.
 */
const START_TRY_MS = 6_000;
const ATTACH_TRY_MIN_MS = 2_000;
const START_TRIES = 3;
const ATTACH_TRY_MOST_MS = START_TRIES * START_TRY_MS;
/** A terminal that lives answers within this and four round trips. */
const RESUME_MS = 1_500;
/** The farewell is said this many times at most, so often, since any frame may be lost. */
const BYES = 3;
const BYE_EVERY_MS = 400;
/** Frame size for repeated tries: large frames may be what was lost. */
const CAREFUL_CHARS = 1_000;
/** An agent that stalls, or sends output only after a command, is asked this often. */
const NUDGE_MS = 400;
/**
 * A boot sh that is bash (5.2; older ones 128) may have read up to 4,095 characters beyond the line that
 * it executes; these are there for it. Stage 1 passes over short lines.
 */
const READ_AHEAD = `${' '.repeat(63)}\n`.repeat(64);
/** Text kept while looking for stage 1's markers. */
const TAIL_CHARS = 64;

/**
 * Stage 1 (PROTOCOL-DEVICE.md section 1): reads lines from the raw terminal until one is the program.
 * It reads byte by byte, so nothing behind that line is taken from the front. setraw must not flush
 * (TCSANOW = 0): the program may have been typed already. Its answers carry a mark that other users of
 * the device cannot know, so that none of them can fake one with write or wall: it comes in a variable,
 * since they see arguments.
 */
const STAGE1 = String.raw`import os,sys,zlib,binascii
try:
 import tty;tty.setraw(0,0)
except Exception:pass
if sys.version_info<(3,5):sys.exit(9)
f=open(0,"rb",0,closefd=False)
m=os.environ.pop("_I","").encode()
while 1:
 l=f.readline(1<<20)
 if not l:sys.exit(0)
 try:p=zlib.decompress(binascii.a2b_base64(l))
 except Exception:
  if len(l)>99:os.write(1,b"@NA"+b"K-"+m+b"@")
  continue
 break
exec(p,{"__name__":"__main__"})`;

const STAGE1_ARGUMENT = `'exec("${STAGE1.replaceAll('"', '\\"').replaceAll('\n', '\\n')}")'`;

/**
 * Put together by printf, so that an echo of the line is no answer. -I: neither a `socket.py` in the home directory nor
 * PYTHONPATH or PYTHONHOME of the user's start-up files shall be in the way.
 */
function stage1Line(mark: string): string {
  return `${END_WATCH}_I=${mark} python3 -I -c ${STAGE1_ARGUMENT}||printf "@%s-%s@" NOPY ${mark}`;
}

/**
 * What became of one try: `damaged` when the program arrived broken, `silent` when nothing was heard of
 * it, `dead` when a device that is known to be quick did not make a sound.
 */
type StartOutcome = 'attached' | 'silent' | 'damaged' | 'dead';

export interface PythonBackendOptions {
  /** Seconds that the helper waits on the device for a lost bridge. */
  graceSeconds: number;
  log: Log;
}

/** The python tier: link and mux to a helper that outlives the login. */
export class PythonBackend implements Backend {
  readonly #secret = randomBytes(SECRET_BYTES);
  readonly #mark = randomBytes(8).toString('hex');
  readonly #options: PythonBackendOptions;
  readonly #log: Log;
  readonly #link: Link;
  readonly #mux: Mux;
  #info: DeviceInfo | undefined;
  #introduced: (() => void) | undefined;
  #sftpSent = false;
  #ownSftp = false;
  readonly #end = new LastWord<Fault>();
  /** For one try; shorter once the first start has shown how quick the device is. */
  #tryMs = START_TRY_MS;

  constructor(options: PythonBackendOptions) {
    this.#options = options;
    this.#log = options.log;
    this.#mux = new Mux({
      wake: () => {
        this.#link.wake();
      },
      info: (info) => {
        this.#introduce(info);
      },
      ended: (fault) => {
        this.#end.say(fault);
      },
    });
    this.#link = new Link(this.#secret, this.#mux, this.#log);
  }

  // The helper may say it in the moment in which it is attached.
  set onEnd(listener: (fault: Fault) => void) {
    this.#end.listener = listener;
  }

  get onEnd(): (fault: Fault) => void {
    return this.#end.listener;
  }

  get info(): DeviceInfo {
    if (this.#info === undefined) throw new Fault('INTERNAL', 'The device was used before its helper had started.');
    return this.#info;
  }

  get channels(): number {
    return this.#mux.size;
  }

  get rttMs(): number {
    return this.#link.rttMs;
  }

  get progress(): number {
    return this.#link.progress;
  }

  get struggling(): boolean {
    return this.#link.struggling;
  }

  get stats(): LinkStats {
    return this.#link.stats;
  }

  owedMs(): number {
    return this.#link.owedMs();
  }

  nudge(): void {
    this.#link.probe();
  }

  async attach(carrier: Carrier, boot: Boot, signal: AbortSignal): Promise<void> {
    if (boot.facts['python3'] === undefined) throw new Fault('UNSUPPORTED', 'The device has no python3.');
    const parameters = { secret: this.#secret, graceSeconds: this.#options.graceSeconds, races: carrier.manners?.races === true };
    const first = this.#info === undefined;
    const program = first ? startProgram(parameters) : attachProgram(parameters);
    // Later the daemon is the guard, while channels are open.
    const guard = first && parameters.races ? `${guardProgram(this.#mark)}\n` : '';
    const ahead = boot.facts['bash'] === undefined ? '' : READ_AHEAD;
    const began = performance.now();
    let outcome: StartOutcome = 'silent';
    for (let attempt = 1; ; attempt += 1) {
      // The line of stage 1 may have been what was lost; a stage 1 that runs takes it for a bad program.
      if (outcome === 'silent') boot.run(`${stage1Line(this.#mark)}\n${ahead}${attempt === 1 ? guard : ''}`);
      outcome = await this.#try(carrier, program, attempt, signal);
      if (outcome === 'attached') {
        this.#tryMs = Math.min(START_TRY_MS, Math.max(ATTACH_TRY_MIN_MS, 4 * (performance.now() - began)));
        return;
      }
      if (attempt >= START_TRIES || outcome === 'dead') {
        // (What is `dead` made no sound in a time that was enough before.)
        if (!first && outcome !== 'dead') this.#tryMs = Math.min(2 * this.#tryMs, ATTACH_TRY_MOST_MS);
        throw new Fault('DEVICE_LOST', `The helper on the device did not answer (${String(attempt)} of ${String(START_TRIES)} tries).`);
      }
      this.#log.debug({ attempt, outcome }, 'helper: no answer to the start; trying again');
    }
  }

  async resume(carrier: Carrier, signal: AbortSignal): Promise<boolean> {
    return await new Promise((resolve) => {
      const settle = (lives: boolean): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', onAbort);
        if (!lives) this.#link.detach();
        resolve(lives);
      };
      const onAbort = (): void => {
        settle(false);
      };
      const timer = setTimeout(onAbort, RESUME_MS + 4 * this.#link.rttMs);
      carrier.onLost = onAbort;
      carrier.onText = (text) => {
        this.#link.receive(text);
      };
      signal.addEventListener('abort', onAbort);
      void this.#link.attach(carrier).then(() => {
        settle(true);
      });
    });
  }

  async #try(carrier: Carrier, program: string, attempt: number, signal: AbortSignal): Promise<StartOutcome> {
    return await new Promise((resolve, reject) => {
      let tail = '';
      let heard = false;
      const gone = goneMark(this.#secret);
      const introduced = this.#info !== undefined ? Promise.resolve() : new Promise<void>((done) => (this.#introduced = done));
      const settle = (finish: () => void): void => {
        clearTimeout(timer);
        clearInterval(nudges);
        signal.removeEventListener('abort', onAbort);
        finish();
      };
      const fail = (fault: Fault): void => {
        settle(() => {
          this.#link.detach();
          reject(fault);
        });
      };
      const onAbort = (): void => {
        fail(new Fault('DEVICE_LOST', 'The start of the helper was given up.', { cause: signal.reason }));
      };
      const timer = setTimeout(() => {
        settle(() => {
          resolve(this.#info !== undefined && !heard ? 'dead' : 'silent');
        });
      }, this.#tryMs);
      const nudges = setInterval(() => {
        carrier.write('');
      }, NUDGE_MS);
      carrier.onLost = (cause) => {
        fail(new Fault('DEVICE_LOST', 'The device session ended while the helper was started.', { cause }));
      };
      carrier.onText = (text) => {
        heard = true;
        tail = (tail + text.toString('latin1')).slice(-TAIL_CHARS - text.length);
        if (tail.includes(gone)) fail(new HelperGone('The helper is gone from the device (a reboot, the end of its process, or of its grace time); what it ran has ended, or is out of reach.'));
        else if (tail.includes(`@NOPY-${this.#mark}@`)) fail(new Fault('UNSUPPORTED', 'python3 on the device does not run the helper (too old, or without zlib).'));
        else if (tail.includes(`@NAK-${this.#mark}@`))
          settle(() => {
            resolve('damaged');
          });
        else this.#link.receive(text);
        tail = tail.slice(-TAIL_CHARS);
      };
      signal.addEventListener('abort', onAbort);
      void this.#link.attach(carrier).then(() => introduced).then(() => {
        settle(() => {
          carrier.onText = (text) => {
            this.#link.receive(text);
          };
          resolve('attached');
        });
      });
      const line = `\n${program}\n`;
      // The two line ends take two bytes each on the wire.
      const size = attempt === 1 ? carrier.maxWrite - 2 : CAREFUL_CHARS;
      for (let at = 0; at < line.length; at += size) carrier.write(line.slice(at, at + size));
    });
  }

  detach(): void {
    this.#link.detach();
  }

  open(request: OpenRequest, events: ChannelEvents): Channel {
    if (request.kind === 'sftp' && this.#ownSftp) {
      if (!this.#sftpSent) this.#mux.program('sftp', sftpProgram());
      this.#sftpSent = true;
      return this.#mux.open(request, events, { builtin: true });
    }
    return this.#mux.open(request, events);
  }

  listen(request: ListenRequest, events: ListenerEvents): Listener {
    return this.#mux.listen(request, events);
  }

  async shutdown(fault: Fault, signal: AbortSignal): Promise<boolean> {
    this.#mux.fail(fault);
    this.#link.silence();
    const began = performance.now();
    let byes = 0;
    await new Promise<void>((resolve) => {
      const timer = setInterval(() => {
        if (this.#end.said || signal.aborted || !this.#link.isAttached) {
          clearInterval(timer);
          resolve();
        } else if (byes < BYES && performance.now() - began >= byes * BYE_EVERY_MS) {
          byes += 1;
          this.#link.bye(fault.message);
        }
      }, 20);
    });
    this.#link.detach();
    return this.#end.said;
  }

  #introduce(info: Record<string, unknown>): void {
    const text = (name: string): string => {
      const value = info[name];
      return typeof value === 'string' ? value.replaceAll(/[^\x20-\x7e]/g, '?').slice(0, 200) : '';
    };
    this.#ownSftp = info['sftp'] === null;
    this.#info = {
      tier: 'python',
      detail: `python ${text('version')} on ${text('system')}`,
      user: text('user'),
      home: text('home'),
      shell: text('shell'),
      sftpServer: this.#ownSftp ? undefined : text('sftp'),
    };
    this.#introduced?.();
  }
}
