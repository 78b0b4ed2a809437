import { readFileSync } from 'node:fs';
import { CommanderError } from 'commander';
import { describe, expect, test } from 'vitest';
import type { Parts } from '../../../src/cli/deps.js';
import { EXIT_CODES } from '../../../src/cli/exit.js';
import { dropSwitchesThatAreOff, envName } from '../../../src/cli/option.js';
import { createProgram } from '../../../src/cli/program.js';

const unused = () => Promise.reject(new Error('not to be called'));
const PARTS: Parts = { startRelay: unused, startAgent: unused, startBridge: unused };

function program() {
  const made = createProgram(PARTS, () => undefined);
  for (const command of [made, ...made.commands]) command.configureOutput({ writeOut: () => undefined, writeErr: () => undefined });
  return made;
}

/** Spellings that people script: they are not to change. */
const SPELLINGS: Record<string, string> = {
  demo: '--listen --password-file --ready-file --profile --tier --log-level --log-format',
  bridge:
    '--tunnel-uri --token-file --listen --ready-file --ca --insecure --tier --authorized-keys --device-user --device-password-file ' +
    '--device-password-command --linger --grace --accept-env --host-key --allow-remote-listen --token --log-level --log-format ' +
    '--set-env --banner --force-command --permit-open --permit-listen --permit-tty --rekey-limit --login-grace --max-startups ' +
    '--kex-algorithms --ciphers --macs --host-key-algorithms --pubkey-accepted-algorithms',
  relay: '--listen --tunnels --tls-cert --tls-key --delay --ready-file --log-level --log-format',
  device: '--tunnel-uri --token-file --sshd --local --password-file --profile --seed --fault --log-level --log-format',
};

describe.each(Object.entries(SPELLINGS))('%s', (name, spellings) => {
  const command = program().commands.find((each) => each.name() === name);

  test('has the options that people script', () => {
    expect(command?.options.map((each) => each.long)).toEqual(expect.arrayContaining(spellings.split(' ')));
  });

  test('has a variable and a description for each option', () => {
    for (const each of command?.options ?? []) {
      expect(each.envVar, each.long).toBe(envName(each.flags));
      expect(each.description, each.long).not.toBe('');
    }
  });

  test('shows each option and its variable in --help', () => {
    const help = command?.helpInformation().replace(/\s+/g, ' ') ?? '';
    for (const each of command?.options.filter((shown) => !shown.hidden) ?? []) {
      expect(help).toContain(each.long);
      expect(help).toContain(`env: ${each.envVar}`);
    }
  });
});

describe('a bad command line ends with one sentence', () => {
  test.each([
    [['demo', '--listen', 'nowhere'], 'the port is missing'],
    [['demo', '--tier', 'perl'], 'Allowed choices are auto, python, sh, raw'],
    [['demo', '--profile', 'x'], 'Allowed choices are sound, c-agent'],
    [['demo', 'surplus'], 'too many arguments'],
    [['bridge'], "required option '--tunnel-uri <uri>' not specified"],
    [['bridge', '--tunnel-uri', 'https://x'], 'wss://'],
    [['bridge', '--linger', '-1'], 'whole number of seconds'],
    [['bridge', '--grace', '1e9'], 'whole number of seconds'],
    [['bridge', '--permit-open', '22'], '22 is not HOST:PORT'],
    [['bridge', '--permit-listen', 'a:b'], 'a:b is not [HOST:]PORT'],
    [['bridge', '--set-env', 'A'], 'It is NAME=VALUE'],
    [['bridge', '--force-command', 'internal-sftp -R'], 'internal-sftp takes no options'],
    [['bridge', '--rekey-limit', '8'], 'from 16 to 4G'],
    [['bridge', '--rekey-limit', '5G'], 'from 16 to 4G'],
    [['bridge', '--rekey-limit', '1G,0'], 'from 16 to 4G'],
    [['bridge', '--ciphers', '+arcfour'], '"arcfour" is none of chacha20'],
    [['bridge', '--max-startups', '0'], 'whole number of clients'],
    [['demo', '--seed', '1.5'], 'It is a whole number from 0 to 4294967295'],
    [['relay', '--listen', ':0'], "required option '--tunnels <file>' not specified"],
    [['device', '--sshd', 'localhost:0'], 'Port 0 cannot be connected to'],
    [['dmeo'], 'Did you mean demo?'],
    [['demo', '--no-such'], "unknown option '--no-such'"],
  ])('%j', async (args, sentence) => {
    const thrown: unknown = await program().parseAsync(args, { from: 'user' }).catch((error: unknown) => error);
    expect(thrown).toBeInstanceOf(CommanderError);
    expect((thrown as CommanderError).message).toContain(sentence);
    expect((thrown as CommanderError).exitCode).not.toBe(0);
  });
});

test('what commander says on two lines is printed as one', async () => {
  let printed = '';
  const made = createProgram(PARTS, () => undefined);
  for (const command of [made, ...made.commands]) command.configureOutput({ writeErr: (text) => (printed += text) });
  await made.parseAsync(['demo', '--lingr', '4'], { from: 'user' }).catch(() => undefined);
  expect(printed).toBe("iotda-ssh: unknown option '--lingr' (Did you mean --linger?)\n");
});

describe('a switch in the environment', () => {
  test.each(['', '0', 'false', 'No', 'off'])('is off when it is %j', (value) => {
    const env = { IOTDA_SSH_INSECURE: value, IOTDA_SSH_LISTEN: '0' };
    dropSwitchesThatAreOff(program(), env);
    expect(env).toEqual({ IOTDA_SSH_LISTEN: '0' });
  });

  test.each(['1', 'true', 'yes'])('is on when it is %j', (value) => {
    const env = { IOTDA_SSH_INSECURE: value };
    dropSwitchesThatAreOff(program(), env);
    expect(env).toEqual({ IOTDA_SSH_INSECURE: value });
  });
});

test('the exit codes are those of the README, one row each', () => {
  const readme = readFileSync(new URL('../../../README.md', import.meta.url), 'utf8');
  const rows = [...readme.matchAll(/^\| (\d+) \| `([A-Z_]+)` \|/gm)].map(([, code, name]) => [name, Number(code)]);
  expect(Object.fromEntries(rows)).toEqual(EXIT_CODES);
});
