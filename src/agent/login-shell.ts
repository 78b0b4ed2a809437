/** What login(1) and sshd do before the shell: which shell, its name, its surroundings. */
import { accessSync, constants, statSync } from 'node:fs';
import { userInfo } from 'node:os';
import { basename } from 'node:path';
import { Fault } from '../base/errors.js';

export interface Account {
  user: string;
  home: string;
  shell: string;
}

const PATH_USER = '/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games';
const PATH_ROOT = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const FALLBACK_SHELL = '/bin/sh';

/** The account this process runs under. Throws a Fault (LOCAL) when its shell cannot be run. */
export function currentAccount(overrides: { user?: string | undefined; shell?: string | undefined }): Account {
  const { username, homedir, shell: usual } = userInfo();
  const shell = overrides.shell ?? usual ?? FALLBACK_SHELL;
  if (!isProgram(shell)) {
    throw new Fault('LOCAL', `the login shell ${shell} cannot be run: name another shell for this device`);
  }
  // sshd, too, starts in / when the home is missing.
  const home = isDirectory(homedir) ? homedir : '/';
  return { user: overrides.user ?? username, home, shell };
}

/** The environment of a fresh login: nothing of ours but language and time zone. */
export function loginEnvironment(account: Account, term: string): Record<string, string> {
  const env: Record<string, string> = {
    HOME: account.home,
    LOGNAME: account.user,
    USER: account.user,
    SHELL: account.shell,
    PATH: process.getuid?.() === 0 ? PATH_ROOT : PATH_USER,
    TERM: term,
  };
  for (const name of ['LANG', 'TZ']) {
    const value = process.env[name];
    if (value !== undefined) env[name] = value;
  }
  return env;
}

export interface Launch {
  file: string;
  args: string[];
}

/**
 * A command that becomes the shell under the name `-shell`, which makes it a login shell. A program
 * cannot be started under another name from here, so one that can do it goes first and is replaced.
 * Where there is none, `-l` asks for the same.
 */
export function loginCommand(shell: string): Launch {
  const name = `-${basename(shell)}`;
  const perl = PERLS.find(isProgram);
  if (perl !== undefined) return { file: perl, args: ['-e', 'my ($f, $n) = @ARGV; exec { $f } $n', shell, name] };
  const bash = BASHES.find(isProgram);
  if (bash !== undefined) {
    return { file: bash, args: ['-c', 'unset SHLVL OLDPWD; exec -a "$1" "$0"', shell, name] };
  }
  return { file: shell, args: ['-l'] };
}

const PERLS = ['/usr/bin/perl', '/usr/local/bin/perl'];
const BASHES = ['/bin/bash', '/usr/bin/bash', '/usr/local/bin/bash'];

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

function isDirectory(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}
