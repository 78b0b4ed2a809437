/** The cross product: each agent, each login shell, each tier, every start-up file noisy. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Scope } from '../support/scope.js';
import { startStack, type Stack } from '../support/stack.js';
import { shellPath } from '../support/user.js';

export const PROFILES = ['sound', 'c-agent', 'c-agent-g2', 'c-agent-g1', 'csharp-agent'] as const;
export const SHELLS = ['bash', 'dash', 'ash', 'zsh', 'fish', 'tcsh'] as const;
export const TIERS = ['python', 'sh'] as const;

export interface Cell {
  profile: (typeof PROFILES)[number];
  shell: (typeof SHELLS)[number];
  tier: (typeof TIERS)[number];
}

/** What stands in the prompt when a shell is ready, whatever its colours. */
export const PROMPT = 'ready>';

const COLOUR = String.raw`\033[1;32m`;
const PLAIN = String.raw`\033[0m`;

/** Says something with `;`, quotes, `!`, colours and a half line, as start-up files on devices do. */
function noise(file: string): string {
  return [`echo "welcome; to: '${file}' <@b0,1@>"`, `printf '${COLOUR}colour${PLAIN} of ${file}\\n'`, `echo "of ${file}" >&2`].join('\n');
}

/** What start-up files change that a command under sshd never sees, and that a second reading would show. */
const GUARDED = ['# Nothing twice: many start-up files do this.', 'if [ -n "$PROFILE_READ" ]; then echo "profile read twice"; fi', 'PROFILE_READ=yes; export PROFILE_READ', 'PATH="$HOME/bin:$PATH"; export PATH', 'umask 027', `ODD="it's\ntwo lines; \\$x"; export ODD`].join('\n');

/** Start-up files of every shell, each of which prints, colours the prompt and changes PATH. */
export const NOISY: Readonly<Record<string, string>> = {
  '.profile': `${noise('.profile')}\n${GUARDED}\nENV="$HOME/.shrc"; export ENV\n[ -n "$BASH" ] && [ -f ~/.bashrc ] && . ~/.bashrc\n`,
  '.shrc': `PS1="$(printf '${COLOUR}')${PROMPT}$(printf '${PLAIN}') "\n`,
  '.bashrc': `${noise('.bashrc')}\nPS1='\\[\\e[35m\\]${PROMPT}\\[\\e[0m\\] '\n`,
  '.zshenv': `${noise('.zshenv')}\n`,
  '.zprofile': `${noise('.zprofile')}\n${GUARDED}\n`,
  '.zshrc': `${noise('.zshrc')}\nPROMPT='%F{magenta}${PROMPT}%f '\nRPROMPT='%F{blue}right%f'\n`,
  '.config/fish/config.fish': [
    noise('config.fish'),
    'if status is-login; set -gx PATH $HOME/bin $PATH; end',
    `function fish_prompt; set_color green; echo -n '${PROMPT} '; set_color normal; end`,
    "function fish_right_prompt; set_color blue; echo -n right; set_color normal; end",
    '',
  ].join('\n'),
  '.cshrc': `echo "welcome; to: .cshrc <@b0,1@>"\nset prompt = "%{\\033[35m%}${PROMPT}%{\\033[0m%} "\n`,
  '.login': 'echo "welcome; to: .login"\nsetenv PATH $HOME/bin:$PATH\nif ($?PROFILE_READ) echo "login read twice"\nsetenv PROFILE_READ yes\numask 027\n',
};

export const nameOf = ({ profile, shell, tier }: Cell): string => `${profile} ${shell} ${tier}`;

/** A device with that shell and all the noise behind that agent, and the bridge before it. */
export async function startCell(scope: Scope, { profile, shell, tier }: Cell): Promise<Stack> {
  const dir = await scope.tempDir('matrix');
  const banner = join(dir, 'banner');
  await writeFile(banner, 'Authorised users only; this is the banner.\n');
  return startStack(scope, {
    ...{ profile, tier },
    shell: await shellPath(scope, shell),
    files: { ...NOISY },
    // As a device has it: a message of the day, the last login, a banner before the login.
    sshd: { config: [`Banner ${banner}`], motd: true },
  });
}
