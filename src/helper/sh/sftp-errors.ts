import { STATUS } from './sftp-wire.js';

/** What OpenSSH's server says with each status; clients show it, and some scripts look for it. */
const TEXTS: Readonly<Record<number, string>> = {
  [STATUS.OK]: 'Success',
  [STATUS.EOF]: 'End of file',
  [STATUS.NO_SUCH_FILE]: 'No such file',
  [STATUS.PERMISSION_DENIED]: 'Permission denied',
  [STATUS.FAILURE]: 'Failure',
  [STATUS.BAD_MESSAGE]: 'Bad message',
  [STATUS.OP_UNSUPPORTED]: 'Operation unsupported',
};

/** Words for a status, as OpenSSH has them. */
export function textOf(status: number): string {
  return TEXTS[status] ?? 'Failure';
}

/** An operation that failed, as SFTP tells it. */
export class SftpError extends Error {
  readonly status: number;

  constructor(status: number, message = textOf(status)) {
    super(message);
    this.status = status;
  }

  /** From what a tool on the device printed last. */
  static of(output: Buffer): SftpError {
    return new SftpError(statusOf(output));
  }
}

/**
 * The system's errors as OpenSSH maps them (errno_to_portable); all others are Failure. The tools speak
 * C locale English here, and BusyBox's C library may have words of its own.
 */
const ERRORS: readonly (readonly [words: RegExp, status: number])[] = [
  // ENOENT, ENOTDIR, ELOOP, EBADF; shells say `nonexistent` of a folder.
  [/no such file|not found|nonexistent|not a directory|too many levels of symbolic links|symbolic link loop|bad file descriptor/i, STATUS.NO_SUCH_FILE],
  // EACCES, EPERM; GNU ln says why there is no hard link to a folder.
  [/permission denied|not permitted|hard link not allowed/i, STATUS.PERMISSION_DENIED],
  // ENAMETOOLONG, EINVAL; GNU mv does not even ask the system for a move into itself.
  [/name too long|invalid argument/i, STATUS.BAD_MESSAGE],
  [/function not implemented/i, STATUS.OP_UNSUPPORTED],
];

/** What GNU mv says of two names, the reason not behind them. */
const MOVES: readonly (readonly [words: RegExp, status: number])[] = [
  [/^mv: cannot move .* to a subdirectory of itself, /i, STATUS.BAD_MESSAGE],
  [/^mv: cannot overwrite non-directory .* with directory /i, STATUS.NO_SUCH_FILE],
];

/** dd counts what it did, also behind a complaint. */
const COUNTS = /^\d+\+\d+ records (in|out)$|^\d+ bytes? .*copied/;

/**
 * SFTP's status for what a tool said on failing. The reason stands behind the last colon; what stands
 * before it may be a name, and a name may hold any words.
 */
export function statusOf(output: Buffer | string): number {
  const lines = output.toString('latin1').trim().split('\n');
  const line = lines.filter((each) => !COUNTS.test(each)).at(-1) ?? '';
  const reason = line.slice(line.lastIndexOf(': ') + 1);
  return (ERRORS.find(([words]) => words.test(reason)) ?? MOVES.find(([words]) => words.test(line)))?.[1] ?? STATUS.FAILURE;
}
