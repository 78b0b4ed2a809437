import { randomBytes } from 'node:crypto';
import { Fault } from '../../base/errors.js';
import type { Channel, ChannelEvents } from '../../mux/device.js';
import { quote } from './script.js';
import { SftpError } from './sftp-errors.js';
import { BadPacket } from './sftp-wire.js';

/** Starts a script on the device as a channel of its own. */
export type RunScript = (script: Buffer, events: ChannelEvents) => Channel;

/** What one request to the worker came to. */
export interface Answer {
  status: number;
  output: Buffer;
}

/** Longest answer kept: a directory of some hundred thousand entries. */
const ANSWER_LIMIT_BYTES = 64 * 1024 * 1024;

/** The last request may take so long after the client has gone, in milliseconds. */
const END_MS = 30_000;

/** Pieces of an answer before they are joined: a device may send it byte by byte. */
const PIECES_LIMIT = 1024;

/** Longest status behind the mark. */
const STATUS_CHARS = 8;

/** A path as one word of a shell line, without a leading dash. */
export function pathWord(path: Buffer): Buffer {
  if (path.length === 0) return word(Buffer.from('.'));
  return word(path[0] === 0x2d ? Buffer.concat([Buffer.from('./'), path]) : path);
}

/** Any bytes as one word on one line: line ends travel in a variable that is set before every script. */
export function word(bytes: Buffer): Buffer {
  // A shell drops it, and another file would be meant.
  if (bytes.includes(0)) throw new BadPacket('A name holds a NUL.');
  if (!bytes.includes(0x0a)) return quote(bytes);
  const parts = bytes.toString('latin1').split('\n').map((part) => quote(Buffer.from(part, 'latin1')).toString('latin1'));
  return Buffer.from(parts.join('"$N"'), 'latin1');
}

/**
 * Shell code that fails with the reason where there is nothing of this name. Not ls alone: BusyBox's
 * follows a link that it is given, be it to nowhere.
 */
export function mustExist(name: Buffer, follow: boolean): Buffer {
  return follow ? shell`{ [ -e ${name} ] || ls -dL ${name} >/dev/null; }` : shell`{ [ -e ${name} ] || [ -L ${name} ] || ls -d ${name} >/dev/null; }`;
}

/** Concatenates shell text and words. */
export function shell(strings: TemplateStringsArray, ...words: readonly (Buffer | string | number)[]): Buffer {
  const parts: Buffer[] = [];
  for (const [index, text] of strings.entries()) {
    parts.push(Buffer.from(text));
    const word = words[index];
    if (word !== undefined) parts.push(Buffer.isBuffer(word) ? word : Buffer.from(String(word)));
  }
  return Buffer.concat(parts);
}

/**
 * One sh on the device that does file operations line by line for as long as the SFTP session lasts,
 * so that each costs the few processes it needs and not a whole channel.
 */
export class SftpWorker {
  readonly #channel: Channel;
  readonly #token = randomBytes(12).toString('hex');
  readonly #waiting: { resolve: (answer: Answer) => void; reject: (fault: Fault) => void }[] = [];
  readonly #mark = Buffer.from(`\n${this.#token} `);
  /** The answer so far, the pieces of it that came last, and its last bytes. */
  #parts: Buffer[] = [];
  #pieces: Buffer[] = [];
  #bytes = 0;
  #tail: Buffer = Buffer.alloc(0);
  #over: Fault | undefined;
  #hangUp: NodeJS.Timeout | undefined;
  #drained: (() => void)[] = [];
  #blocked = false;

