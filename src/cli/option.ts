/** How options are defined: each has an environment variable, and a bad value says what is wrong. */
import { InvalidArgumentError, Option, type Command } from 'commander';
import { Fault } from '../base/errors.js';
import { LOG_FORMATS, LOG_LEVELS, type LogFormat, type LogLevel } from '../base/log.js';
import type { ListenAddress } from '../ssh/listen.js';
import { parseAddress, parseListenAddress, type Address } from './address.js';

/** `--ready-file <path>` is also IOTDA_SSH_READY_FILE. */
export function envName(flags: string): string {
  const long = /--(?:no-)?([a-z-]+)/.exec(flags)?.[1] ?? '';
  return `IOTDA_SSH_${long.replaceAll('-', '_').toUpperCase()}`;
}

export function option(flags: string, description: string): Option {
  return new Option(flags, description).env(envName(flags));
}

/** Words that turn a switch off in the environment; commander would take any value for on. */
const OFF = ['', '0', 'false', 'no', 'off'];

/** Makes IOTDA_SSH_INSECURE=0 mean what it says. To be called before parsing. */
export function dropSwitchesThatAreOff(command: Command, env: NodeJS.ProcessEnv): void {
  for (const { envVar } of command.options.filter((each) => each.isBoolean())) {
    if (envVar !== undefined && OFF.includes(env[envVar]?.toLowerCase() ?? 'unset')) delete env[envVar];
  }
  for (const child of command.commands) dropSwitchesThatAreOff(child, env);
}

/** A parser of option values whose Faults become commander's errors, which name the option. */
export function parsed<T>(parse: (text: string) => T): (text: string) => T {
  return (text) => {
    try {
      return parse(text);
    } catch (fault) {
      if (fault instanceof Fault) throw new InvalidArgumentError(fault.message);
      throw fault;
    }
  };
}

/** An address to listen on (port 0: any free one). */
export const listenAddress: (text: string) => Address = parsed(parseAddress);

export const SSH_LISTEN_HELP = 'HOST:PORT to listen on, port 0 for any free one; or a Unix socket, as in ./gw7.sock';

/** The same, or a Unix socket. */
export const sshListenAddress: (text: string) => ListenAddress = parsed(parseListenAddress);

/** An address to connect to. */
export const peerAddress: (text: string) => Address = parsed((text) => {
  const address = parseAddress(text);
  if (address.port === 0) throw new Fault('USAGE', 'Port 0 cannot be connected to.');
  return address;
});

/** A whole number within bounds, of `unit` if it has one. */
export function wholeNumber(min: number, max: number, unit?: string): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < min || value > max) throw new InvalidArgumentError(`It is a whole number${unit === undefined ? '' : ` of ${unit}`} from ${min} to ${max}.`);
    return value;
  };
}

/** A ws:// or wss:// URI. */
export const tunnelUri: (text: string) => string = (text) => {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^wss?:$/.test(url.protocol)) {
    throw new InvalidArgumentError('It is the wss:// (or ws://) URI that the platform gave for this tunnel.');
  }
  return text;
};

/** Collects a repeatable option, or a comma-separated one, into a list. */
export function list(text: string, before: readonly string[] | undefined): string[] {
  return [...(before ?? []), ...text.split(',').filter((item) => item !== '')];
}

/** Collects a repeatable option whose values may hold commas. */
export function repeatable(text: string, before: readonly string[] | undefined): string[] {
  return [...(before ?? []), text];
}

/** The options of every command. */
export interface CommonOptions {
  logLevel: LogLevel;
  logFormat: LogFormat;
  readyFile?: string;
}

export function withCommonOptions(command: Command, defaults: { logLevel: LogLevel }): Command {
  return command
    .addOption(option('--ready-file <file>', 'write a JSON file (pid, host, port, …) once ready; removed at the end'))
    .addOption(option('--log-level <level>', 'what to log on standard error').choices(LOG_LEVELS).default(defaults.logLevel))
    .addOption(option('--log-format <format>', 'how to log').choices(LOG_FORMATS).default('text'));
}
