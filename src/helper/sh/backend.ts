import { randomBytes } from 'node:crypto';
import { Fault } from '../../base/errors.js';
import { LastWord } from '../../base/last-word.js';
import type { Log } from '../../base/log.js';
import type { Carrier } from '../../link/carrier.js';
import type { Backend, Boot } from '../../mux/backend.js';
import type { Channel, ChannelEvents, DeviceInfo, Listener, ListenerEvents, ListenRequest, OpenRequest } from '../../mux/device.js';
import { ShChannel, type Role } from './channel.js';
import { Connector } from './connect.js';
import { CookedTerminal } from './cooked.js';
import { parseFacts, type Facts } from './facts.js';
import { Intake } from './intake.js';
import { launchItems } from './launch.js';
import { programLines } from './program.js';
import { planListen } from './listen.js';
import { ShListener } from './listener.js';
import { Reports } from './reports.js';
import { plan, type RunMode } from './requests.js';
import { askFront } from './resume.js';
import { RecordScanner } from './scanner.js';
import { SftpServer } from './sftp-server.js';
import { start } from './start.js';
import { Uplink } from './uplink.js';
import { Vigil } from './vigil.js';
import type { ShRecord } from './wire.js';
import { FrameWriter } from './writer.js';

/** How long the front of before has to answer, and four round trips. */
const RESUME_MS = 1_500;
/** How often the end is announced until the device confirms. */
const BYE_MS = 500;
/** With more than this on its way no further channel is opened: a client may open and close them without end. */
const UP_WAITING_CHARS = 8 * 1024 * 1024;
const ROLES: Readonly<Record<RunMode, Role>> = { p: 'process', t: 'process', s: 'connection', a: 'connection', l: 'listener' };

export interface ShBackendOptions {
  /** Seconds that commands on the device live on without a bridge. */
  graceSeconds: number;
  /** Directory on the device for the helper's state, tried before the usual ones. */
  stateDir?: string;
  /** Serve SFTP from this side even where the device has an sftp-server. */
  ownSftp?: boolean;
  log: Log;
}

/** The sh tier: everything with POSIX sh and BusyBox-class tools (wire.ts has the protocol). */
export class ShBackend implements Backend {
  readonly #tag = `s${randomBytes(6).toString('hex')}`;
  readonly #options: ShBackendOptions;
  readonly #log: Log;
  readonly #channels = new Map<number, ShChannel>();
  readonly #writer: FrameWriter;
  readonly #uplink: Uplink;
  readonly #reports: Reports;
  readonly #lines: readonly string[];
  readonly #connector = new Connector();
  #facts: Facts | undefined;
  #nextChannel = 1;
  #attached = false;
  #carrier: Carrier | undefined;
  readonly #vigil: Vigil;
  readonly #intake: Intake;
  #turn = 0;
  #ended: Fault | undefined;
  #gone = false;
  #byeHeard: (() => void) | undefined;
  readonly #end = new LastWord<Fault>();

