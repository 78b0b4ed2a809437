/**
 * One life of an agent on one WebSocket: takes frames, logs in, types, reports. All that differs
 * between agents comes from the behaviour table; `ended` tells how the life ended.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { toFault } from '../base/errors.js';
import type { Log } from '../base/log.js';
import { CLOSE_NORMAL, STATUS_LOGIN_FAILED, STATUS_SHELL_ENDED } from '../protocol/constants.js';
import { encodeUnchecked } from '../protocol/encode.js';
import type { Frame } from '../protocol/frames.js';
import type { Behaviour } from './behaviour.js';
import type { Dice } from './dice.js';
import { Flood } from './flood.js';
import { Inbox, type Item } from './inbox.js';
import { readMessage, type Inbound } from './inbound.js';
import { Output } from './output.js';
import type { Session, SessionSource } from './session.js';
import { countFault, type AgentStats } from './stats.js';
import type { Wire } from './wire.js';

export type LifeEnd = { kind: 'closed'; code: number; reason: string } | { kind: 'crashed'; why: string };

/** Text that may wait for a shell that does not read; one byte more ends the session. */
const TYPED_BOUND_BYTES = 16 * 1024 * 1024;
/** Where typing blocks: the SSH window and terminal buffer of a shell that does not read. */
const BLOCKING_BYTES = 64 * 1024;
/** Most first output that travels in a connect_response. */
const FIRST_OUTPUT_BYTES = 4096;
/** The stock C agent's words and id for any end of the shell. */
const C_EXIT_ID = 'SSH_timeout_disconnect';
const C_EXIT_TEXT = 'SSH idles for too long, the session will be closed';
const C_FAILURE_TEXT = 'WssClientListenerOnMsg: Create SSH channel failed';
/** What SSH.NET throws when a shell stream that has ended is written to. */
const CSHARP_WRITE_TEXT = "Cannot access a disposed object. Object name: 'ShellStream'.";

export interface EngineOptions {
  wire: Wire;
  behaviour: Behaviour;
  dice: Dice;
  sessions: SessionSource;
  stats: AgentStats;
  log: Log;
}

export class Engine {
  readonly ended: Promise<LifeEnd>;
  readonly output: Output;
  readonly #options: EngineOptions;
  readonly #inbox: Inbox;
  readonly #flood: Flood;
  readonly #keepalive: NodeJS.Timeout;
  #finish: (end: LifeEnd) => void = () => {};
  #over = false;
  #session: Session | undefined;
  /** `dead`: its leg died silently. `ended`: the shell or its SSH server went away. */
  #sessionState: 'none' | 'open' | 'dead' | 'ended' = 'none';
  #connectId = '';
  #lastId = '';
  #willHang = false;
  #hangNext = false;
  #hung = false;
  #thaw: (() => void) | undefined;
  #frozen: Promise<void> = Promise.resolve();
  #dropCommands = 0;
  #wake: () => void = () => {};

  constructor(options: EngineOptions) {
    const { wire, behaviour, dice, stats } = options;
    this.#options = options;
    this.ended = new Promise((resolve) => (this.#finish = resolve));
    this.#flood = new Flood(behaviour);
    this.output = new Output({
      behaviour,
      dice,
      stats,
      wire,
      id: () => this.#copied(behaviour.outputId === 'connect' ? this.#connectId : this.#lastId),
      ended: (state) => this.#sessionEnded(state),
    });
    this.#inbox = new Inbox({
      oneMessagePerRead: behaviour.oneMessagePerRead,
      recordBytes: behaviour.recordBytes,
      cut: () => countFault(stats, 'recordBytes'),
      handle: (item) => this.#guarded(item),
      pause: () => wire.pause(),
      resume: () => wire.resume(),
    });
    wire.onRead = () => this.#inbox.nextRead();
    wire.onMessage = (bytes, binary) => this.#inbox.push({ kind: 'message', bytes, binary });
    wire.onPing = (data) => this.#inbox.push({ kind: 'ping', data });
    wire.onPong = () => this.#inbox.push({ kind: 'pong' });
    wire.onClosed = (code, reason) => void this.#closed(code, reason);
    this.#keepalive = setInterval(() => this.#keepAlive(), behaviour.keepaliveMs);
    wire.resume();
  }

