/**
 * The whole path with the C agent of this folder as the device's: sshd with a throwaway user, relay
 * (wss, as the platform), bridge, each a process of its own. The agent crashes for real, so there is
 * somebody who starts it again, as a device's service manager does.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { chown, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run, type Program } from '../support/program.js';
import type { Scope } from '../support/scope.js';
import { startCommand } from '../support/stack.js';
import { startSshd, type Sshd } from '../support/sshd.js';
import { throwawayUser, type ThrowawayUser } from '../support/user.js';
import { waitFor } from '../support/wait.js';

/** Before a crashed agent is there again. */
const RESTART_MS = 1_000;
/** An ssh_channel_write that takes longer hangs. */
const HUNG_MS = 3_000;
const WATCH_MS = 500;
/**
 * After this an agent that hangs is killed, as a device's watchdog would: when libssh's reader has closed
 * the socket on which the writer waits, nothing but a signal ends that wait.
 */
const HELP_MS = 40_000;
/** Lines of the agent kept for a dump. */
const NOTES = 200;

/** In the order of `struct counters`. */
const COUNTERS = [
  ...['tunnels', 'connects', 'logins', 'refusals', 'commands', 'commandBytes', 'writeFailures', 'readerEnds', 'shellEnds'],
  ...['outFrames', 'outBytes', 'outRefused', 'outShort', 'spliced', 'fragments', 'unreadable', 'writingSince'],
] as const;
export type Counters = Record<(typeof COUNTERS)[number] | 'crashes' | 'hangs' | 'kills' | 'ends', number>;

export interface CLabOptions {
  tier: 'python' | 'sh';
  /** The compiled agent. */
  agent: string;
  /** ws:// instead of wss://: other faults, since TLS has buffers of its own. */
  plain?: boolean;
  /** Further words for the agent. */
  agentArgs?: readonly string[];
  bridgeArgs?: readonly string[];
}

/** The agent's process and who starts it again. */
class Supervisor {
  crashes = 0;
  hangs = 0;
  /** Hangs that nothing in the path could end: see HELP_MS. */
  kills = 0;
  /** Times the agent took itself to be done: a tunnel that was closed for good. */
  ends = 0;
  readonly notes: string[] = [];
  readonly #args: readonly string[];
  readonly #options: CLabOptions;
  readonly #counters: string;
  #child: ChildProcess | undefined;
  #restart: NodeJS.Timeout | undefined;
  #watch: NodeJS.Timeout;
  #hungSince = 0;
  #stopped = false;

  constructor(options: CLabOptions, args: readonly string[], counters: string) {
    this.#options = options;
    this.#args = args;
    this.#counters = counters;
    this.#start();
    this.#watch = setInterval(() => this.#look(), WATCH_MS);
  }

