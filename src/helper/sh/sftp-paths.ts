import { quote } from './script.js';
import { SftpError } from './sftp-file.js';
import { parseListed, parseStat, STAT_FORMAT, type Stat } from './sftp-stat.js';
import { BadPacket, STATUS, type Attrs } from './sftp-wire.js';
import { pathWord, shell, type SftpWorker } from './sftp-worker.js';

/** One name of a directory. */
export interface Entry {
  name: Buffer;
  stat: Stat;
}

/** File operations on names, each one line for the worker. None reads the worker's own input. */
export class SftpPaths {
  readonly #worker: SftpWorker;
  /** Whether the device has stat; else ls has to do. */
  readonly #hasStat: boolean;

  constructor(worker: SftpWorker, hasStat: boolean) {
    this.#worker = worker;
    this.#hasStat = hasStat;
  }

  async stat(path: Buffer, follow: boolean): Promise<Stat> {
    return this.#parse(await this.#run(this.#statLine(pathWord(path), follow)));
  }

  /** Shell code that prints what is to be known of one file as one line. */
  #statLine(word: Buffer, follow: boolean): Buffer {
    if (this.#hasStat) return shell`stat ${follow ? '-L ' : ''}-c '${STAT_FORMAT}' ${word}`;
    const list = `ls -${follow ? 'L' : ''}lnd`;
    // A name may hold line ends: only the first line is wanted.
    return shell`ls -d${follow ? 'L' : ''} ${word} >/dev/null && { ${list} --full-time ${word} 2>/dev/null || ${list} ${word}; } | { IFS= read -r l; printf '%s\\n' "$l"; }`;
  }

  #parse(output: Buffer): Stat {
    const line = output.toString('latin1').trimEnd();
    const stat = this.#hasStat ? parseStat(line) : parseListed(line)?.stat;
    if (stat === undefined) throw new SftpError(STATUS.FAILURE, 'The device tells of its files in a way that is not understood.');
    return stat;
  }

  /** Every entry, `.` and `..` included. */
  async list(path: Buffer): Promise<Entry[]> {
    if (!this.#hasStat) return await this.#listed(path);
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

  /**
   * Without stat: names from the shell, because BusyBox's ls prints `?` for what it cannot show, and
   * the rest from ls, which sorts the same names the same way (the worker's locale is C).
   */
  async #listed(path: Buffer): Promise<Entry[]> {
    const each = shell`for f in .* *; do if [ -e "$f" ] || [ -L "$f" ]; then set -- "$@" "./$f"; printf '%s/' "$f"; fi; done; echo`;
    const list = shell`{ ls -lnd --full-time "$@" 2>/dev/null || ls -lnd "$@"; }`;
    const output = (await this.#run(shell`cd ${pathWord(path)} && set -- && ${each} && ${list}`)).toString('latin1');
    const end = output.lastIndexOf('/\n');
    // Each character is one byte here, so this is the order of the C locale.
    const names = output.slice(0, Math.max(0, end)).split('/').sort((a, b) => (a < b ? -1 : 1));
    const stats = output
      .slice(end + 2)
      .split('\n')
      .flatMap((line) => parseListed(line)?.stat ?? []);
    if (names.length !== stats.length) throw new SftpError(STATUS.FAILURE, 'The directory changed while it was read.');
    return stats.map((stat, index) => ({ name: Buffer.from(names[index] ?? '', 'latin1'), stat }));
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
    const output = await this.#run(shell`if [ -L ${word} ]; then readlink ${word}; else ls -d ${word} >/dev/null && { echo 'not a link'; false; }; fi`);
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
    const exists = shell`ls -d${follow ? 'L' : ''} ${word} >/dev/null`;
    await this.#run(steps.reduce((line, step) => shell`${line} && ${step}`, exists));
  }

  /** Block size, fragment size, blocks, free, available, files, free files, name length. */
  async fileSystem(path: Buffer): Promise<number[]> {
    const word = pathWord(path);
    const output = await this.#run(shell`stat -f -c '%s %S %b %f %a %c %d %l' ${word} 2>/dev/null || df -kP ${word}`);
    const fields = (output.toString('latin1').trim().split('\n').at(-1) ?? '').split(/ +/);
    if (!fields.some((field) => field.endsWith('%'))) return fields.map(Number);
    // df: device, kilobytes, used, available, share, where.
    const [total = 0, used = 0, available = 0] = fields.slice(-5).map(Number);
    return [1024, 1024, total, total - used, available];
  }

  /** Creates or empties a file as open(2) would; tells nothing of an existing one. */
  async create(path: Buffer, options: { create: boolean; truncate: boolean; exclusive: boolean; mode: number | undefined }): Promise<void> {
    const word = pathWord(path);
    const present = shell`[ -e ${word} ]`;
    const mode = options.mode === undefined ? shell`` : shell` && chmod ${octal(options.mode)} ${word}`;
    const make = options.exclusive
      ? shell`if ${present} || [ -L ${word} ]; then echo 'File exists'; false; else printf '' >${word}${mode}; fi`
      : shell`if ${present}; then printf '' >${options.truncate ? '' : '>'}${word}; else printf '' >${word}${mode}; fi`;
    await this.#run(options.create ? make : shell`ls -dL ${word} >/dev/null && printf '' >${options.truncate ? '' : '>'}${word}`);
  }

  /** Attributes and the first `bytes` of a file, which must be readable and no directory. */
  async open(path: Buffer, bytes: number): Promise<{ stat: Stat; first: Buffer }> {
    const word = pathWord(path);
    const output = await this.#run(
      shell`${this.#statLine(word, true)} && if [ -d ${word} ]; then echo 'Is a directory'; false; elif [ -f ${word} ]; then dd if=${word} bs=${bytes} count=1 2>/dev/null || cat ${word} >/dev/null; fi`,
    );
    const line = output.indexOf(0x0a);
    return { stat: this.#parse(output.subarray(0, line)), first: output.subarray(line + 1) };
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
  if (bytes.includes(0)) throw new BadPacket('The target of a link holds a NUL.');
  if (!bytes.includes(0x0a)) return quote(bytes);
  const parts = bytes.toString('latin1').split('\n').map((part) => quote(Buffer.from(part, 'latin1')).toString('latin1'));
  return Buffer.from(parts.join('"$N"'), 'latin1');
}