  constructor(run: RunScript, ended: (fault: Fault | undefined) => void) {
    // A line without our word is no request: should bytes of a file ever be read as lines, it ends here.
    const loop = `while IFS= read -r l; do case $l in "${this.#token} "*) ;; *) exit 1 ;; esac; eval "\${l#* }"; printf "\\n${this.#token} %s\\n" $?; done`;
    const script = `umask\nprintf "\\n${this.#token} %s\\n" 0\n${loop}\nexit\n`;
    this.#channel = run(Buffer.from(script), {
      opened: () => undefined,
      refused: (reason) => {
        this.#end(new Fault('UNSUPPORTED', reason.message), ended);
      },
      data: (stream, bytes) => {
        if (stream === 'out') this.#take(bytes);
        this.#channel.consumed(bytes.length);
      },
      drain: () => {
        this.#blocked = false;
        for (const wake of this.#drained.splice(0)) wake();
      },
      outcome: () => undefined,
      eof: () => undefined,
      closed: (fault) => {
        this.#end(fault, ended);
      },
    });
  }

  /** What the worker says before the first request: the umask. */
  async greeting(): Promise<Answer> {
    return await this.#expect();
  }

  /** Runs one line of shell code; `input` follows it on the worker's standard input. */
  async ask(line: Buffer, input?: Buffer): Promise<Answer> {
    if (this.#over !== undefined) throw this.#over;
    if (line.includes(0x0a)) throw new Fault('INTERNAL', 'A request to the file worker must be one line.');
    const answer = this.#expect();
    this.#blocked = !this.#channel.write(Buffer.concat([Buffer.from(`${this.#token} `), line, Buffer.from('\n'), input ?? Buffer.alloc(0)]));
    return await answer;
  }

  /** What one line prints that reads no input; a status other than 0 becomes an SftpError. */
  async run(line: Buffer): Promise<Buffer> {
    await this.room();
    const answer = await this.ask(shell`( ${line} ) </dev/null 2>&1`);
    if (answer.status !== 0) throw SftpError.of(answer.output);
    return answer.output;
  }

  /** The same with the bytes that it prints, and its complaints only when it fails. */
  async output(line: Buffer): Promise<Buffer> {
    await this.room();
    const answer = await this.ask(shell`( ${line} ) </dev/null 2>/dev/null || { ( ${line} ) </dev/null 2>&1 >/dev/null; false; }`);
    if (answer.status !== 0) throw SftpError.of(answer.output);
    return answer.output;
  }

  /** Resolves when more may be asked without heaping up. */
  async room(): Promise<void> {
    if (this.#blocked) await new Promise<void>((resolve) => this.#drained.push(resolve));
  }

  /** No more requests. One that never comes to an end (a FIFO that nobody else opens) is hung up on. */
  end(): void {
    this.#channel.end();
    if (this.#over !== undefined) return;
    this.#hangUp = setTimeout(() => {
      this.#channel.close();
    }, END_MS);
    this.#hangUp.unref();
  }

  #expect(): Promise<Answer> {
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  #end(fault: Fault | undefined, ended: (fault: Fault | undefined) => void): void {
    if (this.#over !== undefined) return;
    clearTimeout(this.#hangUp);
    this.#over = fault ?? new Fault('DEVICE_LOST', 'The file worker on the device has ended.');
    for (const waiting of this.#waiting.splice(0)) waiting.reject(this.#over);
    for (const wake of this.#drained.splice(0)) wake();
    ended(fault);
  }

  /** Joined as a whole only when an answer is: a long one comes in thousands of pieces. */
  #take(bytes: Buffer): void {
    this.#pieces.push(bytes);
    if (this.#pieces.length > PIECES_LIMIT) this.#parts.push(Buffer.concat(this.#pieces.splice(0)));
    this.#bytes += bytes.length;
    // The mark may straddle two pieces.
    const recent = Buffer.concat([this.#tail, bytes]);
    this.#tail = recent.subarray(-(this.#mark.length + STATUS_CHARS));
    if (this.#endOf(recent) === undefined) {
      if (this.#bytes > ANSWER_LIMIT_BYTES) this.#channel.close();
      return;
    }
    let text = Buffer.concat([...this.#parts, ...this.#pieces.splice(0)]);
    for (let found = this.#endOf(text); found !== undefined; found = this.#endOf(text)) {
      const status = Number(text.toString('latin1', found.at + this.#mark.length, found.end));
      this.#waiting.shift()?.resolve({ status, output: text.subarray(0, found.at) });
      text = text.subarray(found.end + 1);
    }
    this.#parts = [text];
    this.#bytes = text.length;
    this.#tail = text.subarray(-(this.#mark.length + STATUS_CHARS));
  }

  /** Where the first whole mark stands: its begin, and the line end behind its status. */
  #endOf(text: Buffer): { at: number; end: number } | undefined {
    const at = text.indexOf(this.#mark);
    const end = at < 0 ? -1 : text.indexOf(0x0a, at + this.#mark.length);
    return end < 0 ? undefined : { at, end };
  }
}
