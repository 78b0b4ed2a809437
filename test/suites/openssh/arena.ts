/**
 * One side of the comparison: a folder with the installed scripts, unchanged, and the environment in
 * which Debian runs them (/usr/lib/openssh/regress/run-tests). On the reference's side they meet OpenSSH's
 * own programs. On the bridge's side $SSHD is sshd.mjs, and what the scripts would start beside
 * them without a connection (sftp-server, `scp -t` and `scp -f`) runs on the device, over the bridge.
 */
import { chmod, chown, copyFile, cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Program, run, survivors } from '../../support/program.js';
import type { Scope } from '../../support/scope.js';
import type { ThrowawayUser } from '../../support/user.js';

const INSTALLED = '/usr/lib/openssh/regress';
const SFTP_SERVER = '/usr/lib/openssh/sftp-server';

/** Longest run of one script, in milliseconds: rekey makes about a hundred connections and sleeps. */
const SCRIPT_MS = 40 * 60_000;
/** See test-exec.sh; for experiments. */
const CONFOPTS = process.env['TEST_SSH_SSHD_CONFOPTS'];
/** Lines of a failed script's output that are shown. */
const SHOWN_LINES = 12;
const SHOWN_CHARS = 200;

export interface ArenaOptions {
  account: ThrowawayUser;
  port: string;
  /** Control socket of the bridges; undefined for the reference. */
  control?: string;
}

export interface Outcome {
  result: 'pass' | 'fail' | 'skipped';
  seconds: number;
  /** What the script said about a failure, or why it was skipped. */
  said: string[];
}

export interface Arena {
  dir: string;
  /** `strongOnly`: `ssh -Q` names what an sshd of that version offers by default, and no more. */
  run(script: string, options: { strongOnly: boolean; log: string; seconds: number | undefined }): Promise<Outcome>;
}

export async function makeArena(scope: Scope, options: ArenaOptions): Promise<Arena> {
  const { account, control } = options;
  const dir = await scope.tempDir('openssh');
  await chmod(dir, 0o755);
  const object = join(dir, 'regress');
  await cp(INSTALLED, object, { recursive: true });
  const tools = join(dir, 'tools');
  await mkdir(tools);
  const tool = async (name: string, text: string): Promise<string> => {
    const path = join(tools, name);
    await writeFile(path, text, { mode: 0o755 });
    return path;
  };
  await own(object, account.uid);
  const lists = await tool('ssh', strongLists(await defaultAlgorithms(tools)));
  const bridged: Record<string, string> = {};
  if (control !== undefined) {
    const program = join(tools, 'sshd.mjs');
    await copyFile(fileURLToPath(new URL('sshd.mjs', import.meta.url)), program);
    bridged['TEST_SSH_SSHD'] = await tool('sshd', `#!/bin/sh\nexec ${process.execPath} ${program} ${control} "$@"\n`);
    // Made by each script anew; ssh_config would need its start_sshd.
    const ssh = `/usr/bin/ssh -q -F ${object}/ssh_proxy`;
    bridged['TEST_SSH_SFTPSERVER'] = await tool('sftp-server', `#!/bin/sh\nexec ${ssh} -s device sftp\n`);
    bridged['TEST_SSH_SCP'] = await tool('scp', remoteScp(ssh));
  }
  const env = {
    HOME: account.home,
    USER: account.name,
    LOGNAME: account.name,
    SHELL: account.shell,
    PATH: '/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin',
    BUILDDIR: object,
    OBJ: object,
    SUDO: 'sudo',
    TEST_SHELL: 'sh',
    TEST_SSH_SSH: 'ssh',
    TEST_SSH_SFTPSERVER: SFTP_SERVER,
    TEST_SSH_PLINK: 'plink',
    // The scripts' own way to give sshd (or a bridge) settings of somebody's choice.
    ...(CONFOPTS === undefined ? {} : { TEST_SSH_SSHD_CONFOPTS: CONFOPTS }),
    TEST_SSH_PUTTYGEN: 'puttygen',
    TEST_SSH_CONCH: 'conch3',
    TEST_SSH_IPV6: 'yes',
    TEST_SSH_ECC: 'yes',
    TEST_SSH_UNSAFE_PERMISSIONS: '1',
    TEST_SSH_PORT: options.port,
    ...bridged,
  };
  return {
    dir: object,
    run: async (script, { strongOnly, log, seconds: limit }) => {
      for (const name of ['failed-regress.log', 'failed-ssh.log', 'failed-sshd.log']) await rm(join(object, name), { force: true });
      const settings = Object.entries({ ...env, ...(strongOnly ? { TEST_SSH_SSH: lists } : {}) }).map(([name, value]) => `${name}=${value}`);
      const as = ['--reuid', account.name, '--regid', account.name, '--init-groups', '--reset-env'];
      // As Debian does: an endless standard input, which no client may mistake for its own business.
      const inner = `exec sh ${object}/test-exec.sh ${object} ${object}/${script}.sh </dev/zero 2>&1`;
      const began = performance.now();
      const program = new Program('setpriv', [...as, 'env', ...settings, 'sh', '-c', inner], { cwd: object, timeoutMs: limit === undefined ? SCRIPT_MS : limit * 1000 });
      // Its exit, not the end of its output: what it leaves behind may hold that open.
      await Promise.race([program.exited, program.done.catch(() => undefined)]);
      const output = program.stdout;
      const left = await endAll(program);
      const seconds = Math.round((performance.now() - began) / 1000);
      await writeFile(log, [output, ...(left.length > 0 ? ['--- left running:', ...left] : []), ...(await logs(object))].join('\n'));
      const status = program.child.exitCode;
      return { seconds, ...judge(status, seconds, output) };
    },
  };
}

