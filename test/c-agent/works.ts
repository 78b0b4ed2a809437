/**
 * What real clients do through the C agent. Each piece of work counts what it did, what came out wrong
 * and what was cut (a client that ended as one does whose connection broke), and how long its slowest
 * step took.
 */
import { createHash, randomBytes, randomInt } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Program, type Run } from '../support/program.js';
import { waitFor } from '../support/wait.js';
import type { CLab } from './lab.js';

/** No step may take longer; one that does has hung. */
const STEP_MS = 15 * 60_000;

export interface Tally {
  what: string;
  amount: string;
  done: number;
  wrong: number;
  cut: number;
  /** The slowest step, in ms. */
  worstMs: number;
  seconds: number;
  /** Rates and the first things that went wrong. */
  notes: string[];
}

export interface Sizes {
  megabytes: number;
  commands: number;
  tree: number;
  keys: number;
  forks: number;
}

export type Work = (lab: CLab, sizes: Sizes, tally: Tally) => Promise<void>;

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

/** Runs a program of the work; the slowest counts. */
async function step(lab: CLab, tally: Tally, file: string, args: readonly string[], input?: Buffer): Promise<Run> {
  const program = new Program(file, args, { input, cwd: join(lab.dir, 'work'), timeoutMs: STEP_MS, env: { SSH_AUTH_SOCK: undefined, ANSIBLE_CONFIG: join(lab.dir, 'work', 'ansible.cfg') } });
  lab.running.add(program);
  const began = performance.now();
  const result = await program.done.finally(() => lab.running.delete(program));
  tally.worstMs = Math.max(tally.worstMs, performance.now() - began);
  return result;
}

const sh = (lab: CLab, tally: Tally, script: string): Promise<Run> => step(lab, tally, 'bash', ['-c', `set -o pipefail; CFG='${lab.config}'\n${script}`]);

function judge(tally: Tally, name: string, result: Run, right: boolean): void {
  tally.done += 1;
  if (right) return;
  if (result.status === 255) tally.cut += 1;
  else tally.wrong += 1;
  if (tally.notes.length < 5) tally.notes.push(`${name}: status ${String(result.status)} ${String(result.signal ?? '')} ${result.stderr.toString().trim().slice(-300)} ${result.stdout.toString().slice(-300)}`);
}

/** Random bytes of a length that no buffer has. */
async function noiseFile(path: string, bytes: number): Promise<string> {
  const data = randomBytes(bytes);
  await writeFile(path, data, { mode: 0o644 });
  return sha256(data);
}

const bulkBytes = (sizes: Sizes): number => sizes.megabytes * 1_000_000 + 4_711;

const down: Work = async (lab, sizes, tally) => {
  const sum = await noiseFile(join(lab.account.home, 'down'), bulkBytes(sizes));
  const result = await sh(lab, tally, 'ssh -F $CFG host cat down | sha256sum');
  judge(tally, 'down', result, result.status === 0 && result.stdout.toString().startsWith(sum));
  tally.notes.push(`${(sizes.megabytes / (tally.worstMs / 1000)).toFixed(2)} MB/s`);
};

const up: Work = async (lab, sizes, tally) => {
  const sum = await noiseFile(join(lab.dir, 'work', 'up'), bulkBytes(sizes));
  const result = await sh(lab, tally, 'ssh -F $CFG host sha256sum <up');
  judge(tally, 'up', result, result.status === 0 && result.stdout.toString().startsWith(sum));
  tally.notes.push(`${(sizes.megabytes / (tally.worstMs / 1000)).toFixed(2)} MB/s`);
};

const both: Work = async (lab, sizes, tally) => {
  const sum = await noiseFile(join(lab.dir, 'work', 'both'), Math.ceil(bulkBytes(sizes) / 10));
  const result = await sh(lab, tally, 'ssh -F $CFG host cat <both | sha256sum');
  judge(tally, 'both', result, result.status === 0 && result.stdout.toString().startsWith(sum));
};

