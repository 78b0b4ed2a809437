/**
 * A Device made of this machine's own processes and sockets, and a Gateway in front of it: the ssh layer
 * is tested with real clients and no tunnel. Credit and order of events are as src/mux/device.ts says.
 */
import { spawn as spawnChild } from 'node:child_process';
import { mkdtempSync, rmSync, unlinkSync } from 'node:fs';
import net from 'node:net';
import { constants, homedir, tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { spawn as spawnPty } from '@lydell/node-pty';
import { Fault } from '../../src/base/errors.js';
import type {
  Channel, ChannelEvents, Device, DeviceInfo, Listener, ListenerEvents, ListenRequest, OpenRequest, Outcome, Refusal,
} from '../../src/mux/device.js';
import type { Credential, Gateway, KeyGrant, Lease } from '../../src/ssh/gateway.js';
import { NO_LIMITS } from '../../src/ssh/key-options.js';

/** Bytes of output that may be on their way without credit, as the real device's. */
const CREDIT = 1024 * 1024;
const SFTP_SERVER = '/usr/lib/openssh/sftp-server';
/** Takes the command's exact bytes from descriptor 3: Node can pass only UTF-8 as an argument. */
const EXACT = 'c=$(cat <&3; printf x); exec 3<&-; exec "$0" -c "${c%x}"';

export class LocalDevice implements Device {
  readonly info: DeviceInfo = {
    tier: 'python', detail: 'local processes', user: userInfo().username, home: homedir(), shell: '/bin/bash', sftpServer: undefined,
  };
  /** Channels and listeners open now, for tests that look for leaks. */
  readonly live = new Set<object>();
  /** Refuses what a test wants refused. */
  refuse: (request: OpenRequest) => Refusal | undefined = () => undefined;
  readonly #shell: string;

  constructor(shell = '/bin/bash') {
    this.#shell = shell;
  }

  open(request: OpenRequest, events: ChannelEvents): Channel {
    const refusal = this.refuse(request);
    if (refusal !== undefined) {
      queueMicrotask(() => events.refused(refusal));
      return NO_CHANNEL;
    }
    const tracked = this.#track(events);
    switch (request.kind) {
      case 'exec':
        return request.pty === undefined ? this.#pipes(request, tracked) : this.#terminal(request, tracked);
      case 'sftp':
        return this.#child(spawnChild(SFTP_SERVER, [], { detached: true, stdio: ['pipe', 'pipe', 'pipe'] }), tracked);
      case 'tcp':
        return socketChannel(net.connect({ host: request.host, port: request.port, allowHalfOpen: true }), tracked, true);
      case 'unix':
        return socketChannel(net.connect({ path: request.path.toString(), allowHalfOpen: true }), tracked, true);
    }
  }

  listen(request: ListenRequest, events: ListenerEvents): Listener {
    const key = {};
    let folder: string | undefined;
    let path: string | undefined;
    if (request.kind === 'agent') {
      folder = mkdtempSync(join(tmpdir(), 'local-agent-'));
      path = join(folder, 'agent');
    } else if (request.kind === 'unix') {
      path = request.path.toString();
    }
    const server = net.createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => {
      const late: { events?: ChannelEvents } = {};
      const forward: ChannelEvents = {
        opened: () => {},
        refused: () => {},
        data: (stream, bytes) => late.events?.data(stream, bytes),
        drain: () => late.events?.drain(),
        outcome: () => {},
        eof: () => late.events?.eof(),
        closed: (fault) => late.events?.closed(fault),
      };
      const channel = socketChannel(socket, this.#track(forward), false);
      late.events = events.incoming(channel, { host: socket.remoteAddress ?? '', port: socket.remotePort ?? 0 });
      socket.resume();
    });
    server.on('error', (cause) => events.refused({ code: 'connect-failed', message: cause.message }));
    server.on('listening', () => {
      this.live.add(key);
      const at = server.address();
      events.listening(typeof at === 'object' && at !== null ? { port: at.port } : { path: Buffer.from(path ?? '') });
    });
    server.on('close', () => {
      this.live.delete(key);
      events.closed(undefined);
    });
    if (path !== undefined) server.listen(path);
    else if (request.kind === 'tcp') {
      const host = request.host === '' || request.host === '*' ? undefined : request.host === 'localhost' ? '127.0.0.1' : request.host;
      server.listen({ port: request.port, ...(host === undefined ? {} : { host }) });
    }
    return {
      close: () => {
        server.close();
        if (path !== undefined) {
          try {
            unlinkSync(path);
          } catch {
            // Already gone.
          }
        }
        if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
      },
    };
  }

  #track(events: ChannelEvents): ChannelEvents {
    const key = {};
    this.live.add(key);
    return {
      ...events,
      refused: (reason) => {
        this.live.delete(key);
        events.refused(reason);
      },
      closed: (fault) => {
        this.live.delete(key);
        events.closed(fault);
      },
    };
  }

  #pipes(request: OpenRequest & { kind: 'exec' }, events: ChannelEvents): Channel {
    const env = { ...process.env, SHELL: this.#shell, ...request.env };
    if (request.command === undefined) {
      return this.#child(spawnChild(this.#shell, ['-l'], { detached: true, env, cwd: homedir(), stdio: ['pipe', 'pipe', 'pipe'] }), events);
    }
    const child = spawnChild('/bin/sh', ['-c', EXACT, this.#shell], { detached: true, env, cwd: homedir(), stdio: ['pipe', 'pipe', 'pipe', 'pipe'] });
    const commandPipe = child.stdio[3] as net.Socket;
    commandPipe.on('error', () => {});
    commandPipe.end(request.command);
    return this.#child(child, events);
  }

  #child(child: ReturnType<typeof spawnChild>, events: ChannelEvents): Channel {
    const { stdin, stdout, stderr } = child;
    if (stdin === null || stdout === null || stderr === null) throw new Error('no pipes');
    let credit = CREDIT;
    const sources = [stdout, stderr];
    for (const [source, stream] of [[stdout, 'out'], [stderr, 'err']] as const) {
      source.on('data', (bytes: Buffer) => {
        credit -= bytes.length;
        if (credit <= 0) for (const each of sources) each.pause();
        events.data(stream, bytes);
      });
      source.on('error', () => {});
    }
    stdin.on('drain', () => events.drain());
    stdin.on('error', () => {});
    child.on('spawn', () => events.opened());
    child.on('error', (cause) => events.refused({ code: 'resource', message: cause.message }));
    child.on('close', (status, signal) => {
      events.outcome(outcomeOf(status, signal));
      events.eof();
      events.closed(undefined);
    });
    const kill = (name: string): void => {
      try {
        process.kill(-(child.pid ?? 0), `SIG${name}` as NodeJS.Signals);
      } catch {
        // The process group is gone.
      }
    };
    return {
      write: (bytes) => !stdin.writable || stdin.write(bytes),
      end: () => stdin.end(),
      consumed: (bytes) => {
        const wasOut = credit <= 0;
        credit += bytes;
        if (wasOut && credit > 0) for (const each of sources) each.resume();
      },
      closeOutput: () => stdout.destroy(),
      resize: () => {},
      signal: kill,
      close: () => {
        kill('HUP');
        stdin.destroy();
        stdout.destroy();
        stderr.destroy();
      },
    };
  }

  #terminal(request: OpenRequest & { kind: 'exec' }, events: ChannelEvents): Channel {
    const pty = request.pty;
    if (pty === undefined) throw new Error('no terminal asked for');
    const args = request.command === undefined ? ['-l'] : ['-c', request.command.toString()];
    const terminal = spawnPty(this.#shell, args, {
      name: pty.term,
      cols: pty.size.cols || 80,
      rows: pty.size.rows || 24,
      cwd: homedir(),
      env: { ...process.env, ...request.env, TERM: pty.term } as Record<string, string>,
      encoding: null,
    });
    let credit = CREDIT;
    queueMicrotask(() => events.opened());
    (terminal.onData as unknown as (listener: (bytes: Buffer) => void) => void)((bytes) => {
      credit -= bytes.length;
      if (credit <= 0) terminal.pause();
      events.data('out', Buffer.from(bytes));
    });
    let over = false;
    terminal.onExit(({ exitCode, signal }) => {
      over = true;
      events.outcome(outcomeOf(exitCode, signalName(signal)));
      events.eof();
      events.closed(undefined);
    });
    return {
      write: (bytes) => {
        if (!over) terminal.write(bytes as unknown as string);
        return true;
      },
      end: () => {
        if (!over) terminal.write('\x04');
      },
      consumed: (bytes) => {
        const wasOut = credit <= 0;
        credit += bytes;
        if (wasOut && credit > 0 && !over) terminal.resume();
      },
      closeOutput: () => {},
      resize: (size) => {
        if (!over) terminal.resize(size.cols || 80, size.rows || 24);
      },
      signal: (name) => {
        if (!over) terminal.kill(`SIG${name}`);
      },
      close: () => {
        if (!over) terminal.kill('SIGHUP');
      },
    };
  }
}

