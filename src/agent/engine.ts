/**
 * One life of an agent on one WebSocket: takes frames, and does what each asks for or fails at it. All
 * that differs between agents comes from the behaviour table; `ended` tells how the life ended.
 */
import { toFault } from '../base/errors.js';
import type { Log } from '../base/log.js';
import { peerWords } from '../base/words.js';
import { CLOSE_NORMAL } from '../protocol/constants.js';
import type { Behaviour } from './behaviour.js';
import type { Dice } from './dice.js';
import { Flood } from './flood.js';
import { HeldSession } from './held-session.js';
import { Inbox, type Item } from './inbox.js';
import { readMessage, type Inbound } from './inbound.js';
import { Replies } from './replies.js';
import type { Session, SessionSource } from './session.js';
import { countFault, type AgentStats } from './stats.js';
import type { Wire } from './wire.js';

export type LifeEnd = { kind: 'closed'; code: number; reason: string } | { kind: 'crashed'; why: string };

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
  readonly session: HeldSession;
  readonly #options: EngineOptions;
  readonly #inbox: Inbox;
  readonly #replies: Replies;
  readonly #flood: Flood;
  readonly #keepalive: NodeJS.Timeout;
  #finish: (end: LifeEnd) => void = () => {};
  #over = false;
  #connectId = '';
  #lastId = '';
  #willHang = false;
  #hung = false;
  #thaw: (() => void) | undefined;
  #frozen: Promise<void> = Promise.resolve();
  #dropCommands = 0;

  constructor(options: EngineOptions) {
    const { wire, behaviour, dice, stats } = options;
    this.#options = options;
    this.ended = new Promise((resolve) => (this.#finish = resolve));
    this.#flood = new Flood(behaviour);
    this.#replies = new Replies(wire, behaviour);
    this.session = new HeldSession({
      behaviour,
      dice,
      stats,
      wire,
      outputId: () => this.#copied(behaviour.outputId === 'connect' ? this.#connectId : this.#lastId),
      ended: (how) => this.#sessionEnded(how),
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

  /** The whole process stands still, pongs included, until `thaw`. */
  freeze(): void {
    if (this.#thaw !== undefined) return;
    this.#frozen = new Promise((resolve) => (this.#thaw = resolve));
    this.session.output.freeze(true);
    this.#options.wire.pause();
  }

  thaw(): void {
    if (this.#thaw === undefined) return;
    this.#thaw();
    this.#thaw = undefined;
    this.session.output.freeze(false);
    this.#options.wire.resume();
  }

  dropNextCommand(): void {
    this.#dropCommands++;
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
    this.session.drop();
    this.session.output.stop();
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
        if (behaviour.appDisconnect === 'end-session') this.session.drop();
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
    if (this.session.state !== 'none' && behaviour.secondConnect === 'ignore') return;
    this.#connectId = id;
    this.#lastId = id;
    if (behaviour.connectResponse === 'before-login') this.#replies.connected(id);
    if (this.#willHang) return this.#hang();
    if (this.session.state === 'dead' && dice.roll('recoveryCrashRate', behaviour.recoveryCrashRate)) {
      return this.crash('a connect after a silent death');
    }
    this.session.drop();
    let session: Session;
    try {
      const { term, cols, rows } = behaviour;
      session = await sessions.open(user, password, { term, cols, rows });
    } catch (thrown) {
      const fault = toFault(thrown);
      stats.loginsRefused++;
      log.warn({ user: peerWords(user), err: fault }, 'no login on the device');
      return this.#replies.loginFailed(id, fault.message);
    }
    if (this.#over) return session.hangUp();
    stats.logins++;
    log.info({ user: peerWords(user) }, 'logged in on the device');
    this.session.take(session);
    if (behaviour.connectResponse === 'after-login') {
      const first = await this.session.firstOutput(session);
      if (this.#over) return;
      const twice = first.length > 0 && dice.roll('bannerTwiceRate', behaviour.bannerTwiceRate);
      for (const data of twice ? first : []) this.#replies.early(id, data);
      this.#replies.connected(id, first);
    }
    this.session.show(session);
    if (behaviour.windowBlocks) await this.session.output.windowClosed();
  }

  async #command({ id, text }: Extract<Inbound, { kind: 'command' }>): Promise<void> {
    const { behaviour, dice, stats } = this.#options;
    if (this.session.state === 'none') return;
    stats.commands++;
    this.#lastId = id;
    this.session.output.nudge();
    if (this.#willHang && dice.roll('deadlockCrashRate', behaviour.deadlockCrashRate)) {
      return this.crash('a command after the end of the shell');
    }
    if (this.session.state === 'ended' && behaviour.typingAfterEndCloses) return this.#replies.typingFailed();
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
    if (this.#strikes('stallRate')) this.session.output.stall('until-command');
    if (this.#strikes('stallForGoodRate')) this.session.output.stall('for-good');
    const dies = Buffer.byteLength(text) >= behaviour.silentDeathMinBytes && this.#strikes('silentDeathRate');
    // The packet that broke the SSH stream may have carried its text or not.
    if (!dies || dice.pick('silentDeathTypes', 2) === 1) await this.session.type(text);
    if (dies) return this.session.dieSilently();
    this.session.output.openWindow();
    if (behaviour.windowBlocks) await this.session.output.windowClosed();
  }

  #strikes(name: 'commandLossRate' | 'crashRate' | 'stallRate' | 'stallForGoodRate' | 'silentDeathRate'): boolean {
    return this.#options.dice.roll(name, this.#options.behaviour[name]);
  }

  #sessionEnded(how: 'exited' | 'lost'): void {
    const { behaviour, dice, stats, log } = this.#options;
    stats.shellsEnded++;
    log.info({ how }, 'the session on the device ended');
    if (this.#over) return;
    const noticed = how === 'exited' ? dice.roll('exitNoticeRate', behaviour.exitNoticeRate) : behaviour.lossNotice;
    if (noticed) this.#replies.shellEnded();
    if (how === 'exited' && behaviour.exitDeadlocks) this.#willHang = true;
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
}
