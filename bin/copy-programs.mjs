/**
 * The last step of the build: puts the programs that are sent to devices (src/helper, *.py and *.sh)
 * beside the compiled code, and stamps the build as complete.
 */
import { copyFileSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { BUILD_STAMP, ROOT } from './lib/prepare.mjs';

const from = join(ROOT, 'src', 'helper');
const to = join(ROOT, 'dist', 'helper');
for (const name of readdirSync(from, { recursive: true })) {
  if (!/\.(py|sh)$/.test(name)) continue;
  mkdirSync(dirname(join(to, name)), { recursive: true });
  copyFileSync(join(from, name), join(to, name));
}
writeFileSync(BUILD_STAMP, '');