function socketChannel(socket: net.Socket, events: ChannelEvents, connecting: boolean): Channel {
  let credit = CREDIT;
  let opened = !connecting;
  let ended = false;
  let failure: Error | undefined;
  socket.on('connect', () => {
    opened = true;
    events.opened();
  });
  socket.on('data', (bytes) => {
    credit -= bytes.length;
    if (credit <= 0) socket.pause();
    events.data('out', bytes);
  });
  socket.on('drain', () => events.drain());
  socket.on('end', () => {
    ended = true;
    events.eof();
  });
  socket.on('error', (cause) => { failure = cause; });
  socket.on('close', () => {
    if (!opened) events.refused({ code: 'connect-failed', message: failure?.message ?? 'not connected' });
    else events.closed(failure === undefined || ended ? undefined : new Fault('DEVICE_LOST', failure.message));
  });
  return {
    write: (bytes) => !socket.writable || socket.write(bytes),
    end: () => socket.end(),
    consumed: (bytes) => {
      const wasOut = credit <= 0;
      credit += bytes;
      if (wasOut && credit > 0) socket.resume();
    },
    closeOutput: () => {
      socket.removeAllListeners('data');
      socket.resume();
      if (socket.writableFinished) socket.destroy();
      else socket.once('finish', () => socket.destroy());
    },
    resize: () => {},
    signal: () => {},
    close: () => socket.destroy(),
  };
}

