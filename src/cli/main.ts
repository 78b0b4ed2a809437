/** Entry of `iotda-ssh`: parses, runs, and turns whatever happened into one exit code. */
import { CommanderError } from 'commander';
import { toFault } from '../base/errors.js';
import { standardError } from '../base/stderr.js';
import { EXIT_CODES, EXIT_OK, EXIT_USAGE } from './exit.js';
import { dropSwitchesThatAreOff } from './option.js';
import { PARTS } from './parts.js';
import { createProgram } from './program.js';
import { faultText } from './report.js';

/** Never returns in the ordinary case: the process ends with the command's code. */
export async function main(args: readonly string[]): Promise<void> {
  const fail = (thrown: unknown) => {
    const fault = toFault(thrown);
    // Parsing may not have come to the option, so look for it by hand.
    const json = args.includes('json') || args.includes('--log-format=json') || process.env['IOTDA_SSH_LOG_FORMAT'] === 'json';
    standardError.write(faultText(fault, json ? 'json' : 'text'));
    process.exit(EXIT_CODES[fault.code]);
  };
  // Node would open its debugger on a port that all users of this machine reach: by `kill -USR1`, so near to -USR2.
  process.on('SIGUSR1', () => {});
  process.on('uncaughtException', fail);
  process.on('unhandledRejection', fail);
  // Whoever read our output has gone (`iotda-ssh demo | head -3`): no reason to end.
  process.stdout.on('error', () => {});
  let code = EXIT_OK;
  const program = createProgram(PARTS, (of) => (code = of));
  dropSwitchesThatAreOff(program, process.env);
  try {
    await program.parseAsync(args, { from: 'user' });
  } catch (thrown) {
    if (!(thrown instanceof CommanderError)) return fail(thrown);
    code = thrown.exitCode === 0 ? EXIT_OK : EXIT_USAGE;
  }
  process.exit(code);
}
