import type { Channel, ChannelEvents, PtyRequest, WindowSize } from '../../mux/device.js';

/** Longest line that can be edited, in bytes (MAX_CANON of Linux); what goes beyond is answered with a bell. */
export const LINE_BYTES = 4095;
/** Echo the client has not taken before its input has to wait, in bytes. */
const ECHO_BYTES = 64 * 1024;
/** RFC 4254 section 8: "255 if none" for the special characters. */
const NO_CHARACTER = 255;

/** The modes of RFC 4254 section 8 that make a difference here, with what a fresh Linux terminal has. */
const MODES = {
  intr: [1, 3], quit: [2, 0x1c], erase: [3, 0x7f], kill: [4, 0x15], eof: [5, 4], werase: [14, 0x17],
  inlcr: [34, 0], igncr: [35, 0], icrnl: [36, 1], iutf8: [42, 1], isig: [50, 1], icanon: [51, 1], echo: [53, 1], opost: [70, 1], onlcr: [72, 1],
} as const;

const NL = 0x0a;
const CR = 0x0d;
const SPACE = 0x20;
const DELETE = 0x7f;
const BELL = Buffer.from('\x07');
const ERASE_CELL = '\b \b';
/** UTF-8's second and later bytes of a character are 10xxxxxx. */
const isContinuation = (byte: number): boolean => (byte & 0xc0) === 0x80;

/**
 * A terminal for devices that have no program which makes one: the line discipline of a Linux terminal
 * on this side, before a command whose standard streams are pipes. Editing a line, echo, line ends and
 * the keys that send signals work; isatty() does not, nor what follows from it: no job control, no
 * full-screen programs, and a shell reads ahead, so that input typed before a program runs is the shell's.
 */
export class CookedTerminal implements Channel {
  readonly #channel: Channel;
  readonly #client: ChannelEvents;
  readonly #modes: Readonly<Record<keyof typeof MODES, number>>;
  #line: number[] = [];
  #ended = false;
  /** What the client was sent and has not consumed: its bytes, and what of them the device gets credit for. */
  readonly #unconsumed: { sent: number; credit: number }[] = [];
  #echoed = 0;
  #deviceFull = false;
  #waiting = false;

