import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { spawn, type IPty } from '@lydell/node-pty';
import type { Carrier } from '../../src/link/carrier.js';

/** Output reaches us in pieces of at most this many bytes, as from the stock agent. */
const CHUNK_BYTES = 2048;

/** A login on a PTY of this machine, as a carrier. */
export class PtyCarrier implements Carrier {
  readonly #pty: IPty;
  #lost = false;
  readonly maxWrite: number;
  readonly buffered = 0;
  onText: (bytes: Buffer) => void = () => undefined;
  onLost: (cause: Error) => void = () => undefined;
  /** Command frames typed. */
  frames = 0;

  constructor(shell: readonly [string, ...string[]], env: Readonly<Record<string, string>>, cwd: string, maxWrite = 4096) {
    this.maxWrite = maxWrite;
    this.#pty = spawn(shell[0], shell.slice(1), { name: 'xterm', cols: 128, rows: 30, cwd, env, encoding: null });
    this.#pty.onData((data: unknown) => {
      if (this.#lost) return;
      const bytes = data as Buffer;
      for (let at = 0; at < bytes.length; at += CHUNK_BYTES) this.onText(bytes.subarray(at, at + CHUNK_BYTES));
    });
    this.#pty.onExit(() => {
      this.#end(new Error('the login shell ended'));
    });
  }

  write(text: string | Buffer): void {
    if (this.#lost) return;
    this.frames += 1;
    // It takes bytes as well.
    this.#pty.write(text as string);
  }

  /** The session is lost: the terminal is hung up. */
  drop(): void {
    this.#end(new Error('the session was dropped'));
    this.#pty.kill('SIGHUP');
    (this.#pty as unknown as { destroy(): void }).destroy();
  }

  /** The session dies without a word: nothing passes any more, the terminal stays. */
  mute(): void {
    this.#lost = true;
  }

  #end(cause: Error): void {
    if (this.#lost) return;
    this.#lost = true;
    this.onLost(cause);
  }
}

/** A device: a home, a PATH, a login shell; many logins after each other. */
export interface PtyDevice {
  readonly root: string;
  readonly home: string;
  /** Where the helper may keep its state. */
  readonly state: string;
  login(maxWrite?: number): PtyCarrier;
  /** Takes everything away. */
  remove(): void;
}

export type DeviceKind = 'dash' | 'bash' | 'mksh' | 'busybox';

/**
 * A device whose login shell and /bin/sh are of the given kind. `busybox`: PATH holds BusyBox
 * applets alone, so nothing of GNU can help by accident. `extra` tools are added, those of `without` taken away.
 */
export function createPtyDevice(kind: DeviceKind, extra: readonly string[] = [], without: readonly string[] = []): PtyDevice {
  const root = mkdtempSync(join(tmpdir(), 'shhelper-'));
  const [home, state, bin] = [join(root, 'home'), join(root, 'state'), join(root, 'bin')];
  for (const dir of [home, state, bin]) mkdirSync(dir);
  chmodSync(root, 0o700);
  const which = (tool: string): string => execFileSync('/bin/sh', ['-c', `command -v ${tool}`]).toString().trim();
  if (kind === 'busybox') {
    const busybox = which('busybox');
    for (const applet of execFileSync(busybox, ['--list']).toString().trim().split('\n')) symlinkSync(busybox, join(bin, applet));
  } else symlinkSync(which(kind), join(bin, 'sh'));
  for (const tool of extra) {
    rmSync(join(bin, tool), { force: true });
    symlinkSync(which(tool), join(bin, tool));
  }
  for (const tool of without) rmSync(join(bin, tool), { force: true });
  const path = kind === 'busybox' ? bin : `${bin}:/usr/bin:/bin`;
  const env = { PATH: path, HOME: home, SHELL: join(bin, 'sh'), USER: 'root', LOGNAME: 'root', LANG: 'C.UTF-8', TERM: 'xterm' };
  return {
    root,
    home,
    state,
    login: (maxWrite) => new PtyCarrier([join(bin, 'sh')], env, home, maxWrite),
    remove: () => {
      rmSync(root, { recursive: true, force: true });
    },
  };
}
