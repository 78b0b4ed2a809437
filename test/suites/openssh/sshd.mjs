/**
 * Stands for sshd where OpenSSH's regression scripts start one ($SSHD), so that their clients reach a
 * bridge instead. The bridge is chosen, and if need be started, by the control socket of the run
 * (bridges.ts), which reads the configuration that the script wrote. Run as
 *
 *   node sshd.mjs CONTROL-SOCKET sshd-options…
 *
 *   -i           one connection on standard input and output, as ssh_proxy's ProxyCommand wants it
 *   -f …         a daemon on the port of the configuration, with its pid file
 *   -t, -T, …    questions about a configuration: the real sshd answers them
 */
import { spawn, spawnSync } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';

const REAL_SSHD = '/usr/sbin/sshd';
/** sshd's own status when a connection or the start failed. */
const FAILED = 255;
/** Longest answer of the run, a bridge's start and the restart of its predecessor included. */
const ANSWER_MS = 60_000;
/** What a server says before it closes on a client that is none. */
const REFUSALS = ['Invalid SSH identification string', 'Protocol major versions differ'];

const [control = '', ...args] = process.argv.slice(2);
const { mode, config, options } = parse(args);

if (mode === 'real') process.exit(spawnSync(REAL_SSHD, args, { stdio: 'inherit' }).status ?? FAILED);
else if (mode === 'pipe') await pipe();
else if (process.env.SUITE_DAEMON === undefined) await daemonize();
else await serve();

function parse(list) {
  const found = { mode: 'listen', config: '', options: [] };
  for (let at = 0; at < list.length; at += 1) {
    const word = list[at];
    const flag = word.slice(0, 2);
    // Flags with a value, attached or not.
    const value = () => (word.length > 2 ? word.slice(2) : list[(at += 1)]);
    if (/^-[tT?V]/.test(flag)) return { ...found, mode: 'real' };
    if (flag === '-i') found.mode = 'pipe';
    else if (flag === '-f') found.config = value();
    else if (flag === '-o') found.options.push(value());
    else if (['-E', '-p', '-C', '-c', '-g', '-h', '-b', '-k', '-u'].includes(flag)) value();
  }
  return found;
}

/** One question to the run; the connection stays open for whatever follows. */
function ask(question) {
  const socket = connect(control);
  const lines = createInterface({ input: socket });
  const answer = new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('the run does not answer')), ANSWER_MS);
    socket.on('error', reject);
    lines.once('line', (line) => {
      clearTimeout(timer);
      const said = JSON.parse(line);
      if (said.error !== undefined) reject(new Error(said.error));
      else resolve(said);
    });
    lines.once('close', () => reject(new Error('the run has ended')));
  });
  socket.write(`${JSON.stringify(question)}\n`);
  return { socket, answer };
}

function giveUp(error) {
  process.stderr.write(`sshd (bridge): ${error.message}\n`);
  process.exit(FAILED);
}

async function pipe() {
  const { socket, answer } = ask({ mode: 'pipe', config, options });
  const { path } = await answer.catch(giveUp);
  socket.destroy();
  const bridge = connect({ path, allowHalfOpen: true });
  let status = 0;
  let first = true;
  bridge.on('data', (chunk) => {
    if (first && REFUSALS.some((text) => chunk.includes(text))) status = FAILED;
    // The identification comes by itself; a refusal may be in the next piece.
    first = chunk.subarray(0, 4).toString() === 'SSH-' && chunk.length < 256;
    if (!process.stdout.write(chunk)) {
      bridge.pause();
      process.stdout.once('drain', () => bridge.resume());
    }
  });
  process.stdin.pipe(bridge);
  const end = () => process.stdout.write('', () => process.exit(status));
  bridge.on('end', end);
  bridge.on('error', end);
  process.stdout.on('error', () => process.exit(status));
}

/** As sshd: the starter returns once the daemon accepts connections and has written its pid file. */
async function daemonize() {
  const child = spawn(process.execPath, process.argv.slice(1), {
    detached: true,
    stdio: ['ignore', 'pipe', 'ignore'],
    env: { ...process.env, SUITE_DAEMON: '1' },
  });
  child.stdout.on('data', (text) => process.exit(String(text).startsWith('ready') ? 0 : FAILED));
  child.on('exit', () => process.exit(FAILED));
}

async function serve() {
  const pidFile = /^\s*PidFile\s+(\S+)/im.exec(readFileSync(config, 'utf8'))?.[1];
  let session = await start();
  process.stdout.write('ready\n');
  process.on('SIGHUP', async () => {
    await stop(session);
    session = await start();
  });
  for (const signal of ['SIGTERM', 'SIGINT']) {
    process.once(signal, async () => {
      await stop(session);
      if (pidFile !== undefined) rmSync(pidFile, { force: true });
      process.exit(0);
    });
  }

  async function start() {
    const begun = ask({ mode: 'listen', config, options });
    await begun.answer.catch(giveUp);
    begun.socket.on('close', () => { if (!begun.stopping) process.exit(FAILED); });
    if (pidFile !== undefined) writeFileSync(pidFile, `${process.pid}\n`);
    return begun;
  }

  /** Ends when the bridge has stopped listening: the run closes the connection then. */
  function stop(begun) {
    begun.stopping = true;
    return new Promise((resolve) => {
      begun.socket.once('close', resolve);
      begun.socket.end();
    });
  }
}