  /** `run` starts the command with the given events; its two output streams are one already. */
  constructor(pty: PtyRequest, client: ChannelEvents, run: (events: ChannelEvents) => Channel) {
    this.#client = client;
    const given = new Map(pty.modes);
    const mode = (name: keyof typeof MODES): number => given.get(MODES[name][0]) ?? MODES[name][1];
    this.#modes = Object.fromEntries(Object.keys(MODES).map((name) => [name, mode(name as keyof typeof MODES)])) as Record<keyof typeof MODES, number>;
    this.#channel = run({
      opened: () => client.opened(),
      refused: (reason) => client.refused(reason),
      data: (_stream, bytes) => this.#show(bytes, bytes.length),
      drain: () => {
        this.#deviceFull = false;
        this.#maybeDrain();
      },
      outcome: (outcome) => client.outcome(outcome),
      eof: () => client.eof(),
      closed: (fault) => client.closed(fault),
    });
  }

  write(bytes: Buffer): boolean {
    const ready: number[] = [];
    const echo: Buffer[] = [];
    for (const byte of bytes) this.#key(byte, ready, echo);
    this.#send(ready);
    const shown = Buffer.concat(echo);
    if (shown.length > 0) this.#show(shown, 0);
    this.#waiting = this.#deviceFull || this.#echoed > ECHO_BYTES;
    return !this.#waiting;
  }

  /** The client's end of input is no key: a terminal stays as it is. */
  end(): void {}

  consumed(bytes: number): void {
    let left = bytes;
    let credit = 0;
    for (let first = this.#unconsumed[0]; first !== undefined && left > 0; first = this.#unconsumed[0]) {
      const part = Math.min(left, first.sent);
      first.sent -= part;
      left -= part;
      if (first.credit === 0) this.#echoed -= part;
      if (first.sent > 0) break;
      credit += first.credit;
      this.#unconsumed.shift();
    }
    if (credit > 0) this.#channel.consumed(credit);
    this.#maybeDrain();
  }

  closeOutput(): void {
    this.#channel.closeOutput();
  }

  /** There is nobody on the device to tell. */
  resize(_size: WindowSize): void {}

  signal(name: string): void {
    this.#channel.signal(name);
  }

  close(): void {
    this.#channel.close();
  }

  /** One byte from the client: what the program gets goes to `ready`, what the client sees to `echo`. */
  #key(typed: number, ready: number[], echo: Buffer[]): void {
    const modes = this.#modes;
    if (this.#ended || (typed === CR && modes.igncr !== 0)) return;
    let byte = typed;
    if (typed === CR && modes.icrnl !== 0) byte = NL;
    else if (typed === NL && modes.inlcr !== 0) byte = CR;
    const is = (character: number): boolean => byte === character && character !== NO_CHARACTER;
    const show = (text: Buffer): void => {
      if (modes.echo !== 0) echo.push(text);
    };
    if (modes.isig !== 0 && (is(modes.intr) || is(modes.quit))) {
      this.#line = [];
      show(visible(byte));
      this.#send(ready.splice(0));
      this.#channel.signal(is(modes.intr) ? 'INT' : 'QUIT');
    } else if (modes.icanon === 0) {
      ready.push(byte);
      show(visible(byte));
    } else if (is(modes.erase)) show(this.#erase(1));
    else if (is(modes.werase)) show(this.#erase(this.#word()));
    else if (is(modes.kill)) show(this.#erase(this.#line.length));
    else if (is(modes.eof)) this.#endOfFile(ready);
    else if (byte !== NL && this.#line.length >= LINE_BYTES) show(BELL);
    else {
      this.#line.push(byte);
      show(visible(byte));
      if (byte === NL) ready.push(...this.#line.splice(0));
    }
  }

  /** As a terminal does: what was typed so far, or, at the start of a line, the end. A pipe's end is final. */
  #endOfFile(ready: number[]): void {
    if (this.#line.length > 0) {
      ready.push(...this.#line.splice(0));
      return;
    }
    this.#send(ready.splice(0));
    this.#ended = true;
    this.#channel.end();
  }

  /** Takes so many characters back, and gives what clears them from the screen. */
  #erase(characters: number): Buffer {
    let cells = 0;
    for (let count = 0; count < characters && this.#line.length > 0; count++) {
      let byte = this.#line.pop() as number;
      while (this.#modes.iutf8 !== 0 && isContinuation(byte) && this.#line.length > 0) byte = this.#line.pop() as number;
      cells += byte < SPACE || byte === DELETE ? 2 : 1;
    }
    return Buffer.from(ERASE_CELL.repeat(cells));
  }

  /** Characters of the last word and the blanks after it. Nothing before them is looked at: a client may take word after word. */
  #word(): number {
    let characters = 0;
    let at = this.#line.length;
    for (const blanks of [true, false]) {
      for (let start = this.#characterBefore(at); start < at && this.#isBlankAt(start, at) === blanks; start = this.#characterBefore(at)) {
        characters += 1;
        at = start;
      }
    }
    return characters;
  }

  /** Where the character begins that ends at `end`, as erasing takes them. */
  #characterBefore(end: number): number {
    let start = Math.max(0, end - 1);
    while (this.#modes.iutf8 !== 0 && start > 0 && isContinuation(this.#line[start] ?? 0)) start -= 1;
    return start;
  }

  #isBlankAt(start: number, end: number): boolean {
    return Buffer.from(this.#line.slice(start, end)).toString(this.#modes.iutf8 !== 0 ? 'utf8' : 'latin1').trim() === '';
  }

  #send(ready: number[]): void {
    if (ready.length > 0 && !this.#channel.write(Buffer.from(ready))) this.#deviceFull = true;
  }

  /** To the client; `credit`: bytes of the device's that these stand for, 0 for echo. */
  #show(bytes: Buffer, credit: number): void {
    const cooked = this.#modes.opost !== 0 && this.#modes.onlcr !== 0 ? withReturns(bytes) : bytes;
    this.#unconsumed.push({ sent: cooked.length, credit });
    if (credit === 0) this.#echoed += cooked.length;
    this.#client.data('out', cooked);
  }

  #maybeDrain(): void {
    if (!this.#waiting || this.#deviceFull || this.#echoed > ECHO_BYTES) return;
    this.#waiting = false;
    this.#client.drain();
  }
}

/** A control character as ^X; the others, line ends and tabs as they are. */
function visible(byte: number): Buffer {
  if (byte === DELETE) return Buffer.from('^?');
  if (byte < SPACE && byte !== NL && byte !== 0x09) return Buffer.from(`^${String.fromCharCode(byte + 0x40)}`);
  return Buffer.from([byte]);
}

/** A carriage return before each line feed. */
function withReturns(bytes: Buffer): Buffer {
  const parts: Buffer[] = [];
  let start = 0;
  for (let at = bytes.indexOf(NL); at >= 0; at = bytes.indexOf(NL, start)) {
    parts.push(bytes.subarray(start, at), Buffer.from('\r\n'));
    start = at + 1;
  }
  return parts.length === 0 ? bytes : Buffer.concat([...parts, bytes.subarray(start)]);
}
