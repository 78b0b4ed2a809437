import { quote } from './script.js';
import { SftpError } from './sftp-file.js';
import { parseStat, STAT_FORMAT, type Stat } from './sftp-stat.js';
import { STATUS, type Attrs } from './sftp-wire.js';
import { pathWord, shell, type SftpWorker } from './sftp-worker.js';

/** One name of a directory. */
export interface Entry {
  name: Buffer;
  stat: Stat;
}

/** File operations on names, each one line for the worker. None reads the worker's own input. */
export class SftpPaths {
  readonly #worker: SftpWorker;

  constructor(worker: SftpWorker) {
    this.#worker = worker;
  }

  async stat(path: Buffer, follow: boolean): Promise<Stat> {
    const output = await this.#run(shell`stat ${follow ? '-L ' : ''}-c '${STAT_FORMAT}' ${pathWord(path)}`);
    const stat = parseStat(output.toString('latin1'));
    if (stat === undefined) throw new SftpError(STATUS.FAILURE, 'The device has no usable stat.');
    return stat;
  }

  /** Every entry, `.` and `..` included. */
  async list(path: Buffer): Promise<Entry[]> {
    const mark = '/:';
    const format = `${mark}${STAT_FORMAT} %n`;
    const [each, all] = [`stat -c '${format}'`, './* ./.[!.]* ./..?*'];
    const output = await this.#run(
      // A plain stat where find lacks -maxdepth or -exec +. A name is printed as it is, so that a line
      // begins with a mark that no name can hold after a line end: no name holds a slash.
      shell`cd ${pathWord(path)} && { ${each} . ..; find . -maxdepth 1 ! -name . -exec ${each} {} + 2>/dev/null || ${each} ${all} 2>/dev/null; :; }`,
    );
    const entries = new Map<string, Entry>();
    const text = output.toString('latin1').replace(/\n$/, '');
    for (const piece of `\n${text}`.split(`\n${mark}`).slice(1)) {
      const stat = parseStat(piece);
      const name = piece.split(' ').slice(STAT_FORMAT.split(' ').length).join(' ').replace(/^\.\//, '');
      if (stat !== undefined && name !== '') entries.set(name, { name: Buffer.from(name, 'latin1'), stat });
    }
    return [...entries.values()];
  }

