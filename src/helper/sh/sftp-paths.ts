import { SftpError } from './sftp-errors.js';
import { parseListed, parseStat, STAT_FORMAT, type Stat } from './sftp-stat.js';
import { STATUS } from './sftp-wire.js';
import { mustExist, pathWord, shell, type SftpWorker } from './sftp-worker.js';

/** One name of a directory. */
export interface Entry {
  name: Buffer;
  stat: Stat;
}

/** User names as shells and tools take them; others are asked for by nobody but attackers. */
const USER_NAME = /^[A-Za-z_][A-Za-z0-9_.-]*$/;

/** Longest name of a file; readlink does not mind a longer one that is missing. */
const NAME_BYTES = 255;

/** What is to be known of the device's files, each one line for the worker. */
export class SftpPaths {
  readonly #worker: SftpWorker;
  /** Whether the device has stat; else ls has to do. */
  readonly #hasStat: boolean;

  constructor(worker: SftpWorker, hasStat: boolean) {
    this.#worker = worker;
    this.#hasStat = hasStat;
  }

  async stat(path: Buffer, follow: boolean): Promise<Stat> {
    return this.#parse(await this.#worker.run(this.#statLine(pathWord(path), follow)));
  }

  /** Shell code that prints what is to be known of one file as one line. */
  #statLine(name: Buffer, follow: boolean): Buffer {
    if (this.#hasStat) return shell`stat ${follow ? '-L ' : ''}-c '${STAT_FORMAT}' ${name}`;
    const list = `ls -${follow ? 'L' : ''}lnd`;
    // A name may hold line ends: only the first line is wanted.
    return shell`${mustExist(name, follow)} && { ${list} --full-time ${name} 2>/dev/null || ${list} ${name}; } | { IFS= read -r l; printf '%s\\n' "$l"; }`;
  }

