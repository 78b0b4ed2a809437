import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { bridgeCommand } from './commands/bridge.js';
import { demoCommand } from './commands/demo.js';
import { deviceCommand } from './commands/device.js';
import { relayCommand } from './commands/relay.js';
import type { Parts } from './deps.js';

/** The command line. `exit` receives the code of the command that ran. */
export function createProgram(parts: Parts, exit: (code: number) => void): Command {
  const program = new Command('iotda-ssh')
    .description('ssh, scp, sftp, rsync, git and Ansible to a device behind the IoTDA secure tunnel, with nothing installed on it.')
    .version(version(), '--version', 'print the version')
    .helpOption('--help', 'print this help')
    .configureHelp({ showGlobalOptions: false });
  for (const make of [demoCommand, bridgeCommand, relayCommand, deviceCommand]) {
    program.addCommand(make(parts, exit).helpOption('--help', 'print this help').addHelpText('after', ENVIRONMENT_HELP));
  }
  for (const command of [program, ...program.commands]) {
    command.exitOverride();
    command.configureOutput({ outputError: (text, write) => write(errorLine(text)) });
  }
  return program;
}

/** commander's complaint as one line: its hint ("Did you mean …?") comes on a second one. */
function errorLine(text: string): string {
  return `iotda-ssh: ${text.replace(/^error: /, '').trimEnd().replaceAll('\n', ' ')}\n`;
}

const ENVIRONMENT_HELP = `
Each option can be given by the variable named beside it; an argument outranks it. A switch is off
when its variable is empty, 0, false, no or off. Exit codes: see README.md.`;

export function version(): string {
  const manifest = new URL('../../package.json', import.meta.url);
  return (JSON.parse(readFileSync(manifest, 'utf8')) as { version: string }).version;
}
