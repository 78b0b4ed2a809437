import { pino, type Logger } from 'pino';
import { prettyFactory } from 'pino-pretty';
import { standardError } from './stderr.js';
import { visible } from './words.js';

/** The one logging interface of the project: `log.info({ fields }, 'sentence')`. */
export type Log = Logger;

export const LOG_LEVELS = ['silent', 'error', 'warn', 'info', 'debug', 'trace'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];
export const LOG_FORMATS = ['text', 'json'] as const;
export type LogFormat = (typeof LOG_FORMATS)[number];

/** Field names whose values never reach a log, at the top level or one level down. */
const SECRET_FIELDS = [
  ...['password', 'token', 'secret', 'credential', 'data', 'passphrase', 'authorization'],
  ...['tunnel_access_token', 'source_token', 'device_token'],
];

/** Lines of a stack are lines; everywhere else a line end is a peer's attempt to write a line of the log. */
const MANY_LINES = 'stack';

/** JSON has escaped the C0 controls already; C1 ones and marks of direction it leaves. */
function safeJson(line: string): string {
  return `${visible(line.slice(0, -1))}\n`;
}

/** The pretty printer shows strings as they are: they must be harmless before it sees them. */
function safeText(line: string): string {
  const clean = (key: string, value: unknown): unknown => {
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
      return Object.fromEntries(Object.entries(value).map(([name, item]) => [visible(name), item]));
    }
    if (typeof value !== 'string') return value;
    return key === MANY_LINES ? value.split('\n').map(visible).join('\n') : visible(value);
  };
  return `${JSON.stringify(JSON.parse(line, clean))}\n`;
}

/** A logger that writes to standard error. Standard output belongs to what a command prints. */
export function createLog({ level, format }: { level: LogLevel; format: LogFormat }): Log {
  const redact = { paths: SECRET_FIELDS.flatMap((name) => [name, `*.${name}`]), censor: '[secret]' };
  const print = format === 'json' ? safeJson : printer();
  standardError.notice = (leftOut) => print(`${JSON.stringify({ level: 40, time: Date.now(), leftOut, msg: 'lines were left out here: nobody read the log' })}\n`);
  const stream = {
    write: (line: string) => {
      standardError.write(print(line));
    },
  };
  return pino({ level, redact, base: null }, stream);
}

function printer(): (line: string) => string {
  const print = prettyFactory({
    colorize: process.stderr.isTTY === true && process.env['NO_COLOR'] === undefined,
    translateTime: 'SYS:HH:MM:ss.l',
    ignore: 'pid,hostname',
    singleLine: true,
  });
  return (line) => print(safeText(line));
}

/** A logger that says nothing, for tests and for parts used as a library. */
export function silentLog(): Log {
  return pino({ level: 'silent' });
}

/** For lines that a peer brings about: so many at once, then so many a second; the next tells how many were left out. */
export class LineBudget {
  readonly #burst: number;
  readonly #perSecond: number;
  #left: number;
  #at = performance.now();
  #omitted = 0;

  constructor(burst: number, perSecond: number) {
    this.#burst = this.#left = burst;
    this.#perSecond = perSecond;
  }

  /** Fields to add to the line; undefined: leave it out. */
  take(now = performance.now()): { leftOut?: number } | undefined {
    this.#left = Math.min(this.#burst, this.#left + ((now - this.#at) / 1000) * this.#perSecond);
    this.#at = now;
    if (this.#left < 1) {
      this.#omitted += 1;
      return undefined;
    }
    this.#left -= 1;
    const leftOut = this.#omitted;
    this.#omitted = 0;
    return leftOut > 0 ? { leftOut } : {};
  }
}
