import type { OpenRequest, PtyRequest, Refusal } from '../../mux/device.js';
import { isHost, socatWord } from './address.js';
import { compact, source } from './program.js';
import { cookedScript, execScript, quote, runAtHome, runScript } from './script.js';

/** With pipes, on a terminal, a socket through a program, a listener, an accepted connection (the x line of wire.ts). */
export type RunMode = 'p' | 't' | 's' | 'l' | 'a';

/** What becomes of a request: a script for the device, or a refusal. */
export type Plan =
  | { kind: 'run'; script: Buffer; mode: RunMode }
  /** A command in pipes, its terminal on this side (CookedTerminal). */
  | { kind: 'cooked'; script: Buffer; pty: PtyRequest }
  /** Served from this side (SftpServer). */
  | { kind: 'files' }
  | { kind: 'refuse'; reason: Refusal };

/** Half-closed connections stay for an hour; the peer's end shows at once (shut-close). */
const SOCAT = ['socat', '-t', '3600', '-,shut-close'];

function unsupported(message: string): Plan {
  return { kind: 'refuse', reason: { code: 'unsupported', message } };
}

/** Turns a request into what the device's own tools can do; `facts` are from start.sh; `ownSftp`: files are never left to the device. */
export function plan(request: OpenRequest, facts: Readonly<Record<string, string>>, ownSftp = false): Plan {
  const has = (fact: string): boolean => facts[fact] === 'yes';
  switch (request.kind) {
    case 'exec':
      if (request.pty !== undefined && !(has('script') && has('stty'))) {
        return { kind: 'cooked', script: cookedScript(request, request.pty), pty: request.pty };
      }
      return { kind: 'run', script: execScript(request), mode: request.pty === undefined ? 'p' : 't' };
    case 'sftp': {
      const server = facts['sftp'] ?? '';
      if (ownSftp || server === '') return { kind: 'files' };
      return { kind: 'run', script: runAtHome([server]), mode: 'p' };
    }
    case 'tcp': {
      if (!isHost(request.host)) return { kind: 'refuse', reason: { code: 'connect-failed', message: 'Name or service not known' } };
      const host = request.host.includes(':') ? `[${request.host}]` : request.host;
      if (has('socat')) return socket([...SOCAT, `TCP:${host}:${request.port}`]);
      const nc = facts['nc'] ?? '';
      if (nc === '') return unsupported('The device has neither socat nor nc, so the sh tier cannot forward connections.');
      const words = [...nc.split(' '), request.host, String(request.port)];
      return nc === 'nc -N' ? watched(words) : socket(words);
    }
    case 'unix': {
      if (has('socat')) return socket([...SOCAT, Buffer.concat([Buffer.from('UNIX-CONNECT:'), socatWord(request.path)])]);
      if (!has('ncU')) return unsupported('The device has neither socat nor an nc that knows -U, so the sh tier cannot reach Unix sockets.');
      return socket(['nc', '-N', '-U', request.path]);
    }
  }
}

function socket(words: readonly (string | Buffer)[]): Plan {
  return { kind: 'run', script: runScript(words), mode: 's' };
}

/** The same through a program that does not tell of the server's end (connect.sh). */
function watched(words: readonly string[]): Plan {
  const set = Buffer.concat([Buffer.from('set --'), ...words.flatMap((word) => [Buffer.from(' '), quote(word)])]);
  return { kind: 'run', script: Buffer.concat([set, Buffer.from(`\n${compact(source('connect'))}\n`)]), mode: 's' };
}
