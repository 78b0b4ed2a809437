import { CommanderError } from 'commander';
import { parseOverrides } from '../../../src/agent/profiles.js';
import { Fault } from '../../../src/base/errors.js';
import { parseAddress, formatAddress } from '../../../src/cli/address.js';
import type { Parts } from '../../../src/cli/deps.js';
import { tunnelUri } from '../../../src/cli/option.js';
import { createProgram } from '../../../src/cli/program.js';
import { checked } from '../../../src/cli/secrets.js';
import { parseTunnels } from '../../../src/relay/config.js';
import { acceptsEnv } from '../../../src/ssh/policy.js';
import { verifyOptions } from '../../../src/tunnel/options.js';
import { silentLog } from '../../../src/base/log.js';
import { must, type Target } from '../engine.js';

const unused = (): Promise<never> => Promise.reject(new Fault('USAGE', 'not to be called'));
const PARTS: Parts = { startRelay: unused, startAgent: unused, startBridge: unused };
const FLAGS = ['--listen', '--tunnel-uri', '--token-file', '--token', '--ca', '--insecure', '--tier', '--linger', '--grace', '--accept-env', '--forward-tcp', '--profile', '--seed', '--fault', '--delay', '--tunnels', '--log-level', '--help', '--version', '--', '-'];

/** Command lines as the shell hands them over: parsed, or one sentence of what is wrong. */
export const argv: Target = {
  name: 'argv',
  watch: /src\/cli\//,
  seeds: ['bridge\0--tunnel-uri\0wss://h/x\0--token-file\0f\0--listen\0[::1]:22', 'relay\0--listen\x00127.0.0.1:0\0--tunnels\0t', 'demo\0--profile\0c-agent\0--seed\x007\0--linger\x009', 'device\0--local\0--fault\0stallRate=0.5\0--tunnel-uri\0ws://[::1]:9/a'].map((text) => Buffer.from(text)),
  words: [...FLAGS, '\0', 'bridge', 'demo', 'relay', 'device', 'wss://', 'python', 'auto', 'c-agent', '127.0.0.1:', '[::1]:22', '=', ',', '4294967296'],
  async run(input) {
    const program = createProgram(PARTS, () => undefined);
    for (const command of [program, ...program.commands]) {
      command.configureOutput({ writeOut: () => undefined, writeErr: () => undefined });
      if (command !== program) command.action(() => undefined);
    }
    try {
      await program.parseAsync(input.toString('utf8').split('\0'), { from: 'user' });
    } catch (thrown) {
      must(thrown instanceof CommanderError || thrown instanceof Fault, `thrown: ${String(thrown)}`);
    }
  },
};

/** Texts of options, variables and files. */
export const config: Target = {
  name: 'config',
  watch: /src\/(cli\/(address|secrets|option)|relay\/config|tunnel\/options|agent\/profiles|ssh\/policy)/,
  seeds: ['localhost:2222', '[::1]:22', ':0', 'wss://user:pw@host:1/v5/iot/tunnels/t/source-connect?x#y', 'stallRate=0.5', 'a secret\n', '[{"tunnel_id":"gw7","device_id":"d","source_token":"a","device_token":"b"}]', 'LC_*,?ANG,***'].map((text) => Buffer.from(text)),
  words: ['[', ']', ':', '127.0.0.1', 'wss://', '*', '?', '\n', '\r', '=', '"source_token":', 'NaN', 'Rate', '__proto__'],
  run(input) {
    const text = input.toString('utf8');
    const faults = (codes: readonly string[], run: () => void): void => {
      try {
        run();
      } catch (thrown) {
        const isKnown = (thrown instanceof Fault && codes.includes(thrown.code)) || thrown instanceof CommanderError;
        must(isKnown, `thrown: ${String(thrown)}`);
      }
    };
    faults(['USAGE'], () => {
      const address = parseAddress(text);
      must(address.port >= 0 && address.port <= 65_535 && JSON.stringify(parseAddress(formatAddress(address))) === JSON.stringify(address), 'an address does not survive being written');
    });
    faults(['USAGE'], () => {
      for (const entry of parseTunnels(text, 'tunnels')) must(/^[A-Za-z0-9_-]{1,128}$/.test(entry.tunnel_id), 'a tunnel id that is none');
    });
    faults(['USAGE'], () => void parseOverrides([text]));
    faults(['USAGE'], () => void tunnelUri(text));
    faults(['USAGE'], () => {
      const { shown } = verifyOptions({ uri: text, token: 'secret-token', log: silentLog() });
      must(!/^\w+:\/\/[^/]*@/.test(shown), 'the password of a URI is shown');
    });
    faults(['LOCAL'], () => must(!/[\0\r\n]/.test(checked(text, 'it', 'there')), 'a secret of more than one line'));
    acceptsEnv(text.split(','), 'LC_ALL');
    // The verifier must not be made to show what it was given as a token.
    try {
      verifyOptions({ uri: 'ws://127.0.0.1/x', token: text, log: silentLog() });
    } catch (thrown) {
      must(thrown instanceof Fault && (text.length < 8 || !thrown.message.includes(text)), 'the token is shown');
    }
  },
};
