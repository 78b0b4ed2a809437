/** The terminal on this side of the link, for devices that have none: as Linux's line discipline does. */
import { beforeEach, describe, expect, it } from 'vitest';
import { CookedTerminal, LINE_BYTES } from '../../../src/helper/sh/cooked.js';
import type { Channel, ChannelEvents, PtyRequest } from '../../../src/mux/device.js';

/** A command in pipes that only notes what it is given. */
class Pipes implements Channel {
  events!: ChannelEvents;
  input = Buffer.alloc(0);
  calls: string[] = [];
  credit = 0;
  takes = true;
  write(bytes: Buffer): boolean {
    this.input = Buffer.concat([this.input, bytes]);
    return this.takes;
  }
  end(): void { this.calls.push('end'); }
  consumed(bytes: number): void { this.credit += bytes; }
  closeOutput(): void { this.calls.push('closeOutput'); }
  resize(): void { this.calls.push('resize'); }
  signal(name: string): void { this.calls.push(name); }
  close(): void { this.calls.push('close'); }
}

let pipes: Pipes;
let shown: string;
let told: string[];
beforeEach(() => {
  pipes = new Pipes();
  shown = '';
  told = [];
});

function terminal(modes: PtyRequest['modes'] = []): CookedTerminal {
  const events: ChannelEvents = {
    opened: () => told.push('opened'),
    refused: () => told.push('refused'),
    data: (stream, bytes) => { shown += stream === 'out' ? bytes.toString('latin1') : `[${stream}]`; },
    drain: () => told.push('drain'),
    outcome: () => told.push('outcome'),
    eof: () => told.push('eof'),
    closed: () => told.push('closed'),
  };
  return new CookedTerminal({ term: 'xterm', size: { cols: 80, rows: 24, widthPx: 0, heightPx: 0 }, modes }, events, (own) => {
    pipes.events = own;
    return pipes;
  });
}
const type = (cooked: CookedTerminal, text: string): boolean => cooked.write(Buffer.from(text));
/** An output of ten bytes, all line feeds. */
const TEN = Buffer.alloc(10, '\n');

