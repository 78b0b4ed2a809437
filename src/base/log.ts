import { pino, type Logger } from 'pino';
import pretty from 'pino-pretty';

/** The one logging interface of the project: `log.info({ fields }, 'sentence')`. */
export type Log = Logger;

export const LOG_LEVELS = ['silent', 'error', 'warn', 'info', 'debug', 'trace'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];
export const LOG_FORMATS = ['text', 'json'] as const;
export type LogFormat = (typeof LOG_FORMATS)[number];

/** Field names whose values never reach a log, at the top level or one level down. */
const SECRET_FIELDS = ['password', 'token', 'secret', 'credential', 'data', 'passphrase'];

/**
 * A logger that writes to standard error. Standard output belongs to what a command prints.
 * Writing is synchronous so that the last line before an exit is never lost.
 */
export function createLog(options: { level: LogLevel; format: LogFormat }): Log {
  const redact = { paths: SECRET_FIELDS.flatMap((name) => [name, `*.${name}`]), censor: '[secret]' };
  if (options.format === 'json') {
    return pino({ level: options.level, redact, base: null }, pino.destination({ dest: 2, sync: true }));
  }
  const stream = pretty({
    destination: 2,
    sync: true,
    colorize: process.stderr.isTTY === true && process.env['NO_COLOR'] === undefined,
    translateTime: 'SYS:HH:MM:ss.l',
    ignore: 'pid,hostname',
    singleLine: true,
  });
  return pino({ level: options.level, redact, base: null }, stream);
}

/** A logger that says nothing, for tests and for parts used as a library. */
export function silentLog(): Log {
  return pino({ level: 'silent' });
}
