import type { OpenRequest, PtyRequest } from '../../mux/device.js';
import { sttyModes } from './stty.js';

const VARIABLE = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** Bytes as one word of a POSIX shell. */
export function quote(bytes: Buffer | string): Buffer {
  const text = typeof bytes === 'string' ? bytes : bytes.toString('latin1');
  return Buffer.from(`'${text.replaceAll("'", `'\\''`)}'`, typeof bytes === 'string' ? 'utf8' : 'latin1');
}

function exports(env: Readonly<Record<string, string>>): Buffer[] {
  return Object.entries(env)
    .filter(([name, value]) => VARIABLE.test(name) && !value.includes('\0'))
    .map(([name, value]) => Buffer.concat([Buffer.from(`export ${name}=`), quote(Buffer.from(value, 'latin1')), Buffer.from('\n')]));
}

function named({ term }: PtyRequest): Buffer[] {
  return term === '' ? [] : exports({ TERM: term });
}

function terminal(pty: PtyRequest): string {
  const { rows, cols } = pty.size;
  const words = sttyModes(pty.modes);
  const size = rows > 0 && cols > 0 ? `stty rows ${rows} cols ${cols}` : ':';
  // One stty for all modes; a stty that does not know one of them refuses the lot, then one by one.
  const one = words.map((word) => `stty ${word}`).join(';');
  const modes = words.length > 0 ? `stty ${words.join(' ')} 2>/dev/null||{ ${one};} 2>/dev/null` : ':';
  // sane is not what the kernel gives a fresh terminal, which sshd hands on.
  return `{ stty sane;stty -brkint -imaxbel;} 2>/dev/null\n${size} 2>/dev/null\n${modes}\nexport SSH_TTY="$(tty)"\n`;
}

/**
 * The script that a channel's own sh sources before it becomes the command: environment, terminal,
 * and the command in Ic, or Ilogin for a login shell.
 */
export function execScript(request: Extract<OpenRequest, { kind: 'exec' }>): Buffer {
  const head = 'export SHELL="${SHELL:-/bin/sh}"\nunset SSH_TTY\n';
  const term = request.pty === undefined || request.pty.term === '' ? 'unset TERM\n' : '';
  const parts: Buffer[] = [Buffer.from(head + term), ...exports(request.env)];
  if (request.pty !== undefined) {
    parts.push(...named(request.pty), Buffer.from(terminal(request.pty)));
  }
  if (request.command === undefined) parts.push(Buffer.from('Ilogin=login\nIflags=\n'));
  else {
    // sshd's command is a C string too.
    const end = request.command.indexOf(0);
    parts.push(Buffer.from('Ilogin=\nIc='), quote(end < 0 ? request.command : request.command.subarray(0, end)), Buffer.from('\n'));
  }
  return Buffer.concat(parts);
}

/** The same for a terminal that the device does not have: one output, and a shell that is told to ask. */
export function cookedScript(request: Extract<OpenRequest, { kind: 'exec' }>, pty: PtyRequest): Buffer {
  const { size } = pty;
  const known: Record<string, string> = size.rows > 0 && size.cols > 0 ? { LINES: String(size.rows), COLUMNS: String(size.cols) } : {};
  const asks = request.command === undefined ? 'Iflags=-i\n' : '';
  return Buffer.concat([execScript({ ...request, pty: undefined }), ...named(pty), ...exports(known), Buffer.from(`${asks}exec 2>&1\n`)]);
}

/** A script that becomes the given program at once. */
export function runScript(words: readonly (Buffer | string)[]): Buffer {
  const quoted = words.flatMap((word) => [Buffer.from(' '), quote(word)]);
  return Buffer.concat([Buffer.from('exec'), ...quoted, Buffer.from('\n')]);
}

/**
 * The same in the home: else names that a client gives without a folder would be in the channel's own,
 * which goes with the channel.
 */
export function runAtHome(words: readonly (Buffer | string)[]): Buffer {
  return Buffer.concat([Buffer.from('cd "$HOME" 2>/dev/null || cd /\nunset OLDPWD\n'), runScript(words)]);
}