/** A script's verdict; those that stop early say "skipped" and succeed. */
function judge(status: number | null, seconds: number, output: string): Pick<Outcome, 'result' | 'said'> {
  // A terminal's echo of the endless input among it: not for a reader.
  const lines = output.split('\n').map((line) => line.replaceAll(/[^\x20-\x7e]|\^@/g, '').trim().slice(0, SHOWN_CHARS)).filter((line) => line !== '');
  if (status === null) return { result: 'fail', said: [`cut after ${seconds} s`, ...lines.slice(-SHOWN_LINES)] };
  if (status !== 0) return { result: 'fail', said: lines.slice(-SHOWN_LINES) };
  const skipped = lines.find((line) => /^skipp(ed|ing)\b/i.test(line) || / not enabled$/.test(line));
  return skipped === undefined ? { result: 'pass', said: [] } : { result: 'skipped', said: [skipped] };
}

async function endAll(program: Program): Promise<string[]> {
  const left = await survivors({ mark: program.mark });
  for (const entry of left) {
    try {
      process.kill(Number.parseInt(entry, 10), 'SIGKILL');
    } catch {
      // It has ended meanwhile.
    }
  }
  await program.stop();
  return left;
}

async function logs(object: string): Promise<string[]> {
  const texts: string[] = [];
  for (const name of ['failed-regress.log', 'failed-ssh.log', 'failed-sshd.log']) {
    const text = await readFile(join(object, name), 'utf8').catch(() => undefined);
    if (text !== undefined) texts.push(`--- ${name}`, text);
  }
  return texts;
}

async function own(folder: string, uid: number): Promise<void> {
  await chown(folder, uid, uid);
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) await chown(join(entry.parentPath, entry.name), uid, uid);
}

/** `scp -t` and `scp -f`, which scp starts at the other end, go to the device; all else is scp's. */
function remoteScp(ssh: string): string {
  return `#!/bin/bash
for word; do
  case $word in
  -t|-f) exec ${ssh} device "/usr/bin/scp$(printf ' %q' "$@")" ;;
  -*) ;;
  *) break ;;
  esac
done
exec /usr/bin/scp "$@"
`;
}

/**
 * Names of `ssh -Q` to what sshd offers by default, without what the bridge does not offer by itself (SHA-1,
 * tags of 64 bits), and without security tokens, which cannot be its host keys. (As users' keys they are in agent.sh.)
 */
async function defaultAlgorithms(tools: string): Promise<ReadonlyMap<string, readonly string[]>> {
  const key = join(tools, 'key');
  const made = await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', key]);
  if (made.status !== 0) throw new Error(`ssh-keygen: ${made.stderr.toString()}`);
  const { status, stdout, stderr } = await run('/usr/sbin/sshd', ['-T', '-f', '/dev/null', '-h', key]);
  if (status !== 0) throw new Error(`sshd -T: ${stderr.toString()}`);
  const value = (name: string): string[] => new RegExp(`^${name} (.*)$`, 'm').exec(stdout.toString())?.[1]?.split(',') ?? [];
  // ssh-rsa is the name of the key, of which only the SHA-1 signature is weak.
  const keys = [...value('pubkeyacceptedalgorithms').filter((name) => !/cert|^rsa-|^sk-/.test(name)), 'ssh-rsa'];
  const macs = value('macs').filter((name) => !/sha1|umac-64/.test(name));
  return new Map([['cipher', value('ciphers')], ['cipher-auth', value('ciphers')], ['mac', macs], ['kex', value('kexalgorithms')], ['key-plain', keys]]);
}

/** An ssh whose answers to -Q are cut down to `lists`; otherwise ssh itself. */
function strongLists(lists: ReadonlyMap<string, readonly string[]>): string {
  const cases = [...lists].map(([name, list]) => `    ${name}) list='${list.join(' ')}' ;;`);
  return `#!/bin/sh
asks=
for word; do
  if [ "$asks" = yes ]; then
    case $word in
${cases.join('\n')}
    *) break ;;
    esac
    /usr/bin/ssh -Q "$word" | while read -r name; do
      case " $list " in *" $name "*) echo "$name" ;; esac
    done
    exit
  fi
  [ "$word" = -Q ] && asks=yes
done
exec /usr/bin/ssh "$@"
`;
}
