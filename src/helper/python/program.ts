import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { deflateSync } from 'node:zlib';
import { stripPython } from './strip.js';

export interface HelperParameters {
  /** The session's secret: names and keys of both halves derive from it. */
  secret: Buffer;
  /** Seconds that the daemon waits for the bridge before it ends itself and its children. */
  graceSeconds: number;
  /** `Manners.races`: no acknowledgements while the bridge sends, and the end of a login that hangs. */
  races?: boolean;
}

const FOLDER = new URL('./', import.meta.url);
/** Parts of a program, put together in the order of their names. */
const PART = /^\d\d_\w+\.py$/;
const FRONT = '00_front.py';
const SFTP = 'sftp/';
const GUARD = ['54_reset.py', 'guard.py'];

const cache = new Map<string, string>();

/** The parts in a folder. */
function parts(folder: string): string[] {
  return readdirSync(new URL(folder, FOLDER)).filter((name) => PART.test(name)).sort().map((name) => folder + name);
}

function source(names: readonly string[]): string {
  return names.map((name) => readFileSync(new URL(name, FOLDER), 'utf8')).join('\n');
}

/** Stripped text of these files; read once (they do not change while we run). */
function stripped(names: readonly string[]): string {
  const key = names.join();
  let text = cache.get(key);
  if (text === undefined) {
    text = stripPython(source(names));
    cache.set(key, text);
  }
  return text;
}

function pack(text: string): string {
  return deflateSync(Buffer.from(text), { level: 9 }).toString('base64');
}

/** JSON of strings and numbers is a Python literal too. */
function withParameters(parameters: HelperParameters, text: string): string {
  return `P=${JSON.stringify({ secret: parameters.secret.toString('hex'), grace: parameters.graceSeconds, ...(parameters.races === true ? { races: 1 } : {}) })}\n${text}`;
}

/** The helper's Python text before packing: daemon and front. For tests that run it otherwise. */
export function helperText(): string {
  return stripped(parts('./'));
}

/**
 * The whole helper as base64(zlib(text)), without a line end: leaves the daemon behind and becomes its
 * front. Harmless when its daemon runs already.
 */
export function startProgram(parameters: HelperParameters): string {
  return pack(`${withParameters(parameters, helperText())}start()\n`);
}

/** The front alone, in the same form: attaches to the surviving daemon or prints goneMark(). */
export function attachProgram(parameters: HelperParameters): string {
  return pack(`${withParameters(parameters, stripped([FRONT]))}front()\n`);
}

/**
 * What ends the login when the agent hangs while it types the program, in the same form: it takes the
 * program's line in stage 1's place. `mark` is that of stage 1's answers.
 */
export function guardProgram(mark: string): string {
  return pack(`M=b"${mark}"\n${stripped(GUARD)}`);
}

/**
 * What attachProgram's program prints when no daemon answers. Derived from the secret: anybody who may
 * write to the terminal (write, wall) could else end a session by saying so.
 */
export function goneMark(secret: Buffer): string {
  return `@GONE-${createHash('sha256').update(secret).update('gone').digest('hex').slice(0, 16)}@`;
}

/** The built-in SFTP server as it was written. For tests. */
export function sftpSource(): string {
  return source(parts(SFTP));
}

/** The built-in SFTP server in the same form, for the mux message PROGRAM. */
export function sftpProgram(): string {
  return pack(stripped(parts(SFTP)));
}
