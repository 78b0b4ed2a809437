/**
 * From the shell to the tunnel: when output is read, in which pieces, what becomes of each piece, and
 * which frames never arrive.
 */
import { StringDecoder } from 'node:string_decoder';
import { encodeUnchecked } from '../protocol/encode.js';
import type { Behaviour } from './behaviour.js';
import type { Dice } from './dice.js';
import type { Session } from './session.js';
import { countFault, type AgentStats } from './stats.js';
import type { Wire } from './wire.js';

/** Chunks sent before other work gets its turn. */
const CHUNKS_PER_TURN = 64;
/** A frame that was to change places goes out alone after this when no other follows. */
const REORDER_MS = 50;
/** Most bytes of heap garbage behind a full chunk. */
const GARBAGE_BYTES = 16;

/** What can befall the next output frame by injection. */
export type NextOutput = 'drop' | 'garble' | 'duplicate';

export interface OutputOptions {
  behaviour: Behaviour;
  dice: Dice;
  stats: AgentStats;
  wire: Wire;
  /** The request id for a frame sent now. */
  id: () => string;
  /** The session ended and its output was all read. */
  ended: (state: 'exited' | 'lost') => void;
}

export class Output {
  readonly #options: OutputOptions;
  #session: Session | undefined;
  #decoder = new StringDecoder('utf8');
  #stalled: 'no' | 'until-command' | 'for-good' = 'no';
  #frozen = false;
  #pumping = false;
  #windowOpen = false;
  #windowTimer: NodeJS.Timeout | undefined;
  #windowWaiters: (() => void)[] = [];
  #late: Buffer | undefined;
  #lateTimer: NodeJS.Timeout | undefined;
  readonly #next: NextOutput[] = [];

  constructor(options: OutputOptions) {
    this.#options = options;
    options.wire.onDrain = () => this.pump();
  }

  /** Output comes from this session from now on; a stall ends with the session that had it. */
  attach(session: Session): void {
    this.#session = session;
    this.#decoder = new StringDecoder('utf8');
    this.#stalled = 'no';
    this.openWindow();
  }

  detach(): void {
    this.#session = undefined;
    this.#closeWindow();
  }

  /** The moment after a connect or a command, in which the old generations read. */
  openWindow(): void {
    if (this.#options.behaviour.readWindowMs > 0) {
      this.#windowOpen = true;
      this.#restartWindow();
    }
    this.pump();
  }