  /** The process dies: its sockets are cut without a word. */
  crash(why: string): void {
    if (this.#over) return;
    this.#options.stats.crashes++;
    this.#options.log.warn({ why }, 'the device agent crashes');
    this.#end({ kind: 'crashed', why });
  }

  /** Ends this life in order, from outside. */
  stop(): void {
    this.#options.wire.close(CLOSE_NORMAL, '');
    this.#end({ kind: 'closed', code: CLOSE_NORMAL, reason: '' }, false);
  }

  /** The line is cut. */
  cutWire(): void {
    this.#options.wire.terminate();
  }

  /** The SSH leg dies and nobody says so. */
  dieSilently(): void {
    this.#dropSession();
    this.#sessionState = 'dead';
  }

  /** The session is killed under the agent, as when its sshd process is killed. */
  killSession(): void {
    const had = this.#session !== undefined;
    this.#dropSession();
    if (had) this.#sessionEnded('lost');
  }

  /** The login shell ends. */
  endShell(): void {
    const had = this.#session !== undefined;
    this.#dropSession();
    if (had) this.#sessionEnded('exited');
  }

  /** The whole process stands still, pongs included, until `thaw`. */
  freeze(): void {
    if (this.#thaw !== undefined) return;
    this.#frozen = new Promise((resolve) => (this.#thaw = resolve));
    this.output.freeze(true);
    this.#options.wire.pause();
  }

  thaw(): void {
    if (this.#thaw === undefined) return;
    this.#thaw();
    this.#thaw = undefined;
    this.output.freeze(false);
    this.#options.wire.resume();
  }

  dropNextCommand(): void {
    this.#dropCommands++;
  }

  /** The next command is typed for as long as its session lives. */
  hangNext(): void {
    this.#hangNext = true;
  }

  /** The next connect is answered, and then nothing ever is. */
  deadlock(): void {
    this.#willHang = true;
  }

  async #closed(code: number, reason: string): Promise<void> {
    await this.#frozen;
    // A hung agent never learns that its WebSocket is gone.
    if (!this.#hung) this.#end({ kind: 'closed', code, reason });
  }

  #end(end: LifeEnd, abruptly = true): void {
    if (this.#over) return;
    this.#over = true;
    clearInterval(this.#keepalive);
    this.#inbox.stop();
    this.#dropSession();
    this.output.stop();
    this.#thaw?.();
    if (abruptly) this.#options.wire.terminate();
    this.#finish(end);
  }

  /** A defect of ours ends this life; a fresh one may fare better. */
  async #guarded(item: Item): Promise<void> {
    try {
      await this.#handle(item);
    } catch (thrown) {
      this.#options.log.error({ err: thrown }, 'a frame could not be handled');
      this.crash('a defect');
    }
  }

  async #handle(item: Item): Promise<void> {
    await this.#frozen;
    if (this.#over) return;
    const { wire, behaviour, dice, log } = this.#options;
    if (item.kind === 'ping') return wire.pong(item.data);
    if (item.kind === 'pong') return;
    if (item.bytes.length > behaviour.fragmentBytes && dice.roll('fragmentLossRate', behaviour.fragmentLossRate)) return;
    const inbound = readMessage(item.bytes, item.binary, behaviour);
    if (inbound.kind === 'command' && this.#inbox.waiting > 0 && dice.roll('commandReorderRate', behaviour.commandReorderRate)) {
      const other = this.#inbox.exchange(item);
      if (other.kind === 'ping') wire.pong(other.data);
      if (other.kind === 'message') await this.#act(readMessage(other.bytes, other.binary, behaviour));
      return;
    }
    log.trace({ kind: inbound.kind, bytes: item.bytes.length }, 'a message arrived');
    await this.#act(inbound);
  }

  async #act(inbound: Inbound): Promise<void> {
    const { wire, behaviour, log } = this.#options;
    switch (inbound.kind) {
      case 'connect':
        return this.#connect(inbound);
      case 'command':
        return this.#command(inbound);
      case 'disconnect':
        if (behaviour.appDisconnect === 'close-1000') wire.close(CLOSE_NORMAL, '');
        if (behaviour.appDisconnect === 'end-session') this.#dropSession();
        return;
      case 'ignored':
        return log.debug({ why: inbound.why }, 'a message is ignored');
      case 'crash':
        return this.crash(inbound.why);
      case 'close':
        return wire.close(inbound.code, inbound.why);
    }
  }

  async #connect({ id, user, password }: Extract<Inbound, { kind: 'connect' }>): Promise<void> {
    const { behaviour, dice, stats, sessions, log } = this.#options;
    const noData = Buffer.alloc(0);
    if (this.#sessionState !== 'none' && behaviour.secondConnect === 'ignore') return;
    this.#connectId = id;
    this.#lastId = id;
    if (behaviour.connectResponse === 'before-login') {
      this.#send({ operation: 'connect_response', requestId: id, data: noData });
    }
    if (this.#willHang) return this.#hang();
    if (this.#sessionState === 'dead' && dice.roll('recoveryCrashRate', behaviour.recoveryCrashRate)) {
      return this.crash('a connect after a silent death');
    }
    this.#dropSession();
    let session: Session;
    try {
      const { term, cols, rows } = behaviour;
      session = await sessions.open(user, password, { term, cols, rows });
    } catch (thrown) {
      const fault = toFault(thrown);
      stats.loginsRefused++;
      log.warn({ user, err: fault }, 'no login on the device');
      return this.#refuse(id, fault.message);
    }
    if (this.#over) return session.hangUp();
    stats.logins++;
    log.info({ user }, 'logged in on the device');
    this.#session = session;
    this.#sessionState = 'open';
    const first = behaviour.connectResponse === 'after-login' ? await this.#firstOutput(session) : [];
    if (this.#over) return;
    if (behaviour.connectResponse === 'after-login') {
      if (first.length > 0 && dice.roll('bannerTwiceRate', behaviour.bannerTwiceRate)) {
        for (const data of first) this.#send({ operation: 'command_response', requestId: id, data });
      }
      const data = Buffer.from(Buffer.concat(first).toString('utf8'));
      this.#send({ operation: 'connect_response', requestId: id, data });
    }
    session.onChange = () => {
      this.output.pump();
      this.#wake();
    };
    this.output.attach(session);
    if (behaviour.windowBlocks) await this.output.windowClosed();
  }

  #refuse(id: string, reason: string): void {
    const { wire, behaviour } = this.#options;
    if (behaviour.loginFailure === 'close-1011') return wire.close(1011, reason);
    this.#send({ operation: 'disconnect', requestId: id, status: STATUS_LOGIN_FAILED, message: C_FAILURE_TEXT });
  }

  async #firstOutput(session: Session): Promise<Buffer[]> {
    const { behaviour } = this.#options;
    await delay(behaviour.firstOutputMs);
    const chunks: Buffer[] = [];
    for (let bytes = 0; bytes < FIRST_OUTPUT_BYTES; ) {
      const chunk = session.read(Math.min(behaviour.readBytes, FIRST_OUTPUT_BYTES - bytes));
      if (chunk === undefined) break;
      chunks.push(chunk);
      bytes += chunk.length;
    }
    return chunks;
  }

  async #command({ id, text }: Extract<Inbound, { kind: 'command' }>): Promise<void> {
    const { wire, behaviour, dice, stats } = this.#options;
    if (this.#sessionState === 'none') return;
    stats.commands++;
    this.#lastId = id;
    this.output.nudge();
    if (this.#willHang && dice.roll('deadlockCrashRate', behaviour.deadlockCrashRate)) {
      return this.crash('a command after the end of the shell');
    }
    if (this.#sessionState === 'ended' && behaviour.typingAfterEndCloses) return wire.close(1011, CSHARP_WRITE_TEXT);
    if (this.#dropCommands > 0) {
      this.#dropCommands--;
      return countFault(stats, 'drop-next-command');
    }
    if (this.#flood.overflows(Buffer.byteLength(text), stats.outputFrames)) {
      countFault(stats, 'floodFrames');
      return this.crash('a flood of commands');
    }
    if (this.#strikes('commandLossRate')) return;
    if (this.#strikes('crashRate')) return this.crash('a command');
    if (this.#strikes('stallRate')) this.output.stall('until-command');
    if (this.#strikes('stallForGoodRate')) this.output.stall('for-good');
    const dies = Buffer.byteLength(text) >= behaviour.silentDeathMinBytes && this.#strikes('silentDeathRate');
    // The packet that broke the SSH stream may have carried its text or not.
    if (!dies || dice.pick('silentDeathTypes', 2) === 1) await this.#type(text);
    if (dies) return this.dieSilently();
    this.output.openWindow();
    if (behaviour.windowBlocks) await this.output.windowClosed();
  }

  #strikes(name: 'commandLossRate' | 'crashRate' | 'hangRate' | 'stallRate' | 'stallForGoodRate' | 'silentDeathRate'): boolean {
    return this.#options.dice.roll(name, this.#options.behaviour[name]);
  }

  async #type(text: string): Promise<void> {
    const { behaviour, stats } = this.#options;
    const session = this.#session;
    if (session === undefined || text === '') return;
    stats.bytesTyped += Buffer.byteLength(text);
    session.type(text);
    if (session.untaken > TYPED_BOUND_BYTES) return this.killSession();
    const hangs = this.#hangNext || (session.carried === true && this.#strikes('hangRate'));
    this.#hangNext = false;
    while (hangs && session === this.#session && session.state === 'open') {
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
    while (behaviour.typingBlocks && session.untaken > BLOCKING_BYTES && session === this.#session && session.state === 'open') {
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  #sessionEnded(how: 'exited' | 'lost'): void {
    const { behaviour, dice, stats, log } = this.#options;
    this.#session = undefined;
    this.#sessionState = 'ended';
    this.#wake();
    stats.shellsEnded++;
    log.info({ how }, 'the session on the device ended');
    if (this.#over) return;
    const noticed = how === 'exited' ? dice.roll('exitNoticeRate', behaviour.exitNoticeRate) : behaviour.lossNotice;
    if (noticed) {
      this.#send({ operation: 'disconnect', requestId: C_EXIT_ID, status: STATUS_SHELL_ENDED, message: C_EXIT_TEXT });
    }
    if (how === 'exited' && behaviour.exitDeadlocks) this.#willHang = true;
  }

  /** Lets go of the session without a word to anybody. */
  #dropSession(): void {
    const session = this.#session;
    this.#session = undefined;
    this.#sessionState = 'none';
    this.output.detach();
    this.#wake();
    if (session === undefined) return;
    session.onChange = () => {};
    session.hangUp();
  }

  #hang(): Promise<void> {
    countFault(this.#options.stats, 'exitDeadlocks');
    this.#options.log.warn('the device agent hangs');
    this.#hung = true;
    clearInterval(this.#keepalive);
    return new Promise(() => {}); // the inbox waits for ever
  }

  #keepAlive(): void {
    const { wire, behaviour, log } = this.#options;
    if (this.#thaw !== undefined) return;
    if (behaviour.keepalive === 'ping') wire.ping();
    else wire.pong();
    if (behaviour.deadPeerMs > 0 && performance.now() - wire.lastHeard > behaviour.deadPeerMs) {
      log.warn('the platform is silent: the tunnel is opened anew');
      this.#end({ kind: 'closed', code: 1006, reason: 'silence' });
    }
  }

  #copied(id: string): string {
    const { requestIdBytes } = this.#options.behaviour;
    return requestIdBytes === 0 ? id : id.slice(0, requestIdBytes);
  }

  #send(frame: Frame): void {
    this.#options.wire.send(encodeUnchecked(frame, this.#options.behaviour.json));
  }
}
