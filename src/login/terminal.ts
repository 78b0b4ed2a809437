/** A login's terminal: the text stream that the layers above write to and read from. */
import { LastWord } from '../base/last-word.js';
import type { Carrier, Manners } from '../link/carrier.js';
import { MAX_COMMAND_DATA, splitCommandData } from '../protocol/command.js';
import type { AgentKind } from './agent-kind.js';
import type { Pacer } from './pacer.js';

/** Output kept for the layer above between login and its first handler. */
const EARLY_TEXT_BYTES = 64 * 1024;
/** Pieces of it before they are joined. */
const EARLY_CHUNKS = 256;
/** Characters that take more than one byte in a frame. */
const ESCAPED = /[^\x20-\x7e]|["\\]/;

/**
 * Output kept until somebody takes it. Copied, because `data` may be a view of a whole frame, and
 * bounded, because a platform may send it without end.
 */
export class EarlyText {
  #chunks: Buffer[] = [];
  #bytes = 0;
  /** Something came that was no late packet of a session before. */
  isSign = false;

  push(data: Buffer): void {
    if (data.length === 0) return;
    if (!isPacketText(data)) this.isSign = true;
    const room = EARLY_TEXT_BYTES - this.#bytes;
    if (room <= 0) return;
    this.#chunks.push(Buffer.from(data.subarray(0, room)));
    this.#bytes += Math.min(room, data.length);
    if (this.#chunks.length > EARLY_CHUNKS) this.#chunks = [Buffer.concat(this.#chunks)];
  }

  clear(): void {
    this.#chunks = [];
    this.#bytes = 0;
    this.isSign = false;
  }

  take(): Buffer[] {
    const chunks = this.#chunks;
    this.clear();
    return chunks;
  }
}

/** A login's text stream: one `command` frame per write, one request id for its life. */
export class TerminalCarrier implements Carrier {
  readonly requestId: string;
  readonly #pacer: Pacer;
  readonly #agent: AgentKind;
  readonly #early: EarlyText;
  #writtenAt = performance.now();
  #onText: ((bytes: Buffer) => void) | undefined;
  readonly #end = new LastWord<Error>();

  constructor(pacer: Pacer, agent: AgentKind, requestId: string, early: EarlyText) {
    this.#pacer = pacer;
    this.#agent = agent;
    this.requestId = requestId;
    this.#early = early;
  }

  get maxWrite(): number {
    return Math.min(MAX_COMMAND_DATA, this.#agent.manners.frameChars);
  }

  get buffered(): number {
    return this.#pacer.buffered;
  }

  get manners(): Manners {
    return this.#agent.manners;
  }

  set onText(handler: (bytes: Buffer) => void) {
    this.#onText = handler;
    for (const bytes of this.#early.take()) handler(bytes);
  }

  get onText(): (bytes: Buffer) => void {
    return this.#onText ?? (() => undefined);
  }

  // The end may come in the same segment as the login.
  set onLost(handler: (cause: Error) => void) {
    this.#end.listener = handler;
  }

  get onLost(): (cause: Error) => void {
    return this.#end.listener;
  }

  write(text: string): void {
    if (this.#end.said) return;
    this.#writtenAt = performance.now();
    // Escapes and UTF-8 take more room than characters; link text has neither.
    const pieces = ESCAPED.test(text) ? splitCommandData(text) : [text];
    for (const data of pieces) this.#pacer.send({ operation: 'command', requestId: this.requestId, data });
  }

  deliver(bytes: Buffer): void {
    if (this.#end.said || bytes.length === 0) return;
    this.#agent.heard(performance.now() - this.#writtenAt);
    if (this.#onText !== undefined) this.#onText(bytes);
    else this.#early.push(bytes);
  }

  lose(cause: Error): void {
    this.#end.say(cause);
  }
}

/** Late packets of the session before: no sign that the new one lives. */
function isPacketText(bytes: Buffer): boolean {
  return /^[A-Za-z0-9+/=:;]*$/.test(bytes.toString('latin1'));
}