  #start(): void {
    const child = spawn(this.#options.agent, this.#args, { stdio: ['ignore', 'ignore', 'pipe'] });
    this.#child = child;
    child.stderr.on('data', (bytes: Buffer) => this.#note(bytes.toString().trimEnd()));
    child.on('exit', (code, signal) => {
      if (this.#stopped) return;
      this.#note(`exit ${String(code)} ${String(signal)}`);
      if (code === 3) this.ends += 1;
      else if (!child.killed) this.crashes += 1;
      this.#restart = setTimeout(() => this.#start(), RESTART_MS);
    });
  }

  #note(text: string): void {
    this.notes.push(`${new Date().toISOString().slice(11, 23)} ${text}`);
    if (this.notes.length > NOTES) this.notes.shift();
  }

  /** An agent that has been typing for long does so for ever. */
  #look(): void {
    const { writingSince } = this.#read();
    if (writingSince === 0 || writingSince !== this.#hungSince) this.#hungSince = 0;
    const now = Number(process.hrtime.bigint() / 1_000_000n);
    if (writingSince === 0 || now - writingSince < HUNG_MS) return;
    if (this.#hungSince === 0) {
      this.#hungSince = writingSince;
      this.hangs += 1;
      this.#note('the agent hangs in ssh_channel_write');
    }
    if (now - writingSince < HELP_MS || this.#child?.killed === true) return;
    this.kills += 1;
    this.#note('the agent is killed');
    this.#child?.kill('SIGKILL');
  }

  #read(): Counters {
    const bytes = readFileSync(this.#counters);
    return Object.fromEntries(COUNTERS.map((name, n) => [name, bytes.length >= 8 * (n + 1) ? Number(bytes.readBigUInt64LE(8 * n)) : 0])) as Counters;
  }

  get counters(): Counters {
    return { ...this.#read(), crashes: this.crashes, hangs: this.hangs, kills: this.kills, ends: this.ends };
  }

  get pid(): number {
    return this.#child?.pid ?? -1;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#restart);
    clearInterval(this.#watch);
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await gone;
  }
}

export interface Recovery {
  ms: number;
  /** What the bridge took for the cause. */
  cause: string;
}

export class CLab {
  readonly scope: Scope;
  readonly options: CLabOptions;
  account!: ThrowawayUser;
  sshd!: Sshd;
  relay!: Program;
  bridge!: Program;
  agent!: Supervisor;
  dir!: string;
  port = 0;
  /** Clients at work. */
  readonly running = new Set<Program>();

  constructor(scope: Scope, options: CLabOptions) {
    this.scope = scope;
    this.options = options;
    scope.add(() => Promise.all([...this.running].map((program) => program.stop())));
  }

  async start(): Promise<void> {
    const { scope, options } = this;
    this.account = await throwawayUser(scope);
    this.sshd = await startSshd(scope, { users: [this.account.name] });
    this.dir = await scope.tempDir('c-agent');
    await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(this.dir, 'id')]);
    const file = async (name: string, text: string): Promise<string> => {
      await writeFile(join(this.dir, name), text, { mode: 0o600 });
      return join(this.dir, name);
    };
    const tunnel = { tunnel_id: randomUUID(), device_id: 'device-1', source_token: secret(), device_token: secret() };
    const logs = ['--log-level', 'info', '--log-format', 'json'];
    const tls = options.plain === true ? [] : await this.#certificate();
    const relay = await startCommand(scope, ['relay', '--listen', '127.0.0.1:0', '--tunnels', await file('tunnels.json', JSON.stringify([tunnel])), ...tls, ...logs]);
    this.relay = relay.program;
    const base = `${options.plain === true ? 'ws' : 'wss'}://localhost:${relay.ready.port}/v5/iot/tunnels/${tunnel.tunnel_id}`;
    const counters = await file('counters', '');
    const words = [`${base}/device-connect`, await file('device-token', `${tunnel.device_token}\n`), String(this.sshd.port), await file('agent-known-hosts', ''), counters];
    this.agent = new Supervisor(options, [...words, ...(options.agentArgs ?? [])], counters);
    scope.add(() => this.agent.stop());
    const bridge = await startCommand(
      scope,
      [
        ...['bridge', '--tunnel-uri', `${base}/source-connect`, '--token-file', await file('source-token', `${tunnel.source_token}\n`)],
        ...['--listen', '127.0.0.1:0', '--tier', options.tier, '--linger', '600', '--drain', '5'],
        ...(options.plain === true ? [] : ['--ca', join(this.dir, 'cert.pem')]),
        ...['--authorized-keys', join(this.dir, 'id.pub'), '--device-user', this.account.name],
        ...['--device-password-file', await file('password', this.account.password), ...logs, ...(options.bridgeArgs ?? [])],
      ],
      { env: { XDG_STATE_HOME: this.dir } },
    );
    this.bridge = bridge.program;
    this.port = bridge.ready.port;
    await file('known_hosts', `${String(bridge.ready.knownHosts)}\n`);
    // What every client here says, in a file so that all of them can be told of it.
    await file(
      'ssh_config',
      [
        'Host *',
        `  HostName 127.0.0.1`,
        `  Port ${this.port}`,
        `  User ${this.account.name}`,
        `  IdentityFile ${join(this.dir, 'id')}`,
        ...['  IdentitiesOnly yes', '  IdentityAgent none', '  BatchMode yes', '  StrictHostKeyChecking yes', '  GlobalKnownHostsFile /dev/null'],
        `  UserKnownHostsFile ${join(this.dir, 'known_hosts')}`,
        ...['  ConnectTimeout 60', '  LogLevel ERROR', ''],
      ].join('\n'),
    );
    await mkdir(join(this.dir, 'work'));
  }

  async #certificate(): Promise<string[]> {
    const [cert, key] = [join(this.dir, 'cert.pem'), join(this.dir, 'key.pem')];
    const made = await run('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost', '-keyout', key, '-out', cert]);
    if (made.status !== 0) throw new Error(`openssl: ${made.stderr.toString()}`);
    await run('chmod', ['600', key]);
    return ['--tls-cert', cert, '--tls-key', key];
  }

  get config(): string {
    return join(this.dir, 'ssh_config');
  }

  /** A folder of the device's user, below its home. */
  async deviceFolder(name: string): Promise<string> {
    const path = join(this.account.home, name);
    await mkdir(path, { recursive: true });
    await chown(path, this.account.uid, this.account.uid);
    return path;
  }

  /** What the bridge repaired so far. */
  recoveries(): Recovery[] {
    const found: Recovery[] = [];
    let cause = '';
    for (const { msg, reason, ms } of this.bridgeLog()) {
      if (msg.includes('was lost; logging in again')) cause = String(reason);
      if (msg === 'the session on the device goes on') found.push({ ms: Number(ms), cause });
    }
    return found;
  }

  bridgeLog(): { time: number; msg: string; [key: string]: unknown }[] {
    return this.bridge.stderr
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .flatMap((line) => {
        try {
          return [JSON.parse(line) as { time: number; msg: string }];
        } catch {
          return [];
        }
      });
  }

  dump(): string {
    return ['-- bridge', ...this.bridge.stderr.trimEnd().split('\n').slice(-60), '-- agent', ...this.agent.notes.slice(-40), JSON.stringify(this.agent.counters)].join('\n');
  }

  /** The device after the bridge has ended: no helper of ours. */
  async expectCleanDevice(): Promise<void> {
    await this.bridge.stop();
    await waitFor('a clean device', async () => {
      const { stdout } = await run('ps', ['-u', this.account.name, '-o', 'args=']);
      return !/python3 -I -c exec|iotda-ssh/.test(stdout.toString());
    }, 15_000);
  }
}

function secret(): string {
  return randomBytes(24).toString('base64url');
}
