/**
 * The whole path for the fault harness: sshd with a throwaway user, agent and relay in this process
 * (so that faults can be injected at any moment), the bridge as a process of its own (so that it can
 * be killed).
 */
import { randomBytes, randomUUID } from 'node:crypto';
import { appendFileSync, writeFileSync } from 'node:fs';
import { chown, mkdir, readdir, readFile, readlink, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Writable } from 'node:stream';
import { pino } from 'pino';
import { startAgent, type AgentHandle } from '../../src/agent/agent.js';
import type { Behaviour } from '../../src/agent/behaviour.js';
import type { ProfileName } from '../../src/agent/profiles.js';
import type { Log } from '../../src/base/log.js';
import type { LegName, Verdict } from '../../src/relay/options.js';
import { startRelay, type RelayHandle } from '../../src/relay/server.js';
import { freePort } from '../support/ports.js';
import { run, start, survivors, type Program } from '../support/program.js';
import type { Scope } from '../support/scope.js';
import { startCommand } from '../support/stack.js';
import { startSshd, type Sshd } from '../support/sshd.js';
import { throwawayUser, type ThrowawayUser } from '../support/user.js';
import { waitFor } from '../support/wait.js';
import { noise, sha256 } from './chance.js';

/** Bytes of the file that clients read from the device. */
export const BLOB_BYTES = 4 * 1024 * 1024;
/** Most lines of relay and agent kept for a dump. */
const LOG_LINES = 4000;
/** Lines of the bridge's log shown in a dump. */
const DUMP_LINES = 150;

export interface LabOptions {
  profile?: ProfileName;
  faults?: Partial<Behaviour>;
  seed?: number;
  /** What the helper on the device waits for a lost bridge. */
  graceSeconds?: number;
  tier?: 'python' | 'sh';
  bridgeArgs?: readonly string[];
  bridgeEnv?: Record<string, string>;
  logLevel?: string;
}

/** A process of the device's user. */
export interface DeviceProcess {
  pid: number;
  kind: 'daemon' | 'front' | 'sshd' | 'other';
  command: string;
}

export class Lab {
  readonly options: LabOptions;
  readonly scope: Scope;
  readonly log: Log;
  readonly echoPort: number;
  account!: ThrowawayUser;
  sshd!: Sshd;
  relay!: RelayHandle;
  agent!: AgentHandle;
  bridge!: Program;
  dir!: string;
  port = 0;
  blobSha = '';
  /** What the relay does with frames; faults put themselves here. */
  filter: ((leg: LegName, bytes: Buffer) => Verdict) | undefined;
  #relayPort = 0;
  readonly #tunnel = { tunnel_id: randomUUID(), device_id: 'device-1', source_token: secret(), device_token: secret() };
  readonly #lines: string[] = [];
  bridgeStarts = 0;
  #clockMs = 0;
  readonly #orphans: DeviceProcess[] = [];
  #overlooked: number[] = [];
  readonly #before = new Set<string>();

