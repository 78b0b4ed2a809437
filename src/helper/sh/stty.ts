import type { PtyRequest } from '../../mux/device.js';

/** Terminal mode opcodes (RFC 4254 section 8, RFC 8160 for 42) as stty names them. */
const CHARACTERS: Readonly<Record<number, string>> = {
  1: 'intr', 2: 'quit', 3: 'erase', 4: 'kill', 5: 'eof', 6: 'eol', 7: 'eol2', 8: 'start', 9: 'stop',
  10: 'susp', 12: 'rprnt', 13: 'werase', 14: 'lnext', 16: 'swtch',
};
const FLAGS: Readonly<Record<number, string>> = {
  30: 'ignpar', 31: 'parmrk', 32: 'inpck', 33: 'istrip', 34: 'inlcr', 35: 'igncr', 36: 'icrnl', 37: 'iuclc',
  38: 'ixon', 39: 'ixany', 40: 'ixoff', 41: 'imaxbel', 42: 'iutf8', 50: 'isig', 51: 'icanon', 53: 'echo',
  54: 'echoe', 55: 'echok', 56: 'echonl', 57: 'noflsh', 58: 'tostop', 59: 'iexten', 60: 'echoctl', 61: 'echoke',
  70: 'opost', 71: 'olcuc', 72: 'onlcr', 73: 'ocrnl', 74: 'onocr', 75: 'onlret',
};
/** RFC 4254 section 8: "255 if none" for the special characters. */
const NO_CHARACTER = 255;

/** Arguments of stty for the client's modes; opcodes that stty has no name for are left out. */
export function sttyModes(modes: PtyRequest['modes']): string[] {
  const words: string[] = [];
  for (const [opcode, value] of modes) {
    const character = CHARACTERS[opcode];
    if (character !== undefined) {
      words.push(`${character} ${characterWord(value)}`);
    }
    const flag = FLAGS[opcode];
    if (flag !== undefined) words.push(value === 0 ? `-${flag}` : flag);
  }
  return words;
}

/**
 * One special character as every stty takes it: GNU reads 010 as octal, BusyBox as decimal, and both a
 * single character as itself, so control characters are written as ^H.
 */
function characterWord(value: number): string {
  if (value >= NO_CHARACTER) return 'undef';
  if (value < 0x20) return `'^${String.fromCharCode(value + 0x40)}'`;
  if (value === 0x7f) return "'^?'";
  if (value < 0x7f) return value === 0x27 ? `"'"` : `'${String.fromCharCode(value)}'`;
  return String(value);
}
