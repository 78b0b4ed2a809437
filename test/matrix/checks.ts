/**
 * What is looked at in every cell. A check gives what it saw; the bridge's sight must equal that of the
 * device's own sshd, unless the table below names a difference and its reason.
 */
import { randomBytes } from 'node:crypto';
import { seen, sha, type Side } from './observe.js';
import type { Cell } from './cells.js';
import { terminal } from './terminal.js';

export interface Check {
  name: string;
  look(side: Side, cell: Cell): Promise<unknown>;
  /** Why the bridge sees something else here, and what; undefined: it must not. */
  differs?(cell: Cell): string | undefined;
}

const BYTES = Buffer.from(Array.from({ length: 256 }, (_, value) => value));

/** What is long is looked at with one shell only. */
const once = ({ shell }: Cell): boolean => shell === 'bash';

/** Megabytes each way: what the oldest agents carry in a minute is less. */
function bulkMegabytes({ shell, profile, tier }: Cell): number {
  if (shell !== 'bash' || profile.startsWith('c-agent-g')) return 1;
  return tier === 'sh' ? 8 : 100;
}

const SCRIPT = ['echo one', 'pwd', 'sh -c "echo err >&2"', 'cat <<X', 'here', 'X', 'exit 9', ''].join('\n');
/** fish has no here documents. */
const FISH_SCRIPT = ['echo one', 'pwd', 'sh -c "echo err >&2"', 'exit 9', ''].join('\n');

/** The status as ssh tells it, with exit-signal told apart. */
async function ending(side: Side, command: string): Promise<unknown> {
  const ran = await side.login([command], '', ['-v', '-o', 'LogLevel=DEBUG']);
  return [ran.status, /exit-signal/.test(ran.stderr.toString())];
}

export const CHECKS: readonly Check[] = [
  {
    name: 'streams and status',
    async look(side) {
      return [
        seen(await side.login(['exit 37'])),
        seen(await side.ssh([`sh -c 'echo out; echo err >&2; exit 3'`])),
        seen(await side.ssh(['/nowhere/to/be'])),
        seen(await side.ssh(["printf 'no newline'"], '')),
        seen(await side.ssh([`echo "a  b" 'c$d' | cat; true`])),
      ];
    },
  },
  {
    name: 'exit statuses',
    async look(side, cell) {
      const all = once(cell) && !cell.profile.startsWith('c-agent-g') ? Array.from({ length: 256 }, (_, value) => value) : [0, 1, 126, 127, 128, 129, 143, 254, 255];
      const found: (number | null)[] = [];
      for (let at = 0; at < all.length; at += 8) {
        found.push(...(await Promise.all(all.slice(at, at + 8).map(async (status) => (await side.ssh([`exit ${status}`])).status))));
      }
      return found;
    },
  },
  {
    name: 'signals',
    look: async (side) => [await ending(side, "exec sh -c 'kill -TERM $$'"), await ending(side, "exec sh -c 'kill -KILL $$'"), await ending(side, "exec sh -c 'exit 143'")],
  },
  {
    name: 'every byte',
    async look(side) {
      return [sha((await side.ssh(['cat'], BYTES)).stdout), sha((await side.ssh(['cat >&2'], BYTES)).stderr), seen(await side.ssh(['wc -c'], BYTES)), seen(await side.ssh(['wc -c'], ''))];
    },
  },
  {
    name: 'bulk',
    async look(side, cell) {
      const bulk = randomBytes(bulkMegabytes(cell) * 1024 * 1024);
      const { status, stdout, stderr } = await side.ssh(['cat'], bulk, [], 600_000);
      return { status, stderr: stderr.toString(), equal: sha(stdout) === sha(bulk) };
    },
  },
  {
    name: 'both streams large',
    async look(side) {
      const command = `sh -c 'head -c 700000 /dev/zero | tr "\\0" o & head -c 700000 /dev/zero | tr "\\0" e >&2; wait; exit 4'`;
      const { status, stdout, stderr } = await side.ssh([command]);
      return [status, sha(stdout), sha(stderr)];
    },
  },
  {
    name: 'environment',
    async look(side) {
      // fish exports what it knows of its terminal as well: `env` alone, then, tells of the session.
      return [seen(await side.ssh(['env | sort'])), seen(await side.login([`sh -c 'umask; pwd; ulimit -a; id; tty'`]))];
    },
  },
  { name: 'name of the shell', look: async (side) => seen(await side.ssh([`sh -c 'tr "\\0" " " </proc/$PPID/cmdline'; true`])) },
  {
    name: 'script on stdin',
    async look(side, { shell }) {
      return seen(await side.login([], shell === 'fish' ? FISH_SCRIPT : SCRIPT, ['-T']));
    },
  },
  {
    name: '-tt with a command',
    look: async (side) => seen(await side.login([`sh -c 'tty; stty size; echo $TERM; stty -a; exit 6'`], '', ['-tt'])),
  },
  {
    name: 'background children',
    async look(side) {
      const held = Date.now();
      const late = await side.ssh([`sh -c '(sleep 2; echo late) & echo now'`]);
      const heldMs = Date.now() - held;
      const let_go = Date.now();
      const free = await side.ssh([`sh -c 'sleep 60 >/dev/null 2>&1 </dev/null & echo now'`]);
      return [seen(late), heldMs > 1900, seen(free), Date.now() - let_go < 30_000];
    },
  },
  {
    name: 'stdin left alone',
    look: async (side) => seen(await side.ssh(['true'], Buffer.alloc(3_000_000))),
  },
  {
    name: 'passwords',
    async look(side) {
      const interactive = await side.login(['echo in'], '', ['-o', 'PreferredAuthentications=keyboard-interactive,password']);
      const none = await side.login(['echo in'], '', ['-o', 'PreferredAuthentications=none']);
      const wrong = await side.login(['echo in'], '', ['-o', 'NumberOfPasswordPrompts=3'], 'wrong');
      return [seen(interactive), none.status, none.stdout.toString(), wrong.status];
    },
  },
  {
    name: 'many at once on one connection',
    async look(side, cell) {
      const many = cell.profile.startsWith('c-agent-g') || !once(cell) ? 8 : 20;
      const runs = await Promise.all(Array.from({ length: many }, (_, index) => side.ssh([`cat; exit ${index}`], `input of ${index}\n`)));
      return runs.map(seen);
    },
  },
  {
    name: 'many connections at once',
    async look(side, cell) {
      const many = cell.profile.startsWith('c-agent-g') || !once(cell) ? 5 : 20;
      const runs = await Promise.all(Array.from({ length: many }, (_, index) => side.login([`cat; exit ${index}`], `input of ${index}\n`)));
      return runs.map(seen);
    },
  },
  { name: 'a terminal', look: terminal },
];
