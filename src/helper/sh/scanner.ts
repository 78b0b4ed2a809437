import { parseRecord, RECORD_LIMIT_CHARS, type ShRecord } from './wire.js';
import { verifyChecksum } from './checksum.js';

const SEMICOLON = 0x3b;

/**
 * Finds the records in what the terminal printed, cut anywhere and with foreign text anywhere. A
 * record is what stands between the last `:` and a `;`; whatever does not verify is dropped. Carriage
 * returns are dropped first: a terminal that could not be made raw puts them before each LF.
 */
export class RecordScanner {
  readonly #tag: string;
  readonly #take: (record: ShRecord, chars: number) => void;
  #parts: Buffer[] = [];
  #held = 0;
  /** Pieces that bore the tag but did not verify: loss on the way. */
  damaged = 0;

  constructor(tag: string, take: (record: ShRecord, chars: number) => void) {
    this.#tag = `${tag} `;
    this.#take = take;
  }

  feed(bytes: Buffer): void {
    let from = 0;
    for (let at = bytes.indexOf(SEMICOLON); at >= 0; at = bytes.indexOf(SEMICOLON, from)) {
      this.#hold(bytes.subarray(from, at));
      from = at + 1;
      this.#piece();
    }
    this.#hold(bytes.subarray(from));
  }

  #hold(part: Buffer): void {
    if (part.length === 0) return;
    // Copied: the caller's chunk may be a slice of a much larger frame.
    this.#parts.push(Buffer.from(part));
    this.#held += part.length;
    if (this.#held > RECORD_LIMIT_CHARS) this.#reset();
  }

  #reset(): void {
    this.#parts = [];
    this.#held = 0;
  }

  #piece(): void {
    const text = Buffer.concat(this.#parts).toString('latin1');
    this.#reset();
    const start = text.lastIndexOf(':');
    const piece = text.slice(start + 1).replaceAll('\r', '');
    if (start >= 0 && piece.startsWith(this.#tag)) {
      const record = parseRecord(piece.slice(this.#tag.length), verifyChecksum);
      if (record !== undefined) {
        this.#take(record, piece.length);
        return;
      }
    }
    if (text.includes(this.#tag)) this.damaged += 1;
  }
}
