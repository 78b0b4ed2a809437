import { randomBytes } from 'node:crypto';
import { Fault } from '../base/errors.js';
import type { Log } from '../base/log.js';
import { visible } from '../base/words.js';
import type { Carrier } from '../link/carrier.js';
import type { Boot } from '../mux/backend.js';

/** Tools whose presence decides the tier and the ways within it. */
const PROBED_TOOLS = [
  'python3', 'perl', 'stty', 'setsid', 'base64', 'dd', 'od', 'cksum', 'mkfifo', 'script', 'nc', 'socat', 'awk', 'stat', 'busybox', 'openssl',
];

/** How long each way of waking the login shell may take before the next is tried. */
export const BOOT_ATTEMPT_MS = 5_000;
/** An agent that stalls, or sends output only after a command, is asked this often. */
const NUDGE_MS = 500;
/** Text kept while looking for the marker; MOTDs and prompts are shorter. */
const NOISE_LIMIT_BYTES = 64 * 1024;
/** As much of the end of what was typed is looked for at the end of what came. */
const ECHO_CHARS = 100;
/** As much of its last line is told where a start fails. */
const LAST_WORDS_CHARS = 200;

/**
 * What is typed before the line, try by try: nothing; an Enter for a start-up program that waits or a
 * half-typed line. Never Ctrl-C: it ends a login that is a menu, and the agent does not survive the
 * end of its shell.
 */
const PRELUDES = ['', '\r', '\r'];

/** What the boot sh says of itself among the tools when it is bash. */
const BASH = 'bash';

/** What bash, mksh and zsh say when they are restricted (rbash …) and run programs by name only. */
const RESTRICTED = '/bin/sh: restricted';

/** Prints the marker with the tools found. */
const ANSWER = 'printf "@%s%s,@" $w "$f"';

/** Seconds until the boot sh itself ends a login in which no helper has started; the bridge has given up by then, or knows that the device is slow. */
const WATCH_SECONDS = 20;
/**
 * Ends the watch: to be a part of what starts a helper. Nothing else has this name.
 */
export const END_WATCH = '[ "$Iwatch" ]&&kill $Iwatch 2>/dev/null;Iwatch=;';

/**
 * The agent may hang while it types the boot line, before anything is on the device that could free it: then the
 * boot sh has to. It resets the connection of the login's SSH server as 54_reset.py does, which see; here in few words,
 * since line editors take 1,023 characters (BusyBox). `(pattern)` for old bash, which cannot do with the half of it in `$()`.
 */
const WATCH = [
  `(sleep ${String(WATCH_SECONDS)}&z=$!`,
  'trap "kill $z;exit" TERM',
  'wait $z||exit',
  'read x x x s x </proc/$PPID/stat',
  'read x c x </proc/$s/stat',
  'case $c in ("(sshd"*|"(dropbear"*);;(*)exit;;esac',
  'set -- $SSH_CONNECTION',
  'n=$(printf %04X.%04X $4 $2)',
  '(sleep 15;kill -KILL $s)&while kill -STOP $s;do sleep .1||sleep 1',
  'q=$(cat /proc/net/tcp*|while read x a b x q x;do case ${a##*:}.${b##*:} in ($n)echo ${q#*:};;esac;done)',
  '[ "$q" = 00000000 ]||break',
  'kill -CONT $s',
  'dd if=/dev/zero bs=4096 count=25',
  'done',
  'kill -KILL $s)2>/dev/null&Iwatch=$!',
].join(';');

export interface BootOptions {
  /** How long each way of waking the login shell may take; default BOOT_ATTEMPT_MS. */
  attemptMs?: number;
  /** The agent may hang, and there is no helper yet that would free it. */
  watch?: boolean;
}

export interface BootResult extends Boot {
  /** What the device printed before the marker: MOTD, "Last login", prompt. */
  readonly noise: Buffer;
  /** Text that arrived behind the marker already. */
  readonly rest: Buffer;
}

/**
 * The line that makes an unknown login shell run a POSIX sh that takes command lines
 * (PROTOCOL-DEVICE.md section 1). It must read the same to bash, dash, ash, zsh, fish, csh and tcsh:
 * one single-quoted word without `!`, without backslashes, without quotes in quotes. The login shell
 * waits for it, and does not become it: its /proc/PID/environ is where the helpers find what sshd gave
 * the login, before start-up files changed it. Shells write their histories when they are hung up, so
 * HISTFILE goes first, and tcsh's savehist (fish has no `unset`: it says so and goes on); the leading
 * space keeps the line out of the histories as well. The marker and the command word are put together
 * from halves, so that the echo of this line holds neither. TMOUT would end bash's `read`.
 *
 * A restricted shell has sh only where PATH leads to it. It may keep its HISTFILE, so what it would add to the
 * file is forgotten (HISTSIZE=0 would empty the file).
 */
export function bootLine(word: string, { restricted = false, watch = false } = {}): string {
  const tools = PROBED_TOOLS.join(' ');
  const [a, b] = [word.slice(0, 8), word.slice(8)];
  const script = [
    'unset TMOUT',
    'stty raw -echo 2>/dev/null',
    `w=${a};w=\${w}${b}`,
    ...(watch ? [WATCH] : []),
    `f=\${BASH_VERSION:+,${BASH}}`,
    `for t in ${tools};do command -v $t >/dev/null 2>&1&&f=$f,$t;done`,
    ANSWER,
    'while IFS= read -r l;do case $l in *"$w "*)eval "${l##*$w }";;esac;done',
  ].join(';');
  return ` unset HISTFILE savehist;${restricted ? 'history -c;sh' : '/bin/sh'} -c '${script}'`;
}