  constructor(options: ShBackendOptions) {
    this.#options = options;
    this.#log = options.log;
    this.#writer = new FrameWriter(
      () => {
        this.#reports.takeAlong();
      },
      () => this.#uplink.frameChars,
    );
    this.#uplink = new Uplink(this.#tag, {
      write: (text) => {
        this.#writer.write(text);
      },
      room: () => {
        this.#pump();
      },
    });
    const source = { uplink: this.#uplink, channels: () => this.#channels.values(), attached: () => this.#attached };
    this.#reports = new Reports(source);
    const ended = (fault: Fault): void => {
      this.#end.say(fault);
    };
    this.#vigil = new Vigil({ ...source, reports: this.#reports, ended }, options.graceSeconds);
    this.#intake = new Intake({
      uplink: this.#uplink,
      reports: this.#reports,
      vigil: this.#vigil,
      channel: (number) => this.#channels.get(number),
      existed: (number) => number < this.#nextChannel,
      encoding: () => this.#facts?.encoding ?? 'b64',
      gone: () => {
        this.#gone = true;
        this.#byeHeard?.();
      },
    });
    this.#lines = programLines({
      tag: this.#tag,
      name: `.iotda-${randomBytes(9).toString('hex')}`,
      graceSeconds: options.graceSeconds,
      stateDir: options.stateDir ?? '',
    });
  }

  // The helper may say it in the moment in which it is attached.
  set onEnd(listener: (fault: Fault) => void) {
    this.#end.listener = listener;
  }

  get onEnd(): (fault: Fault) => void {
    return this.#end.listener;
  }

  get info(): DeviceInfo {
    if (this.#facts === undefined) throw new Fault('INTERNAL', 'The device was used before its helper had started.');
    return this.#facts.info;
  }

  get channels(): number {
    return this.#channels.size;
  }

  get rttMs(): number {
    return this.#uplink.srtt;
  }

  get progress(): number {
    return this.#uplink.arrived + this.#reports.arrived;
  }

  /** The helper's directory on the device, once it runs. */
  get directory(): string | undefined {
    return this.#facts?.dir;
  }

  owedMs(): number {
    return this.#attached ? this.#vigil.owedMs() : 0;
  }

  nudge(): void {
    if (!this.#attached) return;
    this.#vigil.ask();
    this.#uplink.nudge();
  }

  async attach(carrier: Carrier, boot: Boot, signal: AbortSignal): Promise<void> {
    this.#uplink.pause();
    const started = await start(
      carrier,
      boot,
      {
        tag: this.#tag,
        lines: this.#lines,
        directory: this.directory,
        // Output of a surviving command that is faster than the front's greeting.
        take: (record) => {
          if (this.#facts !== undefined) this.#intake.take(record);
        },
      },
      signal,
    );
    if (started.hello !== undefined && this.#facts === undefined) this.#introduce(started.hello);
    this.#reports.restart();
    this.#use(carrier, started.last);
  }

  async resume(carrier: Carrier, signal: AbortSignal): Promise<boolean> {
    const { srtt, blockChars } = this.#uplink;
    const question = { tag: this.#tag, owedChars: blockChars, waitMs: RESUME_MS + 4 * srtt, take: (record: ShRecord) => this.#intake.take(record) };
    const last = await askFront(carrier, question, signal);
    if (last === undefined || this.#ended !== undefined) return false;
    this.#reports.resume();
    this.#use(carrier, last);
    return true;
  }

  /** A front listens at this carrier, and has done everything up to `last`. */
  #use(carrier: Carrier, last: number): void {
    const scanner = new RecordScanner(this.#tag, (record) => {
      this.#intake.take(record);
    });
    carrier.onText = (bytes) => {
      scanner.feed(bytes);
    };
    this.#carrier = carrier;
    this.#attached = true;
    this.#vigil.restart();
    this.#writer.use(carrier);
    this.#uplink.resume(last, carrier.manners?.windowBytes);
    this.#watch();
    this.#pump();
    this.#vigil.keepAlive();
  }

  detach(cause: Error): void {
    if (!this.#attached) return;
    this.#attached = false;
    this.#log.debug({ cause: cause.message, channels: this.#channels.size }, 'sh helper: the carrier is gone; commands on the device go on');
    if (this.#carrier !== undefined) this.#carrier.onText = () => undefined;
    this.#carrier = undefined;
    this.#writer.use(undefined);
    this.#uplink.pause();
    this.#vigil.restart();
  }

  open(request: OpenRequest, events: ChannelEvents): Channel {
    const planned = plan(request, this.#facts?.all ?? {}, this.#options.ownSftp);
    if (planned.kind === 'run') return this.#run(planned.script, planned.mode, events);
    if (planned.kind === 'connect') return this.#run(this.#connector.script(planned.target), 's', this.#connector.watch(events));
    if (planned.kind === 'cooked') return new CookedTerminal(planned.pty, events, (own) => this.#run(planned.script, 'p', own));
    if (planned.kind === 'files' && this.#ended === undefined) {
      const run = (script: Buffer, own: ChannelEvents): Channel => this.#run(script, 'p', own);
      return new SftpServer(run, events, { blocks: this.#facts?.blocks === true, stat: this.#facts?.all['stat'] === 'yes' });
    }
    const channel = this.#channel(0, events, 'process');
    queueMicrotask(() => {
      channel.refuse(planned.kind === 'refuse' ? planned.reason : { code: 'connect-failed', message: this.#ended?.message ?? '' });
    });
    return channel;
  }

  listen(request: ListenRequest, events: ListenerEvents): Listener {
    const planned = planListen(request, this.#facts?.all ?? {});
    if (planned.kind === 'refuse') {
      queueMicrotask(() => {
        events.refused(planned.reason);
      });
      return { close: () => undefined };
    }
    return new ShListener(request, events, {
      run: (own) => this.#run(planned.script, 'l', own),
      accept: (name, own) => this.#run(Buffer.from(name), 'a', own),
    });
  }

  async shutdown(fault: Fault, signal: AbortSignal): Promise<boolean> {
    this.#ended ??= fault;
    for (const channel of [...this.#channels.values()]) channel.fail(fault);
    this.#vigil.stop();
    this.#reports.stop();
    // What was asked for and has not begun must not begin now.
    this.#uplink.abandon();
    if (this.#attached && !signal.aborted) {
      await new Promise<void>((resolve) => {
        const bye = (): void => {
          this.#uplink.note('b');
        };
        const timer = setInterval(bye, BYE_MS);
        const finish = (): void => {
          clearInterval(timer);
          signal.removeEventListener('abort', finish);
          resolve();
        };
        this.#byeHeard = finish;
        signal.addEventListener('abort', finish);
        bye();
      });
    }
    this.detach(fault);
    return this.#gone;
  }

  #introduce(hello: string): void {
    this.#facts = parseFacts(hello);
    this.#uplink.useChecksum(this.#facts.sum);
    this.#log.debug({ facts: this.#facts.all }, 'sh helper: started');
  }

  #channel(number: number, events: ChannelEvents, role: Role): ShChannel {
    const channel = new ShChannel(
      number,
      events,
      {
        system: this.#facts?.all['system'],
        submit: (item, done, failed) => {
          this.#uplink.submit(item, done, failed);
          this.#watch();
        },
        wake: () => {
          this.#pump();
        },
        granted: () => {
          this.#reports.granted(channel);
        },
        finished: (ended, free) => {
          this.#channels.delete(ended);
          this.#reports.finished(channel);
          if (free) this.#reports.free(ended);
        },
      },
      role,
    );
    return channel;
  }

  #run(script: Buffer, mode: RunMode, events: ChannelEvents): ShChannel {
    const number = this.#nextChannel;
    this.#nextChannel += 1;
    const channel = this.#channel(number, events, ROLES[mode]);
    if (this.#ended !== undefined) {
      const { message } = this.#ended;
      queueMicrotask(() => {
        channel.refuse({ code: 'connect-failed', message });
      });
      return channel;
    }
    if (this.#uplink.waitingChars > UP_WAITING_CHARS) {
      queueMicrotask(() => {
        channel.refuse({ code: 'resource', message: 'Too much waits for the device already; try again once it answers.' });
      });
      return channel;
    }
    this.#channels.set(number, channel);
    this.#launch(channel, script, mode);
    return channel;
  }

  #launch(channel: ShChannel, script: Buffer, mode: RunMode): void {
    const { pieces, start: line } = launchItems(channel.number, mode, script, this.#facts?.blocks === true);
    for (const piece of pieces) this.#uplink.submit(piece);
    const started = (): void => {
      if (ROLES[mode] === 'process') channel.opened();
    };
    this.#uplink.submit(line, started, () => {
      if (mode === 'a') channel.gone();
      channel.refuse({ code: 'resource', message: 'The device has no room for another channel: its memory or file system is full.' });
    });
    this.#watch();
    this.#pump();
  }

  #pump(): void {
    if (!this.#attached) return;
    const blocks = this.#facts?.blocks === true;
    const channels = [...this.#channels.values()];
    let quiet = 0;
    while (channels.length > 0 && quiet < channels.length && this.#uplink.roomy) {
      this.#turn = (this.#turn + 1) % channels.length;
      const item = channels[this.#turn]?.nextInput(this.#uplink.blockBytes, blocks);
      if (item === undefined) quiet += 1;
      else {
        quiet = 0;
        this.#uplink.submit(item);
      }
    }
  }

  #watch(): void {
    if (this.#ended === undefined) this.#vigil.watch();
  }
}