const NO_CHANNEL: Channel = {
  write: () => true, end: () => {}, consumed: () => {}, closeOutput: () => {}, resize: () => {}, signal: () => {}, close: () => {},
};

function outcomeOf(status: number | null, signal: string | null | undefined): Outcome {
  if (typeof signal === 'string' && signal !== '') {
    return { kind: 'signal', signal: signal.replace(/^SIG/, ''), coreDumped: false, message: '' };
  }
  return { kind: 'status', status: status ?? 255 };
}

function signalName(number: number | undefined): string | undefined {
  if (number === undefined || number === 0) return undefined;
  return Object.entries(constants.signals).find(([, value]) => value === number)?.[0];
}

/** Lets in one user with one password, and keys that a test names. */
export class LocalGateway implements Gateway {
  readonly device = new LocalDevice();
  readonly leases = new Set<Lease>();
  /** Wire forms of authorised keys, base64. */
  readonly keys = new Set<string>();
  logins = 0;
  /** Replaces the answer to a login with the right or wrong password. */
  fault: Fault | undefined;
  /** What a lease's device promise is: the device at once, unless a test says otherwise. */
  whenReady: () => Promise<Device> = () => Promise.resolve(this.device);
  readonly #credential: Credential;

  constructor(credential: Credential = { user: 'tester', password: 'right horse' }) {
    this.#credential = credential;
  }

  login(credential: Credential): Promise<Lease> {
    this.logins += 1;
    if (this.fault !== undefined) return Promise.reject(this.fault);
    if (credential.user !== this.#credential.user || credential.password !== this.#credential.password) {
      return Promise.reject(new Fault('DENIED', 'The device refused this user name or password.'));
    }
    const lease: Lease = { device: this.whenReady(), onEnd: () => {}, release: () => this.leases.delete(lease) };
    this.leases.add(lease);
    return Promise.resolve(lease);
  }

  authorizesKey(user: string, key: { blob: Buffer }): Promise<boolean> {
    return Promise.resolve(user === this.#credential.user && this.keys.has(key.blob.toString('base64')));
  }

  async grantForKey(user: string, key: { blob: Buffer }): Promise<KeyGrant | undefined> {
    return (await this.authorizesKey(user, key)) ? { credential: this.#credential, limits: NO_LIMITS } : undefined;
  }
}
