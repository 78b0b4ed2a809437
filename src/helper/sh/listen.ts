import { randomBytes } from 'node:crypto';
import type { ListenRequest, Refusal } from '../../mux/device.js';
import { isHost, socatWord } from './address.js';
import { compact, source } from './program.js';
import { quote } from './script.js';

/** Connections of one listener at a time; each costs the device about five processes. */
export const MOST_ACCEPTED = 64;

/** What becomes of a request to listen: a script for the listener's channel, or a refusal. */
export type ListenPlan = { kind: 'run'; script: Buffer } | { kind: 'refuse'; reason: Refusal };

let program: string | undefined;

function listenProgram(): string {
  program ??= compact(source('listen')).replace('@ACCEPT@', () => compact(source('accept')));
  return program;
}

function refuse(code: Refusal['code'], message: string): ListenPlan {
  return { kind: 'refuse', reason: { code, message } };
}

/** Turns a request into what the device's own tools can do; `facts` are from start.sh. */
export function planListen(request: ListenRequest, facts: Readonly<Record<string, string>>): ListenPlan {
  const socat = facts['socat'] === 'yes';
  const form = facts['listen'] ?? '';
  const any = facts['nc'] !== undefined;
  if (request.kind !== 'tcp') {
    // The names of nc's variants that know -U serve one connection at a time, see below.
    if (!socat) return refuse('unsupported', `The device has no socat${any ? ', and its nc cannot serve a Unix socket' : ''}, so the sh tier cannot listen on one.`);
    if (request.kind === 'agent') return script({ how: 'socat', place: 'agent', Iname: `ssh-${randomBytes(8).toString('hex')}` });
    if (request.path.length === 0 || request.path.includes(0)) return refuse('connect-failed', 'There is no such path.');
    // sshd's own folder is the root.
    const path = request.path[0] === 0x2f ? request.path : Buffer.concat([Buffer.from('/'), request.path]);
    return script({ how: 'socat', place: 'unix', Ipath: path, Isocat: socatWord(path) });
  }
  if (!socat && form === '') {
    return refuse(
      'unsupported',
      any
        ? 'The device has no socat, and its nc cannot start a program for each connection as BusyBox’s can (-ll -e, -lk -e), so the sh tier cannot listen.'
        : 'The device has neither socat nor nc, so the sh tier cannot listen for connections.',
    );
  }
  const hosts = hostsOf(request.host, socat);
  if (hosts === undefined) return refuse('connect-failed', 'There is no such address to listen on.');
  return script({ how: socat ? 'socat' : form, place: 'tcp', Inc: facts['nc'] ?? '', Ihosts: hosts.join(' '), Iport: String(request.port) });
}

/** As sshd: '' and '*' are all addresses, 'localhost' both of loopback. */
function hostsOf(host: string, socat: boolean): string[] | undefined {
  if (host === 'localhost') return ['127.0.0.1', '::1'];
  // BusyBox's nc takes IPv4 on :: too; where the kernel forbids that, the second one does it.
  if (host === '' || host === '*') return socat ? ['0.0.0.0', '::'] : ['::', '0.0.0.0'];
  return isHost(host) ? [host] : undefined;
}

function script({ how, place, ...values }: { how: string; place: string } & Record<string, string | Buffer>): ListenPlan {
  const all = { Ihow: how, Iplace: place, Imost: String(MOST_ACCEPTED), ...values };
  const head = Object.entries(all).flatMap(([name, value]) => [Buffer.from(`${name}=`), quote(value), Buffer.from('\n')]);
  return { kind: 'run', script: Buffer.concat([...head, Buffer.from(`${listenProgram()}\n`)]) };
}