  /** Resolves when no window is open. */
  windowClosed(): Promise<void> {
    if (!this.#windowOpen) return Promise.resolve();
    return new Promise((resolve) => this.#windowWaiters.push(resolve));
  }

  stall(how: 'until-command' | 'for-good'): void {
    this.#stalled = how;
  }

  /** A command arrived: the kind of stall that waits for one is over. */
  nudge(): void {
    if (this.#stalled === 'until-command') this.#stalled = 'no';
  }

  freeze(frozen: boolean): void {
    this.#frozen = frozen;
    this.pump();
  }

  befallNext(what: NextOutput): void {
    this.#next.push(what);
  }

  stop(): void {
    this.detach();
    clearTimeout(this.#lateTimer);
    this.#late = undefined;
  }

  /** Sends what may be sent now. */
  pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    for (let count = 0; this.#mayRead(); count++) {
      if (count === CHUNKS_PER_TURN) {
        setImmediate(() => {
          this.#pumping = false;
          this.pump();
        });
        return;
      }
      const session = this.#session;
      const chunk = session?.read(this.#options.behaviour.readBytes);
      if (chunk !== undefined) {
        this.#restartWindow();
        this.#send(chunk);
        continue;
      }
      if (session !== undefined && session.state !== 'open') {
        this.detach();
        this.#options.ended(session.state);
      }
      break;
    }
    this.#pumping = false;
  }

  #mayRead(): boolean {
    const { behaviour, wire } = this.#options;
    if (this.#session === undefined || this.#frozen || this.#stalled !== 'no') return false;
    if (behaviour.readWindowMs > 0 && !this.#windowOpen) return false;
    return behaviour.laggingReceiver === 'drop' || wire.buffered <= behaviour.sendBufferBytes;
  }

  #restartWindow(): void {
    if (!this.#windowOpen) return;
    clearTimeout(this.#windowTimer);
    this.#windowTimer = setTimeout(() => this.#closeWindow(), this.#options.behaviour.readWindowMs);
  }

  #closeWindow(): void {
    clearTimeout(this.#windowTimer);
    this.#windowOpen = false;
    for (const waiter of this.#windowWaiters.splice(0)) waiter();
  }

  #send(chunk: Buffer): void {
    const { behaviour, stats, dice, id } = this.#options;
    const data = this.#text(this.#spoiled(chunk));
    if (data === undefined) return;
    const injected = this.#next.shift();
    if (injected === 'drop') return this.#lose('drop-next-output');
    if (injected === 'garble') garble(data);
    const frame = encodeUnchecked({ operation: 'command_response', requestId: id(), data }, behaviour.json);
    if (behaviour.frameBufferBytes > 0 && frame.length > behaviour.frameBufferBytes) return this.#lose('frameBufferBytes');
    if (dice.roll('outputLossRate', behaviour.outputLossRate)) {
      stats.outputFramesLost++;
      return;
    }
    stats.bytesShown += chunk.length;
    this.#transmit(frame);
    if (injected === 'duplicate') this.#transmit(frame);
  }

  /** What the C agent's string functions make of a chunk of bytes. */
  #spoiled(chunk: Buffer): Buffer {
    const { behaviour, dice, stats } = this.#options;
    const nul = behaviour.nulCutsChunk ? chunk.indexOf(0) : -1;
    if (nul !== -1) {
      countFault(stats, 'nulCutsChunk');
      return chunk.subarray(0, nul);
    }
    if (chunk.length < behaviour.readBytes || !dice.roll('trailingGarbageRate', behaviour.trailingGarbageRate)) return chunk;
    const garbage = Array.from({ length: 1 + dice.pick('garbage', GARBAGE_BYTES) }, () => 1 + dice.pick('garbage', 255));
    return Buffer.concat([chunk, Buffer.from(garbage)]);
  }

  /** The data member; undefined when there is nothing to send yet. */
  #text(chunk: Buffer): Buffer | undefined {
    switch (this.#options.behaviour.outputText) {
      case 'raw':
        return chunk;
      case 'per-chunk':
        return Buffer.from(chunk.toString('utf8'));
      case 'whole': {
        const text = this.#decoder.write(chunk);
        return text === '' ? undefined : Buffer.from(text);
      }
    }
  }

  #transmit(frame: Buffer): void {
    const { behaviour, dice } = this.#options;
    if (this.#late !== undefined) {
      const late = this.#late;
      this.#flushLate(undefined);
      this.#put(frame);
      this.#put(late);
    } else if (dice.roll('outputReorderRate', behaviour.outputReorderRate)) {
      this.#late = frame;
      this.#lateTimer = setTimeout(() => this.#flushLate(frame), REORDER_MS);
    } else {
      this.#put(frame);
    }
  }

  #flushLate(frame: Buffer | undefined): void {
    clearTimeout(this.#lateTimer);
    this.#late = undefined;
    if (frame !== undefined) this.#put(frame);
  }

  #put(frame: Buffer): void {
    const { behaviour, wire, stats } = this.#options;
    // The agent's socket does not block: a frame that it does not take is gone.
    if (behaviour.laggingReceiver === 'drop' && wire.buffered > behaviour.sendBufferBytes) return this.#lose('laggingReceiver');
    stats.outputFrames++;
    wire.send(frame);
  }

  #lose(name: string): void {
    this.#options.stats.outputFramesLost++;
    countFault(this.#options.stats, name);
  }
}

/** One byte in the middle of the text becomes another letter. */
function garble(data: Buffer): void {
  const at = data.length >> 1;
  if (data.length > 0) data[at] = data[at] === 0x41 ? 0x42 : 0x41;
}