/** Bytes as a format of printf, which every sh has. */
const octal = (bytes: Buffer): string => [...bytes].map((byte) => `\\${byte.toString(8).padStart(3, '0')}`).join('');

/** Commands one after the other in several lanes: of their own connection, and through masters. */
const commands: Work = async (lab, sizes, tally) => {
  const lanes = ['own', 'own', 'cm-a', 'cm-a', 'cm-b', 'cm-b'];
  // Two that would both be the master complain of each other.
  for (const lane of new Set(lanes.slice(2))) await step(lab, tally, 'ssh', ['-F', lab.config, '-o', 'ControlMaster=yes', '-o', `ControlPath=${join(lab.dir, lane)}`, '-o', 'ControlPersist=600', 'host', 'true']);
  let left = sizes.commands;
  await Promise.all(
    lanes.map(async (lane) => {
      const mux = lane === 'own' ? ['-o', 'ControlPath=none'] : ['-o', 'ControlMaster=no', '-o', `ControlPath=${join(lab.dir, lane)}`];
      while (left > 0) {
        left -= 1;
        const [out, err, input] = [randomBytes(randomInt(200)), randomBytes(randomInt(100)), randomBytes(randomInt(10) === 0 ? randomInt(40_000) : 0)];
        const status = randomInt(255);
        const script = `${input.length > 0 ? 'cat;' : ''}printf '${octal(out)}'; printf '${octal(err)}' >&2; exit ${status}`;
        const result = await step(lab, tally, 'ssh', ['-F', lab.config, ...mux, 'host', script], input);
        const right = result.status === status && result.stdout.equals(Buffer.concat([input, out])) && result.stderr.equals(err);
        judge(tally, `exit ${status}`, result, right);
      }
    }),
  );
  for (const lane of ['cm-a', 'cm-b']) await step(lab, tally, 'ssh', ['-F', lab.config, '-o', `ControlPath=${join(lab.dir, lane)}`, '-O', 'exit', 'host']);
};

const PLAYBOOK = `- hosts: all
  gather_facts: no
  tasks:
    - ping:
    - setup: {gather_subset: min}
    - copy: {src: large, dest: "{{ansible_user_dir|default('.')}}/a-{{inventory_hostname}}"}
    - template: {src: t.j2, dest: "t-{{inventory_hostname}}"}
    - shell: "echo out; echo err >&2; exit 3"
      register: r
      failed_when: r.rc != 3 or r.stdout != 'out' or r.stderr != 'err'
    - shell: "echo {{item}}"
      loop: "{{range(0, loops|int)|list}}"
      register: l
    - assert: {that: "l.results|map(attribute='stdout')|map('int')|list == range(0, loops|int)|list"}
    - fetch: {src: "a-{{inventory_hostname}}", dest: "got/", flat: yes}
    - stat: {path: "t-{{inventory_hostname}}"}
      register: s
    - assert: {that: "s.stat.size == ('host ' ~ inventory_hostname ~ '\\n')|length"}
`;

const ansible: Work = async (lab, sizes, tally) => {
  const work = join(lab.dir, 'work');
  const hosts = Array.from({ length: sizes.forks }, (_, i) => `h${i}`);
  const sum = await noiseFile(join(work, 'large'), 1_234_567);
  await writeFile(join(work, 'hosts'), hosts.map((host) => `${host} ansible_python_interpreter=/usr/bin/python3 ansible_ssh_common_args="-F ${lab.config}"\n`).join(''));
  await writeFile(join(work, 't.j2'), 'host {{inventory_hostname}}\n');
  await writeFile(join(work, 'play.yml'), PLAYBOOK);
  await writeFile(join(work, 'ansible.cfg'), `[defaults]\nretries=0\nlocal_tmp=${work}/tmp\n[ssh_connection]\ncontrol_path_dir=${lab.dir}/cp\n`);
  await mkdir(join(work, 'got'), { recursive: true });
  for (const pipelining of ['True', 'False']) {
    const result = await sh(lab, tally, `ANSIBLE_PIPELINING=${pipelining} ANSIBLE_SSH_RETRIES=0 ansible-playbook -i hosts -f ${sizes.forks} -e loops=10 play.yml`);
    let right = result.status === 0;
    for (const host of hosts) right &&= sha256(await readFile(join(work, 'got', `a-${host}`)).catch(() => Buffer.alloc(0))) === sum;
    judge(tally, `ansible, pipelining ${pipelining}`, result, right);
  }
  await sh(lab, tally, `for s in ${lab.dir}/cp/*; do [ -S "$s" ] && ssh -F $CFG -o ControlPath=$s -O exit host; done`);
};

