import type { Attrs } from './sftp-wire.js';

/** What stat -c prints for each file; the name is last because it may hold anything. */
export const STAT_FORMAT = '%f %s %u %g %X %Y %U %G %h';

export interface Stat {
  attrs: Required<Attrs>;
  user: string;
  group: string;
  links: number;
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
      atime: Math.max(0, Number(atime)),
      mtime: Math.max(0, Number(mtime)),
    },
    user: user === 'UNKNOWN' ? uid : user,
    group: group === 'UNKNOWN' ? gid : group,
    links: Number(links),
  };
}

const TYPES: Readonly<Record<number, string>> = { 0o14: 's', 0o12: 'l', 0o10: '-', 0o6: 'b', 0o4: 'd', 0o2: 'c', 0o1: 'p' };
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
const HALF_YEAR_MS = 182 * 24 * 3_600_000;

/** A line as `ls -l` prints it: what clients show for a name (draft section 7). */
export function longName(name: Buffer, stat: Stat, now: Date = new Date()): Buffer {
  const { mode, size, mtime } = stat.attrs;
  const bits = (shift: number, special: number, letter: string): string => {
    const own = mode >> shift;
    const execute = (own & 1) !== 0;
    const last = (mode & special) !== 0 ? (execute ? letter : letter.toUpperCase()) : execute ? 'x' : '-';
    return `${(own & 4) !== 0 ? 'r' : '-'}${(own & 2) !== 0 ? 'w' : '-'}${last}`;
  };
  const permissions = `${TYPES[mode >> 12] ?? '?'}${bits(6, 0o4000, 's')}${bits(3, 0o2000, 's')}${bits(0, 0o1000, 't')}`;
  const date = new Date(mtime * 1000);
  const day = `${MONTHS[date.getMonth()] ?? ''} ${String(date.getDate()).padStart(2)}`;
  const clock = `${String(date.getHours()).padStart(2, '0')}:${String(date.getMinutes()).padStart(2, '0')}`;
  const recent = Math.abs(now.getTime() - date.getTime()) < HALF_YEAR_MS;
  const when = `${day} ${recent ? clock : String(date.getFullYear()).padStart(5)}`;
  const head = `${permissions} ${String(stat.links).padStart(4)} ${stat.user.padEnd(8)} ${stat.group.padEnd(8)} ${String(size).padStart(8)} ${when} `;
  return Buffer.concat([Buffer.from(head), name]);
}
