/**
 * The built-in SFTP server of the python helper and OpenSSH's sftp-server, each in a folder of the same name
 * and content, without the rights of root: what both answer to the same requests, made comparable.
 */
import {
  chmodSync, chownSync, lstatSync, lutimesSync, mkdirSync, readdirSync, readFileSync, readlinkSync, rmSync, symlinkSync, utimesSync, writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { inflateSync } from 'node:zlib';
import { expect } from 'vitest';
import { sftpProgram } from '../../src/helper/python/program.js';
import { evalPython, PYTHON } from '../support/py/run.js';
import type { Scope } from '../support/scope.js';
import { FXP, init, names, SftpPeer, type Answer, type Request } from '../support/sftp-wire.js';

export const OPENSSH = ['/usr/lib/openssh/sftp-server'];
/** nobody: so that permissions mean something where the tests run as root. */
export const UID = process.getuid?.() === 0 ? 65534 : undefined;
/** Before any half year ago, and after it for a very long time. */
export const OLD = 1_000_000_000;
export const NEW = 4_000_000_000;

/** Command lines of the built-in server, and the device's folder, from setUp() on. */
export let builtin: string[];
export let folder: string;

export async function setUp(scope: Scope): Promise<void> {
  const dir = await scope.tempDir('sftp');
  chmodSync(dir, 0o755);
  if (PYTHON === undefined) return;
  const program = join(dir, 'server.py');
  // It takes the user's rights on its own: the interpreter may lie where that user cannot go.
  const become = 'import sys\nfor n in map(int,sys.argv[1:]):os.setgroups([]);os.setgid(n);os.setuid(n)\n';
  writeFileSync(program, `${inflateSync(Buffer.from(sftpProgram(), 'base64')).toString()}${become}sftp_main(0,1)\n`);
  // What is called python3 may be a slow script around the real one.
  const interpreter = evalPython('import sys; print(sys.executable, end="")', '');
  builtin = [interpreter, '-S', '-E', program];
  folder = join(dir, 'device');
}

/** The device's files before each run: one of each sort, with times that do not change. */
export function prepare(): void {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder);
  const at = (name: string): string => join(folder, name);
  mkdirSync(at('dir'));
  mkdirSync(at('full'));
  writeFileSync(at('file'), 'some text\n'.repeat(100));
  writeFileSync(at('dir/inner'), 'x');
  writeFileSync(at('full/one'), '1');
  writeFileSync(at('empty'), '');
  writeFileSync(at('secret'), 'no');
  writeFileSync(at('-odd \'"name\n'), 'odd');
  // A name that is no UTF-8.
  writeFileSync(Buffer.concat([Buffer.from(at('bytes')), Buffer.from([0xff, 0xfe])]), '');
  symlinkSync('file', at('link'));
  symlinkSync('dir/', at('dirlink'));
  symlinkSync('nowhere', at('dangling'));
  symlinkSync('loop', at('loop'));
  symlinkSync('/', at('root'));
  symlinkSync('../device/dirlink/../link', at('far'));
  for (const [n, name] of walk(Buffer.from(folder)).entries()) lutimesSync(name, OLD, n % 2 === 0 ? OLD : NEW);
  for (const name of ['file', 'dir', 'full', 'empty', 'dir/inner', 'full/one', '']) if (UID !== undefined) chownSync(at(name), UID, UID);
  chmodSync(at('file'), 0o4755);
  chmodSync(at('dir'), 0o1751);
  chmodSync(at('secret'), 0o600);
  utimesSync(folder, OLD, OLD);
}

/** Everything below a folder, in the order of the names. Node's own recursion knows no bytes. */
function walk(at: Buffer): Buffer[] {
  const below = readdirSync(at, { encoding: 'buffer' }).sort(Buffer.compare);
  return below.map((name) => Buffer.concat([at, Buffer.from('/'), name])).flatMap((path) => [path, ...(lstatSync(path).isDirectory() ? walk(path) : [])]);
}

/** Bytes of a file's content that are compared: sparse ones are far too long. */
const CONTENT_MOST = 10_000;

/** What lies on the device, as text: names, kinds, modes, sizes, content. */
function listing(): string[] {
  return walk(Buffer.from(folder)).map((path) => {
    const stat = lstatSync(path);
    const { mode, uid, gid, nlink, size } = stat;
    const file = stat.isFile() ? (size > CONTENT_MOST ? size : readFileSync(path, 'latin1')) : '';
    return [path.subarray(folder.length).toString('latin1'), mode.toString(8), uid, gid, nlink, stat.isSymbolicLink() ? readlinkSync(path, 'latin1') : file].join(' ');
  });
}

/** The answer as text, without what two runs cannot have in common: when, and the order of a folder. */
export function seen({ kind, id, body }: Answer): string {
  const recent = Math.floor(Date.now() / 1000) - 3600;
  const plain = (a: Buffer, listed = false): string => {
    if (a.length < 32) return a.toString('hex');
    // The reading of a folder changes its own time: before or after it is looked at.
    const times = [a.readUInt32BE(24), a.readUInt32BE(28)].map((t, n) => ((t > recent && t < NEW - 1) || (n === 0 && (listed || t === OLD)) ? 'now' : t));
    return `${a.subarray(0, 24).toString('hex')} ${times.join()}`;
  };
  if (kind === FXP.ATTRS) return `${kind} ${id} ${plain(body)}`;
  if (kind !== FXP.NAME) return `${kind} ${id} ${body.toString('latin1')}`;
  // The clock may go to the next minute between the two runs.
  const long = (text: Buffer): string => text.toString('latin1').replace(/ \d\d:\d\d /, ' hh:mm ');
  const list = names(body).map((n) => `${n.name.toString('latin1')} | ${long(n.longName)} | ${plain(n.attributes, true)}`);
  return [`${kind} ${id}`, ...list.sort()].join('\n');
}

/** The server in the device's folder, without the rights of root. */
export function asUser(server: readonly string[]): SftpPeer {
  if (UID === undefined) return new SftpPeer(server, { cwd: folder });
  return server === builtin ? new SftpPeer([...server, String(UID)], { cwd: folder }) : new SftpPeer(server, { cwd: folder, uid: UID });
}

interface Trace {
  answers: string[];
  files: string[];
}

export async function trace(server: readonly string[], requests: readonly Request[]): Promise<Trace> {
  prepare();
  const peer = asUser(server);
  peer.write(init());
  await peer.have(1);
  const answers: Answer[] = [];
  for (const request of requests) answers.push(...(await peer.ask(request)));
  expect(await peer.end()).toBe(0);
  expect(peer.stderr).toBe('');
  return { answers: answers.map(seen), files: listing() };
}

/** Runs the requests on both; returns what OpenSSH answered when the built-in one did the same. */
export async function same(...requests: readonly Request[]): Promise<string[]> {
  const theirs = await trace(OPENSSH, requests);
  const ours = await trace(builtin, requests);
  expect(ours).toEqual(theirs);
  return theirs.answers;
}
