import type { Attrs } from './sftp-wire.js';

/** What stat -c prints for each file; the name is last because it may hold anything. */
export const STAT_FORMAT = '%f %s %u %g %X %Y %U %G %h';

export interface Stat {
  attrs: Required<Attrs>;
  user: string;
  group: string;
  links: number;
  /** When it was changed, before 1970 too. */
  changedAt: number;
}

const FIELDS = /^([0-9a-f]+) (\d+) (\d+) (\d+) (-?\d+) (-?\d+) (\S+) (\S+) (\d+)/;

/** One line of STAT_FORMAT, or undefined. */
export function parseStat(text: string): Stat | undefined {
  const match = FIELDS.exec(text);
  if (match === null) return undefined;
  const [, mode = '0', size = '0', uid = '0', gid = '0', atime = '0', mtime = '0', user = '', group = '', links = '1'] = match;
  return {
    attrs: {
      mode: Number.parseInt(mode, 16),
      size: Number(size),
      uid: Number(uid),
      gid: Number(gid),
      // SFTP has no time before 1970: as in OpenSSH, such become times after 2038.
      atime: Number(atime) >>> 0,
      mtime: Number(mtime) >>> 0,
    },
    user: user === 'UNKNOWN' ? uid : user,
    group: group === 'UNKNOWN' ? gid : group,
    links: Number(links),
    changedAt: Number(mtime),
  };
}

/** Month and day with clock or year, or --full-time of BusyBox and GNU. */
const LISTED =
  /^([-dlbcps])([-rwxsStT]{9})[.+@]? +(\d+) +(\d+) +(\d+) +(?:(\d+), +)?(\d+) +(?:(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)(?:\.\d+)? ([-+]\d{4})|([A-Z][a-z]{2} +\d+ +[\d:]+))(?: ([^]*))?$/;
const LETTERS: Readonly<Record<string, number>> = { s: 0o14, l: 0o12, '-': 0o10, b: 0o6, d: 0o4, c: 0o2, p: 0o1 };

/**
 * One line of `ls -ln`, for devices without stat (Buildroot's BusyBox has none), and the name at its
 * end. Where ls knows no --full-time, the year and the seconds are a guess.
 */
export function parseListed(line: string, now: Date = new Date()): { stat: Stat; name: string } | undefined {
  const match = LISTED.exec(line);
  if (match === null) return undefined;
  const [, letter = '-', bits = '', links = '1', uid = '0', gid = '0', major, size = '0', day, clock, zone, loose, rest = ''] = match;
  const when = day === undefined ? looseTime(loose ?? '', now) : Date.parse(`${day}T${clock ?? '00:00:00'}${zone ?? '+0000'}`);
  const changedAt = Number.isNaN(when) ? 0 : Math.floor(when / 1000);
  const mtime = changedAt >>> 0;
  const stat: Stat = {
    attrs: { mode: ((LETTERS[letter] ?? 0) << 12) | modeBits(bits), size: major === undefined ? Number(size) : 0, uid: Number(uid), gid: Number(gid), atime: mtime, mtime },
    user: uid,
    group: gid,
    links: Number(links),
    changedAt,
  };
  return { stat, name: letter === 'l' ? rest.replace(/ -> [^]*$/, '') : rest };
}

function modeBits(text: string): number {
  let mode = 0;
  for (const [index, char] of [...text].entries()) {
    if (char === '-') continue;
    if (!'ST'.includes(char)) mode |= 1 << (8 - index);
    if ('sStT'.includes(char)) mode |= [0o4000, 0o2000, 0o1000][Math.floor(index / 3)] ?? 0;
  }
  return mode;
}

/** "Nov 22 20:56" is of the last twelve months, "Nov 22  2024" has its year; the device's zone is not known. */
function looseTime(text: string, now: Date): number {
  const [month = '', day = '1', last = ''] = text.split(/ +/);
  if (!last.includes(':')) return Date.parse(`${day} ${month} ${last} UTC`);
  const at = Date.parse(`${day} ${month} ${now.getUTCFullYear()} ${last} UTC`);
  const DAY_MS = 24 * 3_600_000;
  return at > now.getTime() + DAY_MS ? Date.parse(`${day} ${month} ${now.getUTCFullYear() - 1} ${last} UTC`) : at;
}

const TYPES: Readonly<Record<number, string>> = { 0o14: 's', 0o12: 'l', 0o10: '-', 0o6: 'b', 0o4: 'd', 0o2: 'c', 0o1: 'p' };
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
/** As in OpenSSH, half of 365 days. */
const HALF_YEAR_S = 15_768_000;

/** A line as `ls -l` prints it: what clients show for a name (draft section 7). */
export function longName(name: Buffer, stat: Stat, now: Date = new Date()): Buffer {
  const { mode, size } = stat.attrs;
  const bits = (shift: number, special: number, letter: string): string => {
    const own = mode >> shift;
    const execute = (own & 1) !== 0;
    const last = (mode & special) !== 0 ? (execute ? letter : letter.toUpperCase()) : execute ? 'x' : '-';
    return `${(own & 4) !== 0 ? 'r' : '-'}${(own & 2) !== 0 ? 'w' : '-'}${last}`;
  };
  const permissions = `${TYPES[mode >> 12] ?? '?'}${bits(6, 0o4000, 's')}${bits(3, 0o2000, 's')}${bits(0, 0o1000, 't')}`;
  const date = new Date(stat.changedAt * 1000);
  const day = `${MONTHS[date.getMonth()] ?? ''} ${String(date.getDate()).padStart(2)}`;
  const clock = `${String(date.getHours()).padStart(2, '0')}:${String(date.getMinutes()).padStart(2, '0')}`;
  const age = Math.floor(now.getTime() / 1000) - stat.changedAt;
  const recent = age >= 0 && age < HALF_YEAR_S;
  const when = `${day} ${recent ? clock : String(date.getFullYear()).padStart(5)}`;
  const head = `${permissions}  ${String(stat.links).padStart(3)} ${stat.user.padEnd(8)} ${stat.group.padEnd(8)} ${String(size).padStart(8)} ${when} `;
  return Buffer.concat([Buffer.from(head), name]);
}