  async realPath(path: Buffer): Promise<Buffer> {
    const word = pathWord(path);
    const output = await this.#run(
      shell`p=${word}; readlink -f "$p" 2>/dev/null || if [ -d "$p" ]; then (cd "$p" && pwd -P); else case $p in /*) printf '%s\\n' "$p";; *) printf '%s/%s\\n' "$PWD" "$p";; esac; fi`,
    );
    return output.subarray(0, -1);
  }

  async readLink(path: Buffer): Promise<Buffer> {
    const word = pathWord(path);
    const output = await this.#run(shell`if [ -L ${word} ]; then readlink ${word}; else stat ${word} >/dev/null && { echo 'not a link'; false; }; fi`);
    return output.subarray(0, -1);
  }

  async remove(path: Buffer): Promise<void> {
    const word = pathWord(path);
    await this.#run(shell`if [ -d ${word} ] && [ ! -L ${word} ]; then echo 'Is a directory'; false; else rm ${word}; fi`);
  }

  async makeDirectory(path: Buffer, mode: number | undefined): Promise<void> {
    const word = pathWord(path);
    const bits = mode === undefined ? shell`` : shell` && chmod ${octal(mode)} ${word}`;
    await this.#run(shell`mkdir ${word}${bits}`);
  }

  async removeDirectory(path: Buffer): Promise<void> {
    await this.#run(shell`rmdir ${pathWord(path)}`);
  }

  /** `replace`: as rename(2) does; without it an existing target is an error (draft section 6.5). */
  async rename(from: Buffer, to: Buffer, replace: boolean): Promise<void> {
    const [source, target] = [pathWord(from), pathWord(to)];
    const exists = shell`[ -e ${target} ] || [ -L ${target} ]`;
    const check = replace
      ? // mv would move into a directory; rename(2) replaces an empty one by another.
        shell`if [ -d ${target} ] && [ ! -L ${target} ]; then if [ -d ${source} ] && [ ! -L ${source} ]; then rmdir ${target}; else echo 'Is a directory'; false; fi; fi`
      : shell`if ${exists}; then echo 'File exists'; false; fi`;
    await this.#run(shell`${check} && mv -f ${source} ${target}`);
  }

  async symlink(target: Buffer, link: Buffer): Promise<void> {
    await this.#link(shell`ln -s -- ${lineSafe(target)} ${pathWord(link)}`, link);
  }

  async hardlink(from: Buffer, to: Buffer): Promise<void> {
    await this.#link(shell`ln ${pathWord(from)} ${pathWord(to)}`, to);
  }

  /** Changes what is given, in the order of OpenSSH's server. `follow` false: the link itself. */
  async setAttrs(path: Buffer, attrs: Attrs, follow: boolean): Promise<void> {
    const word = pathWord(path);
    const h = follow ? '' : '-h ';
    const steps: Buffer[] = [];
    if (attrs.size !== undefined) steps.push(shell`dd if=/dev/null of=${word} bs=1 seek=${attrs.size} count=0 2>&1`);
    if (attrs.mode !== undefined) steps.push(shell`chmod ${octal(attrs.mode)} ${word}`);
    if (attrs.atime !== undefined && attrs.mtime !== undefined) {
      steps.push(shell`touch ${h}-a -c -d @${attrs.atime} ${word} && touch ${h}-m -c -d @${attrs.mtime} ${word}`);
    }
    if (attrs.uid !== undefined && attrs.gid !== undefined) steps.push(shell`chown ${h}${attrs.uid}:${attrs.gid} ${word}`);
    if (steps.length === 0) return;
    const exists = follow ? shell`stat -L ${word} >/dev/null` : shell`stat ${word} >/dev/null`;
    await this.#run(steps.reduce((line, step) => shell`${line} && ${step}`, exists));
  }

  /** Block size, fragment size, blocks, free, available, files, free files, name length. */
  async fileSystem(path: Buffer): Promise<number[]> {
    const output = await this.#run(shell`stat -f -c '%s %S %b %f %a %c %d %l' ${pathWord(path)}`);
    return output.toString('latin1').trim().split(' ').map(Number);
  }

  /** Creates or empties a file as open(2) would; tells nothing of an existing one. */
  async create(path: Buffer, options: { create: boolean; truncate: boolean; exclusive: boolean; mode: number | undefined }): Promise<void> {
    const word = pathWord(path);
    const present = shell`[ -e ${word} ]`;
    const mode = options.mode === undefined ? shell`` : shell` && chmod ${octal(options.mode)} ${word}`;
    const make = options.exclusive
      ? shell`if ${present} || [ -L ${word} ]; then echo 'File exists'; false; else printf '' >${word}${mode}; fi`
      : shell`if ${present}; then printf '' >${options.truncate ? '' : '>'}${word}; else printf '' >${word}${mode}; fi`;
    await this.#run(options.create ? make : shell`stat -L ${word} >/dev/null && printf '' >${options.truncate ? '' : '>'}${word}`);
  }

  /** Attributes and the first `bytes` of a file, which must be readable and no directory. */
  async open(path: Buffer, bytes: number): Promise<{ stat: Stat; first: Buffer }> {
    const word = pathWord(path);
    const output = await this.#run(
      shell`stat -L -c '${STAT_FORMAT}' ${word} && if [ -d ${word} ]; then echo 'Is a directory'; false; elif [ -f ${word} ]; then dd if=${word} bs=${bytes} count=1 2>/dev/null || cat ${word} >/dev/null; fi`,
    );
    const line = output.indexOf(0x0a);
    const stat = parseStat(output.toString('latin1', 0, line));
    if (stat === undefined) throw new SftpError(STATUS.FAILURE, 'The device has no usable stat.');
    return { stat, first: output.subarray(line + 1) };
  }

  async sync(): Promise<void> {
    await this.#run(shell`sync`);
  }

  async #link(make: Buffer, link: Buffer): Promise<void> {
    const word = pathWord(link);
    await this.#run(shell`if [ -e ${word} ] || [ -L ${word} ]; then echo 'File exists'; false; else ${make}; fi`);
  }

  async #run(line: Buffer): Promise<Buffer> {
    await this.#worker.room();
    const answer = await this.#worker.ask(shell`( ${line} ) </dev/null 2>&1`);
    if (answer.status !== 0) throw SftpError.of(answer.output);
    return answer.output;
  }
}

function octal(mode: number): string {
  return (mode & 0o7777).toString(8).padStart(4, '0');
}

/** Any bytes as one word on one line. */
function lineSafe(bytes: Buffer): Buffer {
  if (!bytes.includes(0x0a)) return quote(bytes);
  const parts = bytes.toString('latin1').split('\n').map((part) => quote(Buffer.from(part, 'latin1')).toString('latin1'));
  return Buffer.from(parts.join('"$N"'), 'latin1');
}
