/**
 * `npm run fuzz [SECONDS [SEED [TARGET]]]`: every target for so long (60 s unless told), with a seed that
 * is printed. An input that breaks something is printed in base64: put it into corpus/TARGET-what.b64,
 * mend the cause, and `npm test` runs it for ever.
 */
import { spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { fileURLToPath } from 'node:url';

const [seconds = '60', seed = String(randomInt(1, 2 ** 31)), target] = process.argv.slice(2);
const vitest = fileURLToPath(new URL('../../node_modules/vitest/vitest.mjs', import.meta.url));
process.stdout.write(`fuzzing each target for ${seconds} s; repeat with: npm run fuzz ${seconds} ${seed}\n`);
const args = [vitest, 'run', '--project', 'unit', 'test/fuzz/fuzz.test.ts', 'test/fuzz/helper.test.ts', 'test/fuzz/sh-front.test.ts', 'test/fuzz/start.test.ts', ...(target === undefined ? [] : ['-t', target])];
const child = spawn(process.execPath, args, { stdio: 'inherit', env: { ...process.env, FUZZ_SECONDS: seconds, FUZZ_SEED: seed } });
child.on('exit', (code) => process.exit(code ?? 1));
