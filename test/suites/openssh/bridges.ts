/**
 * The bridges of one run: each in front of a tunnel and a device of its own, all devices before the one
 * sshd with the one user. They are started when a script's wrapper (sshd.mjs) asks for a configuration.
 */
import { randomBytes } from 'node:crypto';
import { chmod, writeFile } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { start, type Program } from '../../support/program.js';
import { Scope } from '../../support/scope.js';
import { IOTDA_SSH, startCommand } from '../../support/stack.js';
import { startSshd, type Sshd } from '../../support/sshd.js';
import type { ThrowawayUser } from '../../support/user.js';
import { bridgeSetup } from './config.js';

/** Tunnels that the relay knows: bridges that one run may need. */
const TUNNELS = 512;
/** Bridges kept for the next connection with the same settings. */
const KEPT = 6;

export interface BridgesOptions {
  account: ThrowawayUser;
  tier: 'python' | 'sh';
  /** Unix socket on which the wrappers ask. */
  control: string;
}

interface Running {
  key: string;
  /** Where it is reached: a Unix socket, as sshd -i has no address either, or a port. */
  listen: string;
  scope: Scope;
  program: Program;
}

export interface Bridges {
  sshd: Sshd;
  /** What the bridges have written since the last call. */
  takeLog(): string;
  /** Ends the bridges with settings of one script. */
  endScript(): Promise<void>;
}

/** Starts sshd, relay and the control socket; everything ends with the scope. */
export async function startBridges(scope: Scope, options: BridgesOptions): Promise<Bridges> {
  const { account } = options;
  const sshd = await startSshd(scope, { users: [account.name] });
  const dir = await scope.tempDir('bridges');
  // The scripts run as the user, and reach the bridges' sockets.
  await chmod(dir, 0o711);
  const tunnels = Array.from({ length: TUNNELS }, (_, index) => ({
    tunnel_id: `t${index}`,
    device_id: `d${index}`,
    source_token: randomBytes(24).toString('base64url'),
    device_token: randomBytes(24).toString('base64url'),
  }));
  const file = async (name: string, text: string): Promise<string> => {
    await writeFile(join(dir, name), `${text}\n`, { mode: 0o600 });
    return join(dir, name);
  };
  const relay = await startCommand(scope, ['relay', '--listen', '127.0.0.1:0', '--tunnels', await file('tunnels.json', JSON.stringify(tunnels))]);
  const password = await file('password', account.password);

  let used = 0;
  let log = '';
  const kept = new Map<string, Promise<Running>>();
  const lasting = new Set<string>();

  const begin = async (key: string, args: readonly string[], listen: string): Promise<Running> => {
    const own = new Scope();
    try {
      const tunnel = tunnels[used++];
      if (tunnel === undefined) throw new Error(`more than ${TUNNELS} bridges in one run`);
      const base = `ws://127.0.0.1:${relay.ready.port}/v5/iot/tunnels/${tunnel.tunnel_id}`;
      const deviceToken = await file(`${tunnel.device_id}.token`, tunnel.device_token);
      const sourceToken = await file(`${tunnel.tunnel_id}.token`, tunnel.source_token);
      start(own, process.execPath, [IOTDA_SSH, 'device', '--tunnel-uri', `${base}/device-connect`, '--token-file', deviceToken, '--sshd', `127.0.0.1:${sshd.port}`]);
      const { program, ready } = await startCommand(
        own,
        [
          ...['bridge', '--tunnel-uri', `${base}/source-connect`, '--token-file', sourceToken, '--listen', listen, '--drain', '0'],
          ...['--tier', options.tier, '--device-user', account.name, '--device-password-file', password, '--log-level', 'debug', ...args],
        ],
        { env: { XDG_STATE_HOME: dir } },
      );
      own.add(() => (log += `--- bridge ${args.join(' ')}\n${program.stderr}`));
      if (ready.socket !== undefined) await chmod(ready.socket, 0o666);
      return { key, listen, scope: own, program };
    } catch (error) {
      await own.end();
      throw error;
    }
  };
  const end = async (key: string): Promise<void> => {
    const running = kept.get(key);
    kept.delete(key);
    await running?.then((bridge) => bridge.scope.end(), () => undefined);
  };
  scope.add(() => Promise.all([...kept.keys()].map(end)));

  const shared = async (args: readonly string[], version: string): Promise<Running> => {
    const key = [...args, version].join('\0');
    let running = kept.get(key);
    const ended = await running?.then((bridge) => !bridge.program.running, () => true);
    if (running === undefined || ended === true) {
      if (ended === true) await end(key);
      running = begin(key, args, join(dir, `${String(used)}.sock`));
      kept.set(key, running);
      const oldest = [...kept.keys()].find((other) => other !== key && !lasting.has(other));
      if (kept.size > KEPT && oldest !== undefined) await end(oldest);
      if (lasting.size === 0) lasting.add(key);
    }
    return running;
  };

  const server = createServer({ allowHalfOpen: true }, (socket) => void answer(socket));
  const answer = async (socket: Socket): Promise<void> => {
    socket.on('error', () => undefined);
    const own = new Scope();
    const gone = new Promise<void>((resolve) => {
      socket.once('end', resolve);
      socket.once('close', () => resolve());
    });
    try {
      const line = await new Promise<string>((resolve) => createInterface({ input: socket }).once('line', resolve));
      const question = JSON.parse(line) as { mode: 'pipe' | 'listen'; config: string; options: string[] };
      const { args, port, version } = await bridgeSetup(question.config, question.options, account.name);
      if (question.mode === 'pipe') {
        socket.end(`${JSON.stringify({ path: (await shared(args, version)).listen })}\n`);
        return;
      }
      const bridge = await begin('listener', args, `127.0.0.1:${port}`);
      own.add(() => bridge.scope.end());
      scope.add(() => bridge.scope.end());
      socket.write(`${JSON.stringify({ port })}\n`);
      await Promise.race([gone, bridge.program.exited]);
    } catch (error) {
      socket.write(`${JSON.stringify({ error: String(error) })}\n`);
    } finally {
      await own.end();
      socket.end();
    }
  };
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.control, resolve);
  });
  // Scripts run as the user, and their daemons as root.
  await chmod(options.control, 0o666);
  scope.add(() => server.close());

  return {
    sshd,
    takeLog: () => {
      const taken = log;
      log = '';
      return taken;
    },
    endScript: async () => {
      await Promise.all([...kept.keys()].filter((key) => !lasting.has(key)).map(end));
    },
  };
}
