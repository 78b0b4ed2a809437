/** Compiles the C agent of this folder. */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const FOLDER = fileURLToPath(new URL('.', import.meta.url));

/** The program, in `folder`. Throws with what is missing. */
export function compileAgent(folder) {
  const program = join(folder, 'agent');
  const sources = readdirSync(FOLDER).filter((name) => name.endsWith('.c')).map((name) => join(FOLDER, name));
  const words = ['-std=gnu11', '-O2', '-g', '-Wall', '-Wextra', '-Werror', '-pthread', '-o', program, ...sources, '-lssh', '-lcjson', '-lssl', '-lcrypto'];
  const result = spawnSync('cc', words, { encoding: 'utf8' });
  if (result.status === 0) return program;
  const why = result.error === undefined ? result.stderr : `${result.error.message}\n`;
  throw new Error(`${why}The C agent cannot be compiled; it needs the packages gcc, libc6-dev, libssh-dev, libcjson-dev and libssl-dev.`);
}
