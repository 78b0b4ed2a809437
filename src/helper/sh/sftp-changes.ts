import { SftpError } from './sftp-errors.js';
import { STATUS, type Attrs } from './sftp-wire.js';
import { mustExist, pathWord, shell, word, type SftpWorker } from './sftp-worker.js';

/** How OPEN wants a file to be before it is used. */
export interface OpenWish {
  write: boolean;
  create: boolean;
  truncate: boolean;
  /** Only together with `create`. */
  exclusive: boolean;
  /** Mode of a new file, the umask taken off already. */
  mode: number | undefined;
}

/** Right of the owner to write, in a mode. */
export const OWNER_WRITES = 0o200;
/** Printed by open() where the file is to lose that right when it is closed. */
export const KEPT_OPEN = '+';

/** "Leave it as it is" for an owner, as chown(2) has it. */
const NO_OWNER = 0xffffffff;

/** Changes of the device's files by name, each one line for the worker. */
export class SftpChanges {
  readonly #worker: SftpWorker;
  readonly #hasStat: boolean;

  constructor(worker: SftpWorker, hasStat: boolean) {
    this.#worker = worker;
    this.#hasStat = hasStat;
  }

  async remove(path: Buffer): Promise<void> {
    const name = pathWord(withoutSlash(path));
    // With a slash behind it, it has to be a folder, which unlink(2) does not remove.
    const other = withoutSlash(path).length < path.length ? shell`${mustExist(name, false)} && { echo ': Not a directory'; false; }` : shell`rm ${name}`;
    await this.#worker.run(shell`if [ -d ${name} ] && [ ! -L ${name} ]; then echo ': Is a directory'; false; else ${other}; fi`);
  }

  async makeDirectory(path: Buffer, mode: number | undefined): Promise<void> {
    const name = pathWord(path);
    // mkdir(2) takes no more of it.
    const bits = mode === undefined ? shell`` : shell` && chmod ${octal(mode & 0o1777)} ${name}`;
    await this.#worker.run(shell`mkdir ${name}${bits}`);
  }

  async removeDirectory(path: Buffer): Promise<void> {
    await this.#worker.run(shell`rmdir ${pathWord(path)}`);
  }

