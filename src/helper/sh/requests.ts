import type { OpenRequest, Refusal } from '../../mux/device.js';
import { execScript, runScript } from './script.js';

/** What becomes of a request: a script for the device, or a refusal. */
export type Plan =
  | { kind: 'run'; script: Buffer; terminal: boolean; process: boolean }
  | { kind: 'refuse'; reason: Refusal };

function unsupported(message: string): Plan {
  return { kind: 'refuse', reason: { code: 'unsupported', message } };
}

/** Turns a request into what the device's own tools can do; `facts` are from start.sh. */
export function plan(request: OpenRequest, facts: Readonly<Record<string, string>>): Plan {
  const has = (fact: string): boolean => facts[fact] === 'yes';
  switch (request.kind) {
    case 'exec':
      if (request.pty !== undefined && !(has('script') && has('stty'))) {
        return unsupported('The device has no "script" (or no "stty"), so the sh tier cannot give a terminal.');
      }
      return { kind: 'run', script: execScript(request), terminal: request.pty !== undefined, process: true };
    case 'sftp': {
      const server = facts['sftp'] ?? '';
      if (server === '') return unsupported('The device has no sftp-server.');
      return { kind: 'run', script: runScript([server]), terminal: false, process: true };
    }
    case 'tcp': {
      if (has('socat')) {
        const host = request.host.includes(':') ? `[${request.host}]` : request.host;
        return socket(['socat', '-t', '3600', '-', `TCP:${host}:${request.port}`]);
      }
      if (!has('nc')) return unsupported('The device has neither socat nor nc, so the sh tier cannot forward connections.');
      return socket(['nc', ...(has('ncN') ? ['-N'] : []), request.host, String(request.port)]);
    }
    case 'unix': {
      if (has('socat')) return socket(['socat', '-t', '3600', '-', Buffer.concat([Buffer.from('UNIX-CONNECT:'), request.path])]);
      if (!has('nc') || !has('ncU')) return unsupported('The device has neither socat nor an nc that knows -U, so the sh tier cannot reach Unix sockets.');
      return socket(['nc', ...(has('ncN') ? ['-N'] : []), '-U', request.path]);
    }
  }
}

function socket(words: readonly (string | Buffer)[]): Plan {
  return { kind: 'run', script: runScript(words), terminal: false, process: false };
}