describe('a terminal made of pipes', () => {
  it('gives the program whole lines, and the client the echo at once', () => {
    const cooked = terminal();
    type(cooked, 'ec');
    expect({ input: pipes.input.toString(), shown }).toEqual({ input: '', shown: 'ec' });
    type(cooked, 'ho\r');
    expect({ input: pipes.input.toString(), shown }).toEqual({ input: 'echo\n', shown: 'echo\r\n' });
  });

  it('returns the carriage at each line end of the output', () => {
    terminal();
    pipes.events.data('out', Buffer.from('a\nb\n\nc'));
    expect(shown).toBe('a\r\nb\r\n\r\nc');
  });

  it.each([
    ['backspace', 'ab\x7fc\r', 'ac\n', 'ab\b \bc\r\n'],
    ['backspace over a character of three bytes', '汉\x7fx\r', 'x\n', `${Buffer.from('汉').toString('latin1')}\b \bx\r\n`],
    ['backspace over a control character', '\x01\x7f\r', '\n', '^A\b \b\b \b\r\n'],
    ['backspace at the start', '\x7fx\r', 'x\n', 'x\r\n'],
    ['Ctrl-W behind letters of several bytes', 'ein Bär\u00a0 \x17x\r', 'ein x\n', `ein B\xc3\xa4r\xc2\xa0 ${'\b \b'.repeat(5)}x\r\n`],
    ['Ctrl-W', 'one two \x17x\r', 'one x\n', `one two ${'\b \b'.repeat(4)}x\r\n`],
    ['Ctrl-U', 'abc\x15x\r', 'x\n', `abc${'\b \b'.repeat(3)}x\r\n`],
    ['Ctrl-D within a line', 'abc\x04', 'abc', 'abc'],
  ])('edits a line: %s', (_what, typed, input, screen) => {
    type(terminal(), typed);
    expect({ input: pipes.input.toString(), shown, calls: pipes.calls }).toEqual({ input, shown: screen, calls: [] });
  });

  it('ends the input with Ctrl-D at the start of a line, for good', () => {
    const cooked = terminal();
    type(cooked, 'x\r\x04y\r');
    expect({ input: pipes.input.toString(), calls: pipes.calls }).toEqual({ input: 'x\n', calls: ['end'] });
  });

  it('sends the signals of Ctrl-C and Ctrl-\\ and forgets the line', () => {
    type(terminal(), 'before\rabc\x03\x1cd\r');
    expect({ input: pipes.input.toString(), shown, calls: pipes.calls }).toEqual({ input: 'before\nd\n', shown: 'before\r\nabc^C^\\d\r\n', calls: ['INT', 'QUIT'] });
  });

  it('does not take the end of the client\'s input for a key', () => {
    terminal().end();
    expect(pipes.calls).toEqual([]);
  });

  it.each([
    ['no echo', [[53, 0]], 'ab\x7f\r', 'a\n', ''],
    ['no signals, no lines', [[50, 0], [51, 0], [53, 0]], 'a\x03\x7f\x04', 'a\x03\x7f\x04', ''],
    ['line ends as typed', [[36, 0]], 'a\rb\n', 'a\rb\n', 'a^Mb\r\n'],
    ['another interrupt key', [[1, 2]], 'a\x03\x02\r', '\n', 'a^C^B\r\n'],
    ['no interrupt key', [[1, 255]], 'a\x03\xff\r', 'a\x03\xff\n', undefined],
    ['no output processing', [[70, 0]], 'a\r', 'a\n', 'a\n'],
  ] as const)('follows the modes that the client asked for: %s', (_what, modes, typed, input, screen) => {
    terminal(modes).write(Buffer.from(typed, 'latin1'));
    expect(pipes.input.toString('latin1')).toBe(input);
    if (screen !== undefined) expect(shown).toBe(screen);
  });

  it('keeps no line longer than its bound', () => {
    const cooked = terminal();
    type(cooked, 'x'.repeat(LINE_BYTES + 100));
    type(cooked, '\r');
    expect(pipes.input.length).toBe(LINE_BYTES + 1);
    expect(shown.endsWith(`${'\x07'.repeat(100)}\r\n`)).toBe(true);
  });

  it('credits the device with its own bytes, not with echo and carriage returns', () => {
    const cooked = terminal();
    pipes.events.data('out', TEN);
    type(cooked, 'abc');
    pipes.events.data('out', TEN);
    cooked.consumed(19);
    expect(pipes.credit).toBe(0);
    cooked.consumed(1 + 3);
    expect(pipes.credit).toBe(10);
    cooked.consumed(20);
    expect(pipes.credit).toBe(20);
  });

  it('makes the client wait while the device is full, or its echo is not read', () => {
    const cooked = terminal();
    pipes.takes = false;
    expect(type(cooked, 'x\r')).toBe(false);
    pipes.events.drain();
    expect(told).toEqual(['drain']);
    pipes.takes = true;
    let typed = 0;
    while (type(cooked, 'y\r'.repeat(500))) typed += 500;
    expect(typed * 3).toBeLessThan(70_000);
    cooked.consumed(shown.length);
    expect(told).toEqual(['drain', 'drain']);
    expect(type(cooked, 'z\r')).toBe(true);
  });

  it('passes everything else on', () => {
    const cooked = terminal();
    pipes.events.opened();
    cooked.signal('TERM');
    cooked.closeOutput();
    cooked.close();
    pipes.events.outcome({ kind: 'status', status: 0 });
    pipes.events.eof();
    pipes.events.closed(undefined);
    expect({ calls: pipes.calls, told }).toEqual({ calls: ['TERM', 'closeOutput', 'close'], told: ['opened', 'outcome', 'eof', 'closed'] });
  });
});

it('takes word after word back', () => {
  const tty = terminal();
  // A line as long as there may be one, and as many times Ctrl-W as it has words.
  tty.write(Buffer.concat([Buffer.from('x '.repeat((LINE_BYTES - 1) / 2)), Buffer.alloc((LINE_BYTES + 1) / 2, 0x17), Buffer.from('y\n')]));
  expect(pipes.input.toString()).toBe('y\n');
});
