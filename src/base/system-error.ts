/** Words for what the operating system answers, in place of its own "EISDIR: illegal operation …". */

const WORDS: Readonly<Record<string, string>> = {
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  EISDIR: 'it is a directory',
  ENOTDIR: 'what should be a folder on its way is none',
  ELOOP: 'there are too many symbolic links on its way',
  ENAMETOOLONG: 'its name is too long',
  EROFS: 'the file system is read-only',
  ENOSPC: 'the file system is full',
  EDQUOT: 'the quota of the file system is used up',
  EMFILE: 'this process has too many open files',
  EADDRINUSE: 'another program uses that port',
  EADDRNOTAVAIL: 'this machine has no such address',
  ENOTFOUND: 'the host name is not known',
};

/** Why something could not be done, as part of a sentence. `missing`: what ENOENT means here. */
export function systemReason(cause: unknown, missing = 'it does not exist'): string {
  const { code, message = String(cause) } = cause as NodeJS.ErrnoException;
  return code === 'ENOENT' ? missing : (WORDS[code ?? ''] ?? message);
}

/** What ENOENT means for a file that is to be written. */
export const NO_FOLDER = 'its folder does not exist';