/** No tier with a helper can run: only the plain terminal is left. */
export class NoShell extends Fault {
  constructor() {
    super('UNSUPPORTED', 'The login shell of the device did not run a POSIX sh; only a plain terminal is possible.');
  }
}

/**
 * What was typed has been echoed, and nothing came behind it: the login shell is still busy with its start-up files, on a
 * device under load perhaps, or its session died just then. A shell that cannot run the line says something.
 */
export class ShellBusy extends Fault {
  constructor(ms: number) {
    super('DEVICE_LOST', `The login shell of the device took nothing of what was typed within ${String(Math.round(ms / 1000))} s.`);
  }
}

/** Terminals wrap what they echo, and shells that edit lines move the cursor about. */
function visibleOnly(text: string): string {
  return text.replaceAll(/[^\x21-\x7e]/g, '');
}

/** The last line that the device printed, if it is no echo of ours: "This account is currently not available", say. */
function lastWords(text: Buffer, word: string): string {
  const lines = text.toString('utf8').split(/[\r\n]+/).filter((line) => line.trim() !== '' && !line.includes(word));
  const last = lines.at(-1);
  return last === undefined ? '' : `; the last it printed: ${JSON.stringify(visible(last.slice(0, LAST_WORDS_CHARS)))}`;
}

/**
 * Types the boot line until its marker answers. Rejects with NoShell when the device has no
 * POSIX shell behind its login, with DEVICE_LOST when the carrier goes or says nothing at all, or no more than the echo
 * (ShellBusy): a shell that cannot run the line complains, a session that died does not.
 */
export async function boot(carrier: Carrier, log: Log, signal: AbortSignal, options: BootOptions = {}): Promise<BootResult> {
  const { attemptMs = BOOT_ATTEMPT_MS, watch = false } = options;
  const word = `b${randomBytes(8).toString('hex')}`;
  const marker = Buffer.from(`@${word},`);
  let text: Buffer = Buffer.alloc(0);
  return await new Promise<BootResult>((resolve, reject) => {
    let attempt = 0;
    let typed = '';
    let heard = false;
    let restricted = false;
    let timer: NodeJS.Timeout;
    const settle = (finish: () => void): void => {
      clearTimeout(timer);
      clearInterval(nudges);
      signal.removeEventListener('abort', onAbort);
      carrier.onText = () => undefined;
      carrier.onLost = () => undefined;
      finish();
    };
    const nudges = setInterval(() => {
      carrier.write('');
    }, NUDGE_MS);
    const onAbort = (): void => {
      settle(() => {
        reject(new Fault('DEVICE_LOST', 'The start on the device was given up.', { cause: signal.reason }));
      });
    };
    const type = (): void => {
      const prelude = PRELUDES[attempt];
      if (attempt > 0 && !heard) {
        settle(() => {
          reject(new Fault('DEVICE_LOST', `The terminal of the device shows nothing of what is typed${lastWords(text, word)}.`));
        });
        return;
      }
      if (prelude === undefined) {
        const echoed = visibleOnly(text.toString('latin1')).endsWith(visibleOnly(typed).slice(-ECHO_CHARS));
        settle(() => {
          reject(echoed ? new ShellBusy(attempt * attemptMs) : new NoShell());
        });
        return;
      }
      if (attempt > 0) log.debug({ attempt }, 'boot: no answer yet; typing the line again');
      attempt += 1;
      // The line may have worked and only its answer been lost: then the boot sh repeats it.
      const again = attempt > 1 ? ` ${word} ${ANSWER}\n` : '';
      typed = `${prelude}${again}${bootLine(word, { restricted, watch })}\r`;
      carrier.write(typed);
      timer = setTimeout(type, attemptMs);
    };
    carrier.onLost = (cause) => {
      settle(() => {
        reject(new Fault('DEVICE_LOST', `The device session ended while the helper was started${lastWords(text, word)}.`, { cause }));
      });
    };
    carrier.onText = (bytes) => {
      heard ||= attempt > 0;
      text = Buffer.concat([text, bytes]).subarray(-NOISE_LIMIT_BYTES);
      const at = text.indexOf(marker);
      const end = at < 0 ? -1 : text.indexOf('@', at + marker.length);
      if (end < 0) {
        if (!restricted && attempt > 0 && text.includes(RESTRICTED)) {
          restricted = true;
          clearTimeout(timer);
          type();
        }
        return;
      }
      const tools = text.toString('latin1', at + marker.length, end).split(',');
      settle(() => {
        resolve({
          facts: Object.fromEntries(tools.filter((tool) => tool === BASH || PROBED_TOOLS.includes(tool)).map((tool) => [tool, 'yes'])),
          noise: text.subarray(0, at),
          rest: text.subarray(end + 1),
          run: (line) => {
            carrier.write(`\n ${word} ${line}\n`);
          },
        });
      });
    };
    if (signal.aborted) onAbort();
    else {
      signal.addEventListener('abort', onAbort);
      type();
    }
  });
}
