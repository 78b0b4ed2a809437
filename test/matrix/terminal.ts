/** A person at a terminal: tmux plays one, the client is the real ssh in it. */
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { run } from '../support/program.js';
import { waitFor } from '../support/wait.js';
import { PROMPT, type Cell } from './cells.js';
import type { Side } from './observe.js';

/** For what a terminal shows; the oldest agents show it up to two seconds late, frame by frame. */
const SHOW_MS = 45_000;
/** Lines pasted at once. */
const PASTE_LINES = 400;

class Screen {
  readonly #socket = `iotda-ssh-${randomUUID()}`;
  readonly #env: Record<string, string>;

  constructor(password: string) {
    this.#env = { SSHPASS: password, TERM: 'xterm' };
  }

  async tmux(...args: string[]): Promise<string> {
    const result = await run('tmux', ['-L', this.#socket, '-f', '/dev/null', ...args], { env: this.#env });
    if (result.status !== 0) throw new Error(`tmux ${args.join(' ')}: ${result.stderr.toString()}`);
    return result.stdout.toString();
  }

  keys(...names: string[]): Promise<string> {
    return this.tmux('send-keys', '-t', 'main', ...names);
  }

  /** Types a line as a person does: text, then Enter. */
  async line(text: string): Promise<void> {
    await this.tmux('send-keys', '-t', 'main', '-l', text);
    await this.keys('Enter');
  }

  async shows(what: string | RegExp): Promise<string> {
    let last = '';
    return waitFor(`the screen to show ${String(what)}`, async () => {
      last = await this.tmux('capture-pane', '-p', '-t', 'main');
      return (typeof what === 'string' ? last.includes(what) : what.test(last)) && last;
    }, SHOW_MS).catch((error: unknown) => {
      throw new Error(`${String(error)}; it shows:\n${last.trimEnd()}`);
    });
  }

  async end(): Promise<void> {
    await run('tmux', ['-L', this.#socket, 'kill-server']);
  }
}

/** A prompt below everything else, and the same without the lines that vim shows beyond a file's end. */
const PROMPT_LAST = new RegExp(`${PROMPT}\\s*(right)?\\s*$`);
const NO_TILDES = new RegExp(`^[^~]*${PROMPT}\\s*(right)?\\s*$`);
/** A fresh prompt on an empty screen. */
const PROMPT_ALONE = new RegExp(`^${PROMPT}\\s*(right)?\\s*$`);

/**
 * What a login shows that the bridge does not know of: it has one login for all its sessions, so there
 * is no "last" one; and the system's own line of the message of the day comes from sshd's PAM, which the
 * reference here does without.
 */
const ofTheLogin = new RegExp(`^(Last login: .*|${motdLine()})$`);

function motdLine(): string {
  try {
    return readFileSync('/run/motd.dynamic', 'utf8').trim().split('\n').map((line) => line.trim().replaceAll(/[^\w ]/g, '.')).join('|');
  } catch {
    return 'none';
  }
}

export async function terminal(side: Side, { shell }: Cell): Promise<unknown> {
  // Both sides have the same home.
  const [note, pasted] = [`${side.name}.txt`, `${side.name}.pasted`];
  const screen = new Screen(side.target.password);
  const notes: string[] = [];
  try {
    const ssh = ['sshpass', '-e', ...side.words()].map((word) => `'${word}'`).join(' ');
    await screen.tmux('new-session', '-d', '-s', 'main', '-x', '90', '-y', '40', `${ssh}; echo "status=$?"; exec sleep 600`);
    const first = await screen.shows(PROMPT);
    // What a login shows, without when and from where it was last.
    notes.push(first.split('\n').map((line) => line.trimEnd()).filter((line) => line !== '' && !ofTheLogin.test(line)).join('\n'));
    const clear = async (): Promise<void> => {
      await screen.line('clear');
      await screen.shows(PROMPT_ALONE);
    };
    await clear();
    await screen.line('stty size; echo $TERM $SHLVL; echo $PATH');
    notes.push((await screen.shows(/40 90\n(.|\n)*\/bin(.|\n)*ready>/)).trimEnd());
    await screen.tmux('resize-window', '-t', 'main', '-x', '71', '-y', '24');
    await clear();
    await screen.line('stty size');
    await screen.shows(/^24 71$/m);
    // Ctrl-C ends what is in front, and the shell lives.
    await clear();
    await screen.line("sh -c 'echo sta\"rt\"ed; sleep 600'");
    await screen.shows(/^started$/m);
    await screen.keys('C-c');
    await clear();
    // Ctrl-Z and fg: dash and ash have job control in a terminal as well.
    await screen.line("sh -c 'echo sta\"rt\"ed; read x; echo got $x'");
    await screen.shows(/^started$/m);
    await screen.keys('C-z');
    await screen.shows(/(Stopped|suspended|has stopped|Suspended)/);
    await screen.line('fg');
    await screen.line('back');
    await screen.shows(/^got back$/m);
    await clear();
    await screen.line(`vim.tiny -u NONE ${note}`);
    // Full-screen programs throw away what was typed before and behind them: each end is waited for.
    await screen.shows(/^~\s*$/m);
    await screen.keys('i');
    await screen.tmux('send-keys', '-t', 'main', '-l', `written in ${shell}`);
    await screen.keys('Escape');
    await screen.line(':wq');
    await screen.shows(NO_TILDES);
    await clear();
    await screen.line(`cat ${note}; rm ${note}`);
    await screen.shows(new RegExp(`^written in ${shell}$`, 'm'));
    await clear();
    await screen.line('top -d 1');
    await screen.shows(/PID +USER/);
    await screen.keys('q');
    await screen.shows(PROMPT_LAST);
    await clear();
    // A long text pasted into a program that reads lines.
    const text = Array.from({ length: PASTE_LINES }, (_, index) => `line ${index} ${'x'.repeat(index % 60)}\n`).join('');
    await screen.line(`cat >${pasted}`);
    await screen.tmux('set-buffer', text);
    await screen.tmux('paste-buffer', '-t', 'main');
    await screen.shows(`line ${PASTE_LINES - 1} `);
    await screen.keys('C-d');
    await screen.shows(PROMPT_LAST);
    await clear();
    await screen.line(`cksum <${pasted}; rm ${pasted}`);
    notes.push(/^\d+ \d+$/m.exec(await screen.shows(/^\d+ \d+$/m))?.[0] ?? '');
    await screen.line('exit 7');
    await screen.shows('status=7');
    return notes;
  } finally {
    await screen.end();
  }
}
