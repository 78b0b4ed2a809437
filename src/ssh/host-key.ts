/**
 * The server's host keys: made on first use, kept where only their owner can read them, so that
 * clients meet the same key at every start.
 */
import { randomBytes } from 'node:crypto';
import { chmod, link, mkdir, open, readFile, rm, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, isAbsolute, join } from 'node:path';
import ssh2 from 'ssh2';
import { Fault } from '../base/errors.js';
import { NO_FOLDER, systemReason } from '../base/system-error.js';

/** By default ed25519, then ecdsa for clients that lack it. */
const FILES = [
  { name: 'ssh_host_ed25519_key', type: 'ed25519' },
  { name: 'ssh_host_ecdsa_key', type: 'ecdsa' },
] as const;

/** Where the state of this program lives: $XDG_STATE_HOME/iotda-ssh, by default ~/.local/state/iotda-ssh. */
export function stateFolder(env: NodeJS.ProcessEnv = process.env): string {
  const base = env['XDG_STATE_HOME'];
  // The XDG specification says that a relative path is to be ignored.
  const root = base !== undefined && isAbsolute(base) ? base : join(homedir(), '.local', 'state');
  return join(root, 'iotda-ssh');
}

/** Private keys in OpenSSH's format, best first, from `folder`; what is missing is made. Rejects with a Fault LOCAL. */
export async function loadHostKeys(folder: string = stateFolder()): Promise<readonly string[]> {
  await makeFolder(folder);
  const privateKeys: string[] = [];
  for (const { name, type } of FILES) privateKeys.push(await readOrMake(join(folder, name), type));
  return privateKeys;
}

/** The same from files that the operator chose, of any type; ed25519 keys are made where they are missing. */
export async function loadHostKeyFiles(paths: readonly string[]): Promise<readonly string[]> {
  const privateKeys: string[] = [];
  for (const path of paths) privateKeys.push(await readOrMake(path, 'ed25519'));
  return privateKeys;
}

async function makeFolder(folder: string): Promise<void> {
  try {
    await makeFolders(folder);
    const found = await stat(folder);
    if ((found.mode & 0o022) !== 0 && found.uid === process.getuid?.()) await chmod(folder, 0o700);
  } catch (cause) {
    throw new Fault('LOCAL', `The folder for host keys, ${folder}, cannot be made: ${systemReason(cause, 'nothing can be made there')}. Set XDG_STATE_HOME to one that can.`, { cause });
  }
}

/**
 * Node's own `recursive` goes round in circles for ever where a folder is there and yet takes none
 * (/proc): here each folder is tried once more after the one above it was made, and no oftener.
 */
async function makeFolders(folder: string): Promise<void> {
  const make = async (): Promise<void> => {
    await mkdir(folder, { mode: 0o700 }).catch((cause: NodeJS.ErrnoException) => {
      if (cause.code !== 'EEXIST') throw cause;
    });
  };
  try {
    await make();
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ENOENT' || dirname(folder) === folder) throw cause;
    await makeFolders(dirname(folder));
    await make();
  }
}

async function readOrMake(path: string, type: 'ed25519' | 'ecdsa'): Promise<string> {
  const existing = await read(path);
  if (existing !== undefined) return existing;
  const made = makePrivateKey(type);
  await writeOnce(path, made);
  // Another process may have been first: its key is the one that counts.
  return (await read(path)) ?? made;
}

/**
 * A new private key in OpenSSH's format. ssh2 1.17 drops the leading zero byte of an ed25519 public
 * key, so that one key in 256 cannot be read back: such a key is thrown away.
 */
export function makePrivateKey(type: 'ed25519' | 'ecdsa'): string {
  for (;;) {
    const made = type === 'ed25519'
      ? ssh2.utils.generateKeyPairSync('ed25519', { comment: 'iotda-ssh' })
      : ssh2.utils.generateKeyPairSync('ecdsa', { bits: 256, comment: 'iotda-ssh' });
    if (!(ssh2.utils.parseKey(made.private) instanceof Error)) return made.private;
  }
}

async function read(path: string): Promise<string | undefined> {
  let content: string;
  try {
    const found = await stat(path);
    if (!found.isFile()) throw new Error('it is not a file');
    if ((found.mode & 0o077) !== 0) {
      throw new Fault('LOCAL', `The host key ${path} can be read by other users (mode ${(found.mode & 0o777).toString(8)}): run "chmod 600" on it, or remove it to have a new one made.`);
    }
    content = await readFile(path, 'utf8');
  } catch (cause) {
    if (cause instanceof Fault) throw cause;
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new Fault('LOCAL', `The host key ${path} cannot be read: ${systemReason(cause)}.`, { cause });
  }
  check(content, path);
  return content;
}

/** All or nothing, and never over another process's key: written aside, then linked into place. */
async function writeOnce(path: string, content: string): Promise<void> {
  const aside = `${path}.${randomBytes(6).toString('hex')}`;
  try {
    const file = await open(aside, 'wx', 0o600);
    try {
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
    await link(aside, path).catch((cause: NodeJS.ErrnoException) => {
      if (cause.code !== 'EEXIST') throw cause;
    });
  } catch (cause) {
    throw new Fault('LOCAL', `The host key ${path} cannot be written: ${systemReason(cause, NO_FOLDER)}.`, { cause });
  } finally {
    await rm(aside, { force: true });
  }
}

function check(content: string, path: string): void {
  const parsed = ssh2.utils.parseKey(content);
  const key = Array.isArray(parsed) ? parsed[0] : parsed;
  if (isEncrypted(content)) {
    throw new Fault('LOCAL', `The host key ${path} is protected by a passphrase, which nobody is there to type: use a key without one.`);
  }
  if (key === undefined || key instanceof Error) {
    throw new Fault('LOCAL', `The host key ${path} is damaged or no private key: name another file, or remove it to have a new one made (clients will then ask about the change).`, { cause: key });
  }
  if (!key.isPrivateKey()) throw new Fault('LOCAL', `The host key ${path} is a public key: name the file with the private one.`);
}

/** Whether a private key, in PEM or in OpenSSH's own format, wants a passphrase. */
function isEncrypted(content: string): boolean {
  if (/^(Proc-Type: 4,ENCRYPTED|-----BEGIN ENCRYPTED PRIVATE KEY-----)\s*$/m.test(content)) return true;
  const body = /^-----BEGIN OPENSSH PRIVATE KEY-----\n([A-Za-z0-9+/=\s]+)/m.exec(content)?.[1];
  if (body === undefined) return false;
  // PROTOCOL.key: the magic word with its NUL, then the name of the cipher.
  const bytes = Buffer.from(body, 'base64');
  const magic = Buffer.from('openssh-key-v1\0');
  const cipher = magic.length + 4;
  return bytes.subarray(0, magic.length).equals(magic) && bytes.length > cipher && !bytes.subarray(cipher).toString('latin1').startsWith('none');
}