const files: Work = async (lab, sizes, tally) => {
  const tree = join(lab.dir, 'work', 'tree');
  await mkdir(join(tree, 'sub dir'), { recursive: true });
  for (let i = 0; i < sizes.tree; i += 1) await writeFile(join(tree, i % 2 === 0 ? 'sub dir' : '.', `f ${i}`), randomBytes(randomInt(i % 10 === 0 ? 400_000 : 9_000)));
  const list = `(cd %s && find . -type f | LC_ALL=C sort | while IFS= read -r f; do sha256sum "$f"; done) | sha256sum`;
  const wanted = (await sh(lab, tally, list.replace('%s', 'tree'))).stdout.toString();
  const check = async (name: string, script: string, folder: string): Promise<void> => {
    const result = await sh(lab, tally, `${script} && ${list.replace('%s', folder)}`);
    judge(tally, name, result, result.status === 0 && result.stdout.toString() === wanted);
  };
  const home = lab.account.home;
  await check('scp up', 'scp -qrp -F $CFG tree host:scp-up', join(home, 'scp-up'));
  await check('scp down', 'scp -qrp -F $CFG host:scp-up scp-down', 'scp-down');
  await check('scp -O', 'scp -Oqrp -F $CFG tree host:scp-o', join(home, 'scp-o'));
  await check('rsync up', 'rsync -a --checksum --delete -e "ssh -F $CFG" tree/ host:rs-up/', join(home, 'rs-up'));
  await check('rsync down', 'rsync -a --checksum -e "ssh -F $CFG" host:rs-up/ rs-down/', 'rs-down');
  await check('sftp', 'printf "put -rp tree sftp-up\\nget -rp sftp-up sftp-down\\n" | sftp -q -b - -F $CFG host >/dev/null', 'sftp-down');
};

/** Keys typed into a shell on a terminal: each is echoed once and in order. */
const terminal: Work = async (lab, sizes, tally) => {
  const program = new Program('ssh', ['-F', lab.config, '-tt', 'host'], { input: 'open', cwd: lab.dir });
  lab.scope.add(() => program.stop());
  program.child.stdin?.write("PS1='$ '; stty -echoctl; echo re''ady\n");
  await waitFor('the prompt', () => program.stdout.includes('ready'), 60_000);
  let seen = program.stdout.length;
  for (let line = 0; tally.done < sizes.keys; line += 1) {
    for (const key of `echo l${line}-''`) {
      const began = performance.now();
      program.child.stdin?.write(key);
      await waitFor('the echo', () => program.stdout.length > seen, STEP_MS);
      if (program.stdout.slice(seen) !== key) tally.wrong += program.stdout.slice(seen).includes(key) && line === 0 ? 0 : 1;
      seen = program.stdout.length;
      tally.done += 1;
      tally.worstMs = Math.max(tally.worstMs, performance.now() - began);
    }
    program.child.stdin?.write(`end${line}\n`);
    await waitFor('the answer', () => program.stdout.includes(`l${line}-end${line}\r\n`) && program.stdout.slice(seen).endsWith('$ '), STEP_MS).catch(() => {
      tally.wrong += 1;
      tally.notes.push(JSON.stringify(program.stdout.slice(seen)));
    });
    seen = program.stdout.length;
  }
  program.child.stdin?.write('exit 7\n');
  const result = await program.done;
  if (result.status !== 7) tally.cut += 1;
};

export const WORKS: Record<string, Work> = { down, up, both, commands, ansible, files, terminal };