  #parse(output: Buffer): Stat {
    const line = output.toString('latin1').trimEnd();
    const stat = this.#hasStat ? parseStat(line) : parseListed(line)?.stat;
    if (stat === undefined) throw new SftpError(STATUS.FAILURE, 'The device tells of its files in a way that is not understood.');
    return stat;
  }

  /** Every entry, `.` and `..` included. */
  async list(path: Buffer): Promise<Entry[]> {
    const name = pathWord(path);
    // cd does not tell why it fails; a folder that may be read but not entered has names, but nothing
    // to be known of them, and OpenSSH passes over such.
    const enter = (list: Buffer): Buffer =>
      shell`if cd -P ${name} 2>/dev/null; then if [ -r . ]; then ${list}; else ls . >/dev/null; false; fi; elif [ -d ${name} ] && [ -r ${name} ]; then :; else ls ${name}/. >/dev/null; false; fi`;
    if (!this.#hasStat) return this.#listed(await this.#worker.run(enter(LISTED_NAMES)));
    const mark = '/:';
    const format = `${mark}${STAT_FORMAT} %n`;
    const [each, all] = [`stat -c '${format}'`, './* ./.[!.]* ./..?*'];
    const output = await this.#worker.run(
      // A plain stat where find lacks -maxdepth or -exec +. A name is printed as it is, so that a line
      // begins with a mark that no name can hold after a line end: no name holds a slash.
      enter(shell`{ ${each} . ..; find . -maxdepth 1 ! -name . -exec ${each} {} + 2>/dev/null || ${each} ${all} 2>/dev/null; :; }`),
    );
    const entries = new Map<string, Entry>();
    const text = output.toString('latin1').replace(/\n$/, '');
    for (const piece of `\n${text}`.split(`\n${mark}`).slice(1)) {
      const stat = parseStat(piece);
      const entry = piece.split(' ').slice(STAT_FORMAT.split(' ').length).join(' ').replace(/^\.\//, '');
      if (stat !== undefined && entry !== '') entries.set(entry, { name: Buffer.from(entry, 'latin1'), stat });
    }
    return [...entries.values()];
  }

  /** What LISTED_NAMES printed: names, each with a slash behind it, and a line of ls for each. */
  #listed(printed: Buffer): Entry[] {
    const output = printed.toString('latin1');
    if (output === '') return [];
    const end = output.lastIndexOf('/\n');
    // Each character is one byte here, so this is the order of the C locale.
    const names = output.slice(0, Math.max(0, end)).split('/').sort((a, b) => (a < b ? -1 : 1));
    const stats = output
      .slice(end + 2)
      .split('\n')
      .flatMap((line) => parseListed(line)?.stat ?? []);
    if (names.length !== stats.length) throw new SftpError(STATUS.FAILURE, 'The directory changed while it was read.');
    return names.map((name, index) => ({ name: Buffer.from(name, 'latin1'), stat: stats[index] as Stat }));
  }

  /**
   * The name without links, `.` and `..`. As OpenSSH: the last name need not exist, unless a slash
   * follows it.
   */
  async realPath(path: Buffer): Promise<Buffer> {
    const text = path.toString('latin1');
    let end = text.length;
    while (end > 1 && text[end - 1] === '/') end -= 1;
    const bare = text.slice(0, end) || '.';
    const slash = bare.lastIndexOf('/');
    if (bare.length - slash > NAME_BYTES + 1) throw new SftpError(STATUS.BAD_MESSAGE);
    const [above, base] = [Buffer.from(slash < 0 ? '.' : bare.slice(0, slash) || '/', 'latin1'), bare.slice(slash + 1)];
    const name = pathWord(Buffer.from(bare, 'latin1'));
    const there = text.length > bare.length && bare !== '.' ? shell`${mustExist(name, true)} && ` : shell``;
    // From within the folder: BusyBox 1.35 takes the target of a link to nowhere as seen from where it is.
    const resolve = shell`if [ -L ${name} ]; then (cd -P ${pathWord(above)} && readlink -f ${pathWord(Buffer.from(base, 'latin1'))}); else readlink -f ${name}; fi`;
    // Where readlink knows no -f, or not what is missing: the folder's own name, and the last one as it is.
    const output = await this.#worker.run(
      shell`${there}{ printf r; { ${resolve}; } 2>/dev/null || if [ -d ${name} ]; then cd -P ${name} && pwd -P; elif [ -L ${name} ]; then ls -dL ${name} >/dev/null; false; else ls -d ${pathWord(above)}/. >/dev/null && cd -P ${pathWord(above)} && printf d && pwd -P; fi; }`,
    );
    const found = output.subarray(1, -1).toString('latin1');
    if (!found.startsWith('d')) return Buffer.from(found, 'latin1');
    return Buffer.from(`${found.slice(1).replace(/\/$/, '')}/${base}`, 'latin1');
  }

  /** `~` and `~user` at the begin of a path become that home. */
  async expand(path: Buffer): Promise<Buffer> {
    const [, user, rest = ''] = /^~([^/]*)(?:\/([^]*))?$/.exec(path.toString('latin1')) ?? [];
    if (user === undefined) return await this.realPath(path);
    const folder = user === '' ? Buffer.from('.') : await this.home(user);
    if (folder === undefined) throw new SftpError(STATUS.NO_SUCH_FILE, 'no such user');
    return await this.realPath(path.includes(0x2f) ? Buffer.concat([folder, Buffer.from(`/${rest}`, 'latin1')]) : folder);
  }

  /** The home of a user, or undefined for nobody that the device knows. */
  async home(user: string): Promise<Buffer | undefined> {
    if (!USER_NAME.test(user)) return undefined;
    const output = await this.#worker.run(shell`printf '%s\\n' ~${user}`);
    const folder = output.subarray(0, -1);
    return folder[0] === 0x2f ? folder : undefined;
  }

  async readLink(path: Buffer): Promise<Buffer> {
    const name = pathWord(path);
    const output = await this.#worker.run(shell`if [ -L ${name} ]; then readlink ${name}; else ${mustExist(name, false)} && { echo ': Invalid argument'; false; }; fi`);
    return output.subarray(0, -1);
  }

  /** Block size, fragment size, blocks, free, available, files, free files, name length. */
  async fileSystem(path: Buffer): Promise<number[]> {
    const name = pathWord(path);
    const output = await this.#worker.run(shell`${mustExist(name, true)} && { stat -f -c '%s %S %b %f %a %c %d %l' ${name} 2>/dev/null || df -kP ${name}; }`);
    const fields = (output.toString('latin1').trim().split('\n').at(-1) ?? '').split(/ +/);
    if (!fields.some((field) => field.endsWith('%'))) return fields.map(Number);
    // df: device, kilobytes, used, available, share, where.
    const [total = 0, used = 0, available = 0] = fields.slice(-5).map(Number);
    return [1024, 1024, total, total - used, available];
  }

  /** Names of the device's users (`passwd`) or groups (`group`) with these numbers. */
  async names(database: 'passwd' | 'group', ids: readonly number[]): Promise<Map<number, string>> {
    const output = await this.#worker.run(shell`if command -v getent >/dev/null; then getent ${database} ${ids.join(' ')}; else cat /etc/${database}; fi; :`);
    const found = new Map<number, string>();
    for (const line of output.toString('latin1').split('\n')) {
      const [name, , id] = line.split(':');
      if (name !== undefined && id !== undefined && /^\d+$/.test(id) && !found.has(Number(id))) found.set(Number(id), name);
    }
    return found;
  }

  /** Shell code that prints attributes and the first `bytes` of a file that is to be read. */
  openForReading(path: Buffer, bytes: number): Buffer {
    const name = pathWord(path);
    // A folder can be opened; only reading it fails, as in OpenSSH.
    const readable = shell`if [ -f ${name} ]; then dd if=${name} bs=${bytes} count=1 2>/dev/null || cat ${name} >/dev/null; elif [ -d ${name} ] && [ ! -r ${name} ]; then echo ': Permission denied'; false; fi`;
    return shell`${this.#statLine(name, true)} && ${readable}`;
  }

  parseOpened(output: Buffer): { stat: Stat; first: Buffer } {
    const line = output.indexOf(0x0a);
    return { stat: this.#parse(output.subarray(0, line)), first: output.subarray(line + 1) };
  }
}

/**
 * Without stat: names from the shell, because BusyBox's ls prints `?` for what it cannot show, and
 * the rest from ls, which sorts the same names the same way (the worker's locale is C).
 */
const LISTED_NAMES = shell`set -- && for f in .* *; do if [ -e "$f" ] || [ -L "$f" ]; then set -- "$@" "./$f"; printf '%s/' "$f"; fi; done; echo; ls -lnd --full-time "$@" 2>/dev/null || ls -lnd "$@"`;