  /**
   * `replace`: as rename(2) does; without it an existing target is an error (draft section 6.5). False when
   * both were names of one file, and still are.
   */
  async rename(from: Buffer, to: Buffer, replace: boolean): Promise<boolean> {
    const [source, target] = [pathWord(from), pathWord(to)];
    // mv copies from one file system to another, which rename(2) does not, and nobody could interrupt.
    const last = withoutSlash(to);
    const above = last.subarray(0, last.lastIndexOf(0x2f) + 1);
    const parent = pathWord(above.length > 0 ? above : Buffer.from('.'));
    const device = this.#hasStat
      ? shell`if [ "$(stat -c %d ${source})" != "$(stat -L -c %d ${parent})" ]; then ls -d ${parent} >/dev/null && echo ': Invalid cross-device link'; false; fi && `
      : shell``;
    // mv would move into a folder, also behind a link; rename(2) replaces an empty one by another, and
    // does nothing with two names of one file.
    const move = replace
      ? shell`if [ ${source} -ef ${target} ] && [ ! -L ${source} ] && [ ! -L ${target} ]; then echo same; else if [ -d ${target} ]; then if [ -L ${target} ]; then if [ -d ${source} ] && [ ! -L ${source} ]; then echo ': Not a directory'; false; else rm ${target}; fi; elif [ -d ${source} ] && [ ! -L ${source} ]; then rmdir ${target}; else echo ': Is a directory'; false; fi; fi && mv -f ${source} ${target}; fi`
      : shell`${absent(target)} && mv -f ${source} ${target}`;
    const folder = replace && withoutSlash(to).length < to.length ? shell`if [ ! -d ${source} ] || [ -L ${source} ]; then echo ': Not a directory'; false; fi && ` : shell``;
    return (await this.#worker.run(shell`${mustExist(source, false)} && ${folder}${device}${move}`)).toString('latin1') !== 'same\n';
  }

  async symlink(target: Buffer, link: Buffer): Promise<void> {
    await this.#worker.run(shell`${absent(pathWord(link))} && ln -s -- ${word(target)} ${pathWord(link)}`);
  }

  async hardlink(from: Buffer, to: Buffer): Promise<void> {
    const source = pathWord(from);
    await this.#worker.run(shell`${mustExist(source, false)} && ${absent(pathWord(to))} && ln ${source} ${pathWord(to)}`);
  }

  /** As OpenSSH: changes all that is given, whatever fails; the last failure is told. `follow` false: the link itself. */
  async setAttrs(path: Buffer, attrs: Attrs, follow: boolean): Promise<void> {
    if (!follow && attrs.size !== undefined) throw new SftpError(STATUS.BAD_MESSAGE);
    const name = pathWord(path);
    const h = follow ? '' : '-h ';
    const steps: Buffer[] = [];
    if (attrs.size !== undefined) {
      // A FIFO would make dd wait for a reader.
      steps.push(shell`if [ ! -f ${name} ] && [ ! -d ${name} ]; then echo ': Invalid argument'; false; else dd if=/dev/null of=${name} bs=1 seek=${attrs.size} count=0; fi`);
    }
    if (attrs.mode !== undefined) {
      // chmod follows links, and Linux has no mode for them.
      const link = follow ? shell`` : shell`if [ -L ${name} ]; then echo ': Operation not supported'; false; fi && `;
      steps.push(shell`${link}chmod ${octal(attrs.mode)} ${name}`);
    }
    if (attrs.atime !== undefined && attrs.mtime !== undefined) {
      steps.push(shell`touch ${h}-a -c -d @${attrs.atime} ${name} && touch ${h}-m -c -d @${attrs.mtime} ${name}`);
    }
    if (attrs.uid !== undefined && attrs.gid !== undefined) {
      const [user, group] = [attrs.uid === NO_OWNER ? '' : `${attrs.uid}`, attrs.gid === NO_OWNER ? '' : `:${attrs.gid}`];
      if (user + group !== '') steps.push(shell`chown ${h}${user}${group} ${name}`);
    }
    if (steps.length === 0) return;
    const each = steps.map((step) => shell`{ ${step}; } || e=1; `);
    await this.#worker.run(shell`${mustExist(name, follow)} || exit; e=0; ${Buffer.concat(each)}[ $e = 0 ]`);
  }

  /**
   * Shell code that makes a file what open(2) would; changes nothing in one that is only opened. A new one
   * that its owner may not write but the opener will is made with that right, and KEPT_OPEN is printed.
   */
  open(path: Buffer, wish: OpenWish): Buffer {
    const name = pathWord(path);
    const isKept = wish.write && wish.mode !== undefined && (wish.mode & OWNER_WRITES) === 0;
    const mode = wish.mode === undefined ? shell`` : isKept ? shell` && chmod ${octal(wish.mode | OWNER_WRITES)} ${name} && printf ${KEPT_OPEN}` : shell` && chmod ${octal(wish.mode)} ${name}`;
    const present = wish.truncate ? shell`printf '' >${name}` : wish.write ? shell`printf '' >>${name}` : wish.create ? shell`if [ -d ${name} ]; then echo ': Is a directory'; false; fi` : shell`:`;
    if (!wish.create) return shell`${mustExist(name, true)} && ${present}`;
    const create = shell`printf '' >${name}${mode}`;
    return wish.exclusive ? shell`${absent(name)} && ${create}` : shell`if [ -e ${name} ]; then ${present}; else ${create}; fi`;
  }

  /**
   * Copies `bytes` (to the end: undefined) from one file into another. Between offsets that are no
   * multiple of a block the bytes go through a pipe.
   */
  async copy(from: Buffer, offset: number, bytes: number | undefined, to: Buffer, at: number): Promise<void> {
    const [source, target] = [pathWord(from), pathWord(to)];
    const start = offset === 0 ? shell`cat ${source}` : shell`tail -c +${offset + 1} ${source}`;
    const read = bytes === undefined ? start : shell`${start} | head -c ${bytes}`;
    await this.#worker.run(shell`{ ${read}; } | { ${writeAt(target, at)}; }`);
  }

  /** A sync that knows no names does more than it is asked for. */
  async sync(path: Buffer): Promise<void> {
    await this.#worker.run(shell`sync ${pathWord(path)}`);
  }
}

function withoutSlash(path: Buffer): Buffer {
  let end = path.length;
  while (end > 1 && path[end - 1] === 0x2f) end -= 1;
  return path.subarray(0, end);
}

/** Block size of dd where what it writes need not begin at a multiple of one. */
const ALIGN_BYTES = 4096;

/**
 * Shell code that writes its standard input into a file from an offset on, and leaves the rest as it is.
 * `last` stands before the program that is the last one.
 */
export function writeAt(name: Buffer, at: number, last = ''): Buffer {
  const odd = (ALIGN_BYTES - (at % ALIGN_BYTES)) % ALIGN_BYTES;
  const head = odd === 0 ? shell`` : shell`dd bs=1 count=${odd} seek=${at} conv=notrunc of=${name} && `;
  return shell`${head}${last}dd bs=${ALIGN_BYTES} seek=${(at + odd) / ALIGN_BYTES} conv=notrunc of=${name}`;
}

/** Shell code that fails where something has this name, be it a link to nowhere. */
function absent(name: Buffer): Buffer {
  return shell`if [ -e ${name} ] || [ -L ${name} ]; then echo ': File exists'; false; fi`;
}

function octal(mode: number): string {
  return (mode & 0o7777).toString(8).padStart(4, '0');
}