  constructor(scope: Scope, echoPort: number, options: LabOptions = {}) {
    this.scope = scope;
    this.echoPort = echoPort;
    this.options = options;
    const keep = new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        this.#lines.push(chunk.toString().trimEnd());
        if (this.#lines.length > LOG_LINES) this.#lines.splice(0, LOG_LINES / 2);
        done();
      },
    });
    this.log = pino({ level: 'debug', base: null }, keep);
  }

  async start(): Promise<void> {
    const { scope } = this;
    this.account = await throwawayUser(scope);
    this.sshd = await startSshd(scope, { users: [this.account.name] });
    this.dir = await scope.tempDir('faults');
    const key = join(this.dir, 'id');
    await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', key]);
    await writeFile(join(this.dir, 'password'), this.account.password, { mode: 0o600 });
    await writeFile(join(this.dir, 'source-token'), this.#tunnel.source_token, { mode: 0o600 });
    const blob = noise('blob', BLOB_BYTES);
    this.blobSha = sha256(blob);
    await writeFile(join(this.account.home, 'blob'), blob);
    await mkdir(join(this.dir, 'work'));
    for (const file of await this.leftFiles()) this.#before.add(file);
    await this.startRelay();
    await this.startAgent();
    this.port = await freePort();
    await this.startBridge();
    scope.add(async () => {
      await this.bridge.stop();
      await this.agent.close();
      await this.relay.close();
    });
  }

  async startRelay(): Promise<void> {
    this.relay = await startRelay({
      host: '127.0.0.1',
      port: this.#relayPort,
      tunnels: [this.#tunnel],
      log: this.log.child({ at: 'relay' }),
      onFrame: (leg, bytes) => this.filter?.(leg, bytes) ?? 'pass',
    });
    this.#relayPort = this.relay.port;
  }

  async startAgent(): Promise<void> {
    const { profile = 'sound', faults, seed = 1 } = this.options;
    this.agent = startAgent({
      tunnelUri: this.relay.uri(this.#tunnel.tunnel_id, 'device'),
      token: this.#tunnel.device_token,
      target: { sshd: { host: this.sshd.host, port: this.sshd.port } },
      profile,
      seed,
      ...(faults === undefined ? {} : { faults }),
      log: this.log.child({ at: 'agent' }),
    });
    await this.agent.opened;
  }

  async startBridge(): Promise<void> {
    const { graceSeconds = 20, tier = 'python', bridgeArgs = [], bridgeEnv = {}, logLevel = 'debug' } = this.options;
    this.bridgeStarts += 1;
    const { program, ready } = await startCommand(
      this.scope,
      [
        ...['bridge', '--tunnel-uri', this.relay.uri(this.#tunnel.tunnel_id, 'source'), '--token-file', join(this.dir, 'source-token')],
        ...['--listen', `127.0.0.1:${this.port}`, '--tier', tier, '--grace', String(graceSeconds), '--linger', '600', '--drain', '5'],
        ...['--authorized-keys', join(this.dir, 'id.pub'), '--device-user', this.account.name, '--device-password-file', join(this.dir, 'password')],
        ...['--log-level', logLevel, '--log-format', 'json', ...bridgeArgs],
      ],
      { env: { ...bridgeEnv, XDG_STATE_HOME: this.dir, FAULTS_CLOCK: join(this.dir, 'clock'), NODE_OPTIONS: `--import ${CLOCK}` } },
    );
    this.bridge = program;
    await writeFile(this.knownHosts, `${String(ready.knownHosts)}\n`);
  }

  /** What a reboot takes away: files in memory. */
  async forgetMemory(): Promise<void> {
    const files = (await this.leftFiles()).filter((file) => !file.startsWith(this.account.home));
    for (const file of files) await rm(file, { recursive: true, force: true });
  }

  /** Ends the device's SSH server and every session on it. */
  async stopSshd(): Promise<void> {
    await this.sshd.program.stop();
    for (const pid of await this.pids('sshd')) process.kill(pid, 'SIGKILL');
  }

  async startSshd(): Promise<void> {
    const { program } = this.sshd;
    this.sshd = { ...this.sshd, program: start(this.scope, program.child.spawnfile, program.child.spawnargs.slice(1)) };
    await waitFor('sshd to listen', () => this.sshd.program.stderr.includes('Server listening on 127.0.0.1'));
  }

  /** Moves the bridge's wall clock, for good. */
  jumpClock(ms: number): void {
    this.#clockMs += ms;
    writeFileSync(join(this.dir, 'clock'), String(this.#clockMs));
  }

  /** A bridge that could tell its helper nothing has ended: what it left stays for the grace. */
  async overlookHelpers(): Promise<void> {
    this.#overlooked = (await this.processes()).map(({ pid }) => pid);
  }

  /** No helper and no file of ours is on the device any more; a login shell may be. */
  async expectCleanDevice(when: string, deadlineMs: number): Promise<void> {
    let left: string[] = [];
    await waitFor('a clean device', async () => {
      const ours = (await this.processes()).filter(({ kind, pid }) => (kind === 'daemon' || kind === 'front') && !this.#overlooked.includes(pid));
      left = [...ours.map(({ pid, kind }) => `${kind} ${pid}`), ...(await this.leftFiles())];
      return left.length === 0;
    }, deadlineMs).catch(() => {
      throw new Error(`left on the device ${when}: ${left.join(', ')}`);
    });
  }

  async helpers(): Promise<DeviceProcess[]> {
    return (await this.processes()).filter(({ kind }) => kind === 'daemon' || kind === 'front');
  }

  /** These must have ended by themselves when the run is over (see `orphansGone`). */
  expectGone(processes: readonly DeviceProcess[]): void {
    this.#orphans.push(...processes);
  }

  async orphansGone(): Promise<void> {
    const orphans = this.#orphans.splice(0);
    if (orphans.length === 0) return;
    const deadlineMs = ((this.options.graceSeconds ?? 20) + 5) * 1000;
    let left: DeviceProcess[] = [];
    await waitFor('what the killed bridge had left', async () => {
      const now = await this.processes();
      left = now.filter(({ pid, command }) => orphans.some((orphan) => orphan.pid === pid && orphan.command === command));
      return left.length === 0;
    }, deadlineMs).catch(() => {
      throw new Error(`still on the device after its grace: ${left.map(({ pid, command }) => `${pid} ${command.slice(0, 60)}`).join(', ')}`);
    });
  }

  get knownHosts(): string {
    return join(this.dir, 'known_hosts');
  }

  /** Options of OpenSSH's clients; the destination is `host`. */
  sshOptions(): string[] {
    return [
      ...['-F', 'none', '-i', join(this.dir, 'id'), '-o', 'IdentitiesOnly=yes', '-o', 'IdentityAgent=none'],
      ...['-o', `UserKnownHostsFile=${this.knownHosts}`, '-o', 'GlobalKnownHostsFile=/dev/null', '-o', 'StrictHostKeyChecking=yes'],
      // INFO: what ends a connection before its login is told in no louder voice.
      ...['-o', 'ConnectTimeout=60', '-o', 'LogLevel=INFO', '-o', 'HostName=127.0.0.1', '-o', `Port=${this.port}`, '-o', `User=${this.account.name}`],
    ];
  }

  /** The device user's processes. */
  async processes(): Promise<DeviceProcess[]> {
    const found: DeviceProcess[] = [];
    for (const line of await survivors({ uid: this.account.uid })) {
      const pid = Number.parseInt(line, 10);
      const command = line.slice(String(pid).length + 1);
      found.push({ pid, kind: await kindOf(pid, command), command });
    }
    return found;
  }

  async pids(kind: DeviceProcess['kind']): Promise<number[]> {
    return (await this.processes()).filter((process) => process.kind === kind).map(({ pid }) => pid);
  }

  /** Files that are not of the login itself: sockets, temporary files, histories. */
  async leftFiles(): Promise<string[]> {
    const found: string[] = [];
    for (const folder of ['/tmp', '/var/tmp', '/dev/shm']) {
      // What rsync brought here keeps its owner; that is not on the device.
      const result = await run('find', [folder, '-xdev', '-path', this.dir, '-prune', '-o', '-user', this.account.name, '-print']);
      found.push(...result.stdout.toString().split('\n').filter(Boolean));
    }
    const home = await run('find', [this.account.home, '-mindepth', '1', '-not', '-name', 'blob', '-not', '-path', '*/work*']);
    found.push(...home.stdout.toString().split('\n').filter(Boolean));
    // User ids are used again: there may be files of somebody before.
    return found.filter((file) => !this.#before.has(file));
  }

  /** A folder on the device for one piece of work. */
  async deviceFolder(name: string): Promise<string> {
    const path = join(this.account.home, 'work', name);
    await mkdir(path, { recursive: true });
    await chown(join(this.account.home, 'work'), this.account.uid, this.account.uid);
    await chown(path, this.account.uid, this.account.uid);
    return path;
  }

  async localFolder(name: string): Promise<string> {
    const path = join(this.dir, 'work', name);
    await mkdir(path, { recursive: true });
    return path;
  }

  /** Everything known about a run that went wrong. */
  async dump(title: string): Promise<string> {
    this.bridge.child.kill('SIGUSR2');
    await waitFor('the state', () => this.bridge.stderr.includes('"state"'), 2_000).catch(() => undefined);
    const parts = [`==== ${title}`, '-- bridge'];
    parts.push(...this.bridge.stderr.trimEnd().split('\n').slice(-DUMP_LINES));
    parts.push('-- relay and agent', ...this.#lines.slice(-DUMP_LINES));
    parts.push('-- relay legs', JSON.stringify(this.relay.stats()), '-- agent', JSON.stringify(this.agent.stats()), '-- device');
    // A bridge that is silent may be stopped (T), at work (R), or waiting (S).
    const processes = [...(await this.processes()), { pid: this.bridge.pid, kind: 'bridge', command: `running=${this.bridge.running}` }];
    for (const { pid, kind, command } of processes) {
      const read = async (name: string): Promise<string> => (await readFile(`/proc/${pid}/${name}`, 'latin1').catch(() => '?')).trim();
      const state = /^State:\s*(\S)/m.exec(await read('status'))?.[1] ?? '?';
      const files = (await readdir(`/proc/${pid}/fd`).catch(() => [])).length;
      const [user, system] = (await read('stat')).replace(/.*\) /, '').split(' ').slice(11, 13);
      parts.push(`${pid} ${kind} ${state} ${await read('wchan')} fds=${files} ticks=${user}+${system} ${command.slice(0, 60)}`);
    }
    return parts.join('\n');
  }

  async saveDump(path: string, title: string): Promise<void> {
    appendFileSync(path, `${await this.dump(title)}\n\n`);
  }
}

/** The helper's daemon has its input on /dev/null, its front on the login's terminal; on the sh tier each has a name. */
async function kindOf(pid: number, command: string): Promise<DeviceProcess['kind']> {
  if (command.startsWith('sshd:')) return 'sshd';
  const sh = /^sh \S+\/\.iotda-[0-9a-f]+\/(?:(f)|r (?:jan|run|acc)\b)/.exec(command);
  if (sh !== null) return sh[1] === undefined ? 'daemon' : 'front';
  if (!command.includes('python3 -I -c exec(')) return 'other';
  const input = await readlink(`/proc/${pid}/fd/0`).catch(() => '');
  return input === '/dev/null' ? 'daemon' : input.startsWith('/dev/pts/') ? 'front' : 'other';
}

function secret(): string {
  return randomBytes(24).toString('base64url');
}

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** Preloaded into the bridge: a wall clock that a test can move. */
const CLOCK = new URL('./clock.mjs', import.meta.url).href;
