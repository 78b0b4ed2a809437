/** The device end of the sh tier with a channel at work, and everything on the device that must stay as it is. */
import { spawn, type ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { decodeSegment } from '../../src/helper/sh/encoding.js';
import { parseFacts } from '../../src/helper/sh/facts.js';
import { programLines } from '../../src/helper/sh/program.js';
import { RecordScanner } from '../../src/helper/sh/scanner.js';
import { execScript } from '../../src/helper/sh/script.js';
import { start } from '../../src/helper/sh/start.js';
import { Uplink } from '../../src/helper/sh/uplink.js';
import { escapeForPrintf, INPUT_SLOTS, STREAM_SEGMENTS, type ShRecord } from '../../src/helper/sh/wire.js';
import type { SumTool } from '../../src/helper/sh/checksum.js';
import { survivors } from '../support/program.js';
import { bootSh } from '../support/sh-session.js';
import { createPtyDevice, type DeviceKind, type PtyCarrier, type PtyDevice } from '../support/pty-device.js';
import { waitFor } from '../support/wait.js';
import { must } from './engine.js';

export const LIVE = 7;
const NAME = '.iotda-fuzz';
/** Bytes that go inline; more go as a block. */
const INLINE_BYTES = 150;
/** How long a front may be busy with what it was given; well below it nothing wedges. */
const ANSWER_MS = 30_000;

export class ShFront {
  readonly tag: string;
  readonly device: PtyDevice;
  readonly #uplink: Uplink;
  readonly #lines: readonly string[];
  sum: SumTool = 'cksum';
  /** Lines submitted so far. */
  lines = 0;
  #login: PtyCarrier | undefined;
  #directory: string | undefined;
  #front = '';
  #decoy: ChildProcess | undefined;
  #before = '';
  #items = 0;
  #sent: Buffer[] = [];
  #got: Buffer[] = [];
  readonly #ahead = new Map<number, Buffer>();
  #arrived = 0;
  #received = 0;
  #pings = 0;
  #answered = 0;
  #ended = false;
  #ending = false;
  #broken: string | undefined;

  private constructor(kind: DeviceKind, tag: string) {
    this.tag = tag;
    this.device = createPtyDevice(kind);
    this.#lines = programLines({ tag, name: NAME, graceSeconds: 600, stateDir: this.device.state });
    this.#uplink = new Uplink(tag, { write: (text) => this.type(Buffer.from(text, 'latin1')), room: () => undefined });
  }

  static async start(kind: DeviceKind, tag: string): Promise<ShFront> {
    const front = new ShFront(kind, tag);
    front.#plant();
    await front.attach();
    front.submit(`x ${LIVE} p ${escapeForPrintf(execScript({ kind: 'exec', command: Buffer.from('cat'), env: {}, pty: undefined }))}`);
    front.#before = front.#outside();
    return front;
  }

  /** A new login, and a front that takes the place of the last one. */
  async attach(): Promise<void> {
    this.#uplink.pause();
    const login = this.device.login();
    this.#login = login;
    const boot = await bootSh(login);
    const plan = { tag: this.tag, lines: this.#lines, directory: this.#directory, take: (record: ShRecord) => this.#take(record) };
    const started = await start(login, boot, plan, AbortSignal.timeout(ANSWER_MS));
    if (started.hello !== undefined && this.#directory === undefined) {
      const facts = parseFacts(started.hello);
      this.sum = facts.sum;
      this.#directory = facts.dir;
      this.#uplink.useChecksum(facts.sum);
    }
    const scanner = new RecordScanner(this.tag, (record) => this.#take(record));
    login.onText = (bytes) => {
      scanner.feed(bytes);
    };
    this.#received = 0;
    this.#uplink.resume(started.last);
    this.#front = this.#generation();
  }

  /** The login is lost in the middle of whatever was typed. */
  drop(): void {
    this.#uplink.pause();
    this.#login?.drop();
  }

  type(text: Buffer): void {
    this.#login?.write(text);
  }

  submit(body: string): void {
    this.lines += 1;
    this.#uplink.submit({ kind: 'line', body });
  }

  /** A block as the bridge sends it, for any channel and slot, numbers or not. */
  block(channel: number | string, slot: number | string, bytes: Buffer): void {
    this.lines += 1;
    this.#uplink.submit({ kind: 'block', channel: channel as number, slot: slot as number, bytes });
  }

  /** These bytes come back from the live channel, and an answer from the same front. */
  async echoes(bytes: Buffer): Promise<void> {
    this.#sent.push(bytes);
    if (bytes.length <= INLINE_BYTES) this.submit(`i ${LIVE} ${escapeForPrintf(bytes)}`);
    else this.block(LIVE, this.#items % INPUT_SLOTS, bytes);
    this.#items += 1;
    const expected = Buffer.concat(this.#sent);
    await this.#until('the bytes to come back', () => this.#got.reduce((sum, piece) => sum + piece.length, 0) >= expected.length);
    must(Buffer.concat(this.#got).equals(expected), `${expected.length} bytes came back as others`);
    // What came back needs not be compared again.
    [this.#sent, this.#got] = [[], []];
    await this.#until('every line to be answered', () => this.#uplink.idle);
    const before = this.#answered;
    await this.#until('an answer', () => this.#answered > before, () => this.#uplink.note(`p ${(this.#pings += 1)}`));
    must(this.#generation() === this.#front, 'the front has ended');
  }

  unharmed(canary: string): void {
    must(!existsSync(canary), 'a command ran that no whole line asked for');
    const now = this.#outside();
    must(now === this.#before, `something changed outside the state directory:\n${this.#before}\n->\n${now}`);
    must(this.#decoy?.exitCode === null && this.#decoy.signalCode === null, 'a process was ended that is none of ours');
  }

  /** The end in order: no file, no process. */
  async end(): Promise<void> {
    this.#ending = true;
    await this.#until('the end to be told', () => this.#ended, () => this.#uplink.note('b'));
    let left: string[] = [];
    const ours = async (): Promise<string[]> => (await survivors({ environment: this.device.root })).filter((process) => process.includes(NAME));
    await waitFor('the helper to end', async () => (left = await ours()).length === 0).catch(() => must(false, `left running: ${left.join(', ')}`));
    must(!existsSync(join(this.device.state, NAME)), 'the state directory is left');
    this.drop();
    await waitFor('every process to end', async () => (left = await survivors({ environment: this.device.root })).length === 0).catch(() => must(false, `left running: ${left.join(', ')}`));
  }

  /** Whatever went wrong before. */
  async remove(): Promise<void> {
    this.drop();
    this.#decoy?.kill('SIGKILL');
    for (const process of await survivors({ environment: this.device.root })) kill(Number.parseInt(process, 10));
    this.device.remove();
  }

  /** `again` is what may be lost, and is repeated. */
  async #until(what: string, condition: () => boolean, again?: () => void): Promise<void> {
    again?.();
    const repeat = setInterval(() => again?.(), 1_000);
    try {
      await waitFor(what, () => this.#broken !== undefined || condition(), ANSWER_MS);
      must(this.#broken === undefined, this.#broken ?? '');
    } finally {
      clearInterval(repeat);
    }
  }

  #take(record: ShRecord): void {
    this.#uplink.heard();
    switch (record.type) {
      case 'a':
        return this.#uplink.acknowledged(record.value);
      case 'n':
        return this.#uplink.outOfStep(record.value);
      case 'm':
        return this.#uplink.damaged(record.value);
      case 'F':
        return this.#uplink.impossible(record.value);
      case 'p':
        this.#answered += 1;
        return;
      case 'b':
        this.#ended = true;
        return;
      case 'x':
        // The end hangs it up, and may tell so first.
        if (record.channel === LIVE && !this.#ending) this.#broken = `the live channel has ended (status ${record.status}, signal ${record.signal})`;
        return this.submit(`z ${record.channel}`);
      case 'o':
        if (record.channel === LIVE) this.#segment(record.index, decodeSegment(record.text, 'b64') ?? Buffer.alloc(0), record.text.length);
        return;
      default:
    }
  }

  #segment(index: number, bytes: Buffer, chars: number): void {
    if (index >= this.#arrived && !this.#ahead.has(index)) {
      this.#ahead.set(index, bytes);
      this.#received += chars;
    }
    for (let next = this.#ahead.get(this.#arrived); next !== undefined; next = this.#ahead.get(this.#arrived)) {
      this.#ahead.delete(this.#arrived);
      this.#arrived += 1;
      this.#got.push(next);
    }
    this.#uplink.note(`k ${this.#received} 131072 2 ${LIVE} o ${this.#arrived} ${this.#arrived + STREAM_SEGMENTS}`);
  }

  #generation(): string {
    const file = join(this.device.state, NAME, 'gen');
    const pid = existsSync(file) ? readFileSync(file, 'latin1').trim() : '';
    return pid !== '' && existsSync(`/proc/${pid}`) ? pid : 'none';
  }

  /** What looks as a channel does, beside the state directory, with a process of somebody else. */
  #plant(): void {
    const { home, state } = this.device;
    const decoy = join(state, 'decoy');
    mkdirSync(decoy);
    writeFileSync(join(home, 'keep'), 'kept');
    this.#decoy = spawn('sleep', ['100000'], { detached: true, stdio: 'ignore', env: { PATH: process.env['PATH'] } });
    for (const name of ['C', 'S', 'P']) writeFileSync(join(decoy, name), `${this.#decoy.pid}\n`);
    for (const name of ['o.u', 'e.u']) writeFileSync(join(decoy, name), '0 8\n');
    for (const name of ['o.0', 'o.1', 'x.0', 'h']) writeFileSync(join(decoy, name), 'kept');
    for (const name of ['p', 'g']) writeFileSync(join(decoy, name), join(home, 'keep'));
  }

  /** Every file of the device but those of the state directory. */
  #outside(): string {
    const { root } = this.device;
    return readdirSync(root, { recursive: true, encoding: 'utf8' })
      .filter((name) => !name.startsWith(`state/${NAME}`) && !name.startsWith('bin/'))
      .sort()
      .map((name) => {
        const stat = lstatSync(join(root, name));
        return `${name} ${stat.mode.toString(8)} ${stat.isFile() ? createHash('sha256').update(readFileSync(join(root, name))).digest('hex').slice(0, 8) : ''}`;
      })
      .join('\n');
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended.
  }
}
