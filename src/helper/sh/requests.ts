import type { OpenRequest, PtyRequest, Refusal } from '../../mux/device.js';
import { isHost, socatWord } from './address.js';
import { SOCAT, type Target } from './connect.js';
import { cookedScript, execScript, runAtHome } from './script.js';

/** With pipes, on a terminal, a socket through a program, a listener, an accepted connection (the x line of wire.ts). */
export type RunMode = 'p' | 't' | 's' | 'l' | 'a';

/** What becomes of a request: a script for the device, or a refusal. */
export type Plan =
  | { kind: 'run'; script: Buffer; mode: RunMode }
  /** A connection: what its script is depends on what the device keeps (Connector). */
  | { kind: 'connect'; target: Target }
  /** A command in pipes, its terminal on this side (CookedTerminal). */
  | { kind: 'cooked'; script: Buffer; pty: PtyRequest }
  /** Served from this side (SftpServer). */
  | { kind: 'files' }
  | { kind: 'refuse'; reason: Refusal };

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
      const tool = has('socat') ? 'socat' : facts['nc'];
      if (tool === undefined) return unsupported('The device has neither socat nor nc, so the sh tier cannot forward connections.');
      return { kind: 'connect', target: { tool, host: request.host, port: request.port } };
    }
    case 'unix': {
      if (has('socat')) return { kind: 'connect', target: { words: ['socat', ...SOCAT, Buffer.concat([Buffer.from('UNIX-CONNECT:'), socatWord(request.path)])] } };
      if (!has('ncU')) return unsupported('The device has neither socat nor an nc that knows -U, so the sh tier cannot reach Unix sockets.');
      return { kind: 'connect', target: { words: ['nc', '-N', '-v', '-U', request.path] } };
    }
  }
}
