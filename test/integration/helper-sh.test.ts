import { createHash, randomBytes } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ShChannel } from '../../src/helper/sh/channel.js';
import { createPtyDevice, type DeviceKind, type PtyDevice } from '../support/pty-device.js';
import { ShSession } from '../support/sh-session.js';
import { waitFor } from '../support/wait.js';

const KINDS: readonly DeviceKind[] = ['dash', 'bash', 'mksh', 'busybox'];
const ALL_BYTES = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
const sha = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

/** Processes of this machine whose command line or environment names the device's directory. */
function processesOf(device: PtyDevice): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const text = readFileSync(`/proc/${pid}/cmdline`, 'latin1') + readFileSync(`/proc/${pid}/environ`, 'latin1');
        const state = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]?.[0];
        return text.includes(device.root) && state !== 'Z' ? [`${pid} ${text.slice(0, 120).replaceAll('\0', ' ')}`] : [];
      } catch {
        return [];
      }
    });
}

describe.each(KINDS)('the sh helper where sh is %s', (kind) => {
  let device: PtyDevice;
  let session: ShSession;

  beforeAll(async () => {
    device = createPtyDevice(kind);
    session = new ShSession(device);
    await session.attach();
  });

  afterAll(async () => {
    await session.end();
    device.remove();
  });

  it('keeps standard output and standard error apart and tells the exit status', async () => {
    const run = await session.exec('echo out; echo err >&2; exit 37').done();
    expect(run.out.toString()).toBe('out\n');
    expect(run.err.toString()).toBe('err\n');
    expect(run.outcome).toEqual({ kind: 'status', status: 37 });
    expect(run.order).toEqual(['opened', 'data', 'outcome', 'eof', 'closed']);
  });

  it('tells each status from 0 to 255 as it is, 128 and more included', async () => {
    for (const status of [0, 1, 127, 128, 130, 143, 255]) {
      const run = await session.exec(`exit ${status}`).done();
      expect(run.outcome).toEqual({ kind: 'status', status });
    }
  });

  it('tells a death by signal from an exit status', async () => {
    const run = await session.exec('kill -TERM $$').done();
    expect(run.outcome).toMatchObject({ kind: 'signal', signal: 'TERM' });
  });

  it('carries every byte value both ways', async () => {
    const run = session.exec('cat; cat >&2 </dev/null');
    await run.send(Buffer.concat([ALL_BYTES, ALL_BYTES]));
    run.channel.end();
    await run.done();
    expect(run.out.equals(Buffer.concat([ALL_BYTES, ALL_BYTES]))).toBe(true);
    expect(run.status).toBe(0);
  });

  it('takes a command of any bytes, quotes and line ends included, as the client wrote it', async () => {
    const text = Buffer.concat([Buffer.from(`printf %s 'a"b\\c$d\`e\n\tf`), Buffer.from([0xc3, 0xa9, 0xff, 0x81, 0x88, 0x01]), Buffer.from(`g'\n\n`)]);
    const run = await session.exec(text).done();
    expect(run.out.toString('latin1')).toBe(`a"b\\c$d\`e\n\tf\xc3\xa9\xff\x81\x88\x01g`);
  });

  it('takes a command longer than a line', async () => {
    const word = randomBytes(30_000).toString('hex');
    const run = await session.exec(`printf %s ${word} | wc -c; : ${word}`).done();
    expect(run.text.trim()).toBe('60000');
  });

  it('ends standard input at once when the client does', async () => {
    const run = session.exec('cat; echo end');
    run.channel.end();
    await run.done();
    expect(run.text).toBe('end\n');
  });

  it('runs in the home with the login environment, without a terminal', async () => {
    const run = await session.exec('pwd; echo "$HOME:$SHELL:${TERM-none}:$LC_X"; tty', { env: { LC_X: "it's" } }).done();
    const [pwd, env, tty] = run.text.split('\n');
    expect(pwd).toBe(device.home);
    // Bash gives itself TERM=dumb where there is none.
    expect(env?.replace(':dumb:', ':none:')).toBe(`${device.home}:${join(device.root, 'bin', 'sh')}:none:it's`);
    expect(tty).toBe('not a tty');
  });

  it('runs a login shell on standard input when there is no command', async () => {
    const run = session.exec('', { command: undefined });
    await run.send(Buffer.from('echo first\nexit 5\n'));
    await run.done();
    expect(run.text).toBe('first\n');
    expect(run.status).toBe(5);
  });

  it('runs ten commands at once, each with its own input, output and status', async () => {
    const runs = Array.from({ length: 10 }, (_, index) => {
      const run = session.exec(`read x; echo "$x ${index}"; echo e${index} >&2; exit ${index}`);
      void run.send(Buffer.from(`line${index}\n`));
      return run;
    });
    for (const [index, run] of runs.entries()) {
      await run.done();
      expect([run.text, run.err.toString(), run.status]).toEqual([`line${index} ${index}\n`, `e${index}\n`, index]);
    }
  });

  it('passes signals to the process group of the command', async () => {
    const run = session.exec('trap "echo got; exit 9" USR1; echo ready; sleep 60 & wait');
    await waitFor('the trap', () => run.text.includes('ready'));
    run.channel.signal('USR1');
    await waitFor('the answer', () => run.text.includes('got'));
    run.channel.close();
    await run.done();
    expect(run.fault).toBeUndefined();
  });

  it('lets INT through: the command does not start with it ignored', async () => {
    const run = session.exec('echo ready; exec sleep 60');
    await waitFor('the start', () => run.text.includes('ready'));
    run.channel.signal('INT');
    await run.done();
    // Shells say nothing of a child that INT ended, so this death may show as 128 + 2.
    expect(run.outcome?.kind === 'signal' ? 130 : run.status).toBe(130);
  });

  it('keeps the channel open for a background child that holds standard output, as sshd does', async () => {
    const run = await session.exec('(sleep 1; echo late) & echo early').done();
    expect(run.text).toBe('early\nlate\n');
    const detached = await session.exec('sleep 30 >/dev/null 2>&1 & echo $!').done();
    await session.exec(`kill ${detached.text}`).done();
    expect(detached.status).toBe(0);
  });
});

describe.each(['dash', 'busybox'] as const)('the sh helper with much data where sh is %s', (kind) => {
  let device: PtyDevice;
  let session: ShSession;

  beforeAll(async () => {
    device = createPtyDevice(kind);
    session = new ShSession(device);
    await session.attach();
  });

  afterAll(async () => {
    await session.end();
    device.remove();
  });

  it('carries 5 MB both ways at once without a byte changed', async () => {
    const data = randomBytes(5_000_000);
    const run = session.exec('cat');
    await run.send(data);
    run.channel.end();
    await run.done();
    expect(sha(run.out)).toBe(sha(data));
  });

  it('carries large standard output and standard error at once', async () => {
    const run = await session.exec('head -c 600000 /dev/zero | tr "\\0" o & head -c 500000 /dev/zero | tr "\\0" e >&2; wait').done();
    expect([run.out.length, run.err.length]).toEqual([600_000, 500_000]);
    expect(run.err.every((byte) => byte === 0x65)).toBe(true);
  });

  it('stops a command whose output nobody takes, and goes on when somebody does', async () => {
    const mark = join(device.home, 'written');
    const run = session.exec(`head -c 4000000 /dev/zero; echo done >${mark}`);
    run.hold();
    const other = await session.exec('echo quick').done();
    expect(other.text).toBe('quick\n');
    await waitFor('the bound', () => run.bytes >= 8 * 16 * 1024);
    const before = run.bytes;
    await session.exec('sleep 1').done();
    expect(run.bytes - before).toBeLessThan(400_000);
    expect(existsSync(mark)).toBe(false);
    run.release();
    await run.done();
    expect(run.out.length).toBe(4_000_000);
  });

  it('does not let a command that never reads its input hold up another', async () => {
    const stuck = session.exec('sleep 100');
    stuck.channel.write(randomBytes(400_000));
    const run = session.exec('wc -c');
    await run.send(randomBytes(300_000));
    run.channel.end();
    await run.done();
    expect(run.text.trim()).toBe('300000');
    stuck.channel.close();
    await stuck.done();
  });

  it('hangs up the process group when the client is gone, and frees its place', async () => {
    const mark = join(device.home, 'hup');
    const run = session.exec(`trap "echo hup >${mark}; exit" HUP; echo ready; sleep 100 & wait 2>/dev/null`);
    await waitFor('the start', () => run.text.includes('ready'));
    run.channel.close();
    await run.done();
    await waitFor('the hang-up', () => existsSync(mark));
    const left = await session.exec(`ls ${session.backend.directory ?? ''} | grep -c "^[0-9]"`).done();
    await waitFor('its directory to go', async () => {
      const list = await session.exec(`ls ${session.backend.directory ?? ''}`).done();
      return list.text.split('\n').filter((name) => /^\d+$/.test(name)).length === 1;
    });
    expect(left.status).toBe(0);
  });

  it('goes on after channels that were closed while their output was on its way', async () => {
    for (let round = 0; round < 10; round += 1) {
      const runs = Array.from({ length: 6 }, () => session.exec('while :; do head -c 3000 /dev/zero; done'));
      await Promise.all(runs.map(async (run) => {
        await waitFor('some output', () => run.bytes > 10_000);
        run.channel.close();
        await run.done();
      }));
    }
    expect((await session.exec('echo here; exit 3').done()).status).toBe(3);
  });

  it('goes on where a channel has lost its place on the device', async () => {
    const run = session.exec('echo ready; sleep 5');
    await waitFor('the start', () => run.text.includes('ready'));
    await session.exec(`rm -rf ${session.backend.directory ?? ''}/${(run.channel as ShChannel).number}`).done();
    run.channel.closeOutput();
    run.channel.close();
    await run.done();
    expect((await session.exec('exit 3').done()).status).toBe(3);
  });

  it('closes standard output alone when nobody reads it any more', async () => {
    const run = session.exec('yes; echo yes ended >&2');
    await waitFor('some output', () => run.bytes > 0);
    run.channel.closeOutput();
    await run.done();
    expect(run.err.toString()).toContain('yes ended');
  });
});

describe('the sh helper and what it leaves behind', () => {
  it('takes another directory where the usual ones cannot be written, and removes it at the end', async () => {
    const device = createPtyDevice('busybox');
    // Root writes anywhere, so a directory that is not there stands for one that is read-only.
    const session = new ShSession({ ...device, state: '/proc/nowhere' });
    await session.attach();
    const directory = session.backend.directory ?? '';
    expect(directory).not.toContain('/proc');
    expect((await session.exec('echo ok').done()).text).toBe('ok\n');
    await session.end();
    expect(existsSync(directory)).toBe(false);
    await waitFor('its processes to go', () => processesOf(device).length === 0);
    device.remove();
  });

  it.each(KINDS)('leaves no process and no file after a clean end in mid-command (%s)', async (kind) => {
    const device = createPtyDevice(kind);
    const session = new ShSession(device);
    await session.attach();
    const runs = [session.exec('sleep 1000'), session.exec('yes'), session.exec('cat')];
    await waitFor('output', () => (runs[1]?.bytes ?? 0) > 0);
    await session.end();
    for (const run of runs) expect((await run.done()).fault?.code).toBe('DEVICE_LOST');
    await waitFor('its processes to go', () => processesOf(device).length === 0);
    expect(readdirSync(device.state)).toEqual([]);
    expect(readdirSync(device.home)).toEqual([]);
    device.remove();
  });

  it('ends itself and its commands when nobody comes back within the grace', async () => {
    const device = createPtyDevice('busybox');
    const session = new ShSession(device, { graceSeconds: 3 });
    await session.attach();
    const run = session.exec('sleep 1000');
    await waitFor('the start', () => run.order.includes('opened'));
    session.drop();
    await waitFor('its processes to go', () => processesOf(device).length === 0);
    expect(readdirSync(device.state)).toEqual([]);
    await expect(session.attach()).rejects.toMatchObject({ code: 'DEVICE_LOST' });
    session.drop();
    device.remove();
  });

  it('keeps its state away from other users', async () => {
    const device = createPtyDevice('dash');
    const session = new ShSession(device);
    await session.attach();
    const run = await session.exec(`ls -ld ${session.backend.directory ?? ''}`).done();
    expect(run.text).toMatch(/^drwx------/);
    await session.end();
    device.remove();
  });
});

describe('the sh helper and lost logins', () => {
  it.each(KINDS)('goes on with everything after the login was replaced in mid-transfer (%s)', async (kind) => {
    const device = createPtyDevice(kind);
    const session = new ShSession(device);
    await session.attach();
    const data = randomBytes(2_000_000);
    const run = session.exec('cat; echo end >&2; exit 3');
    const sent = run.send(data).then(() => {
      run.channel.end();
    });
    const quiet = session.exec('read x; echo "got $x"');
    for (const mark of [300_000, 900_000, 1_500_000]) {
      await waitFor(`${mark} bytes`, () => run.bytes > mark);
      await session.replace();
    }
    quiet.channel.write(Buffer.from('word\n'));
    await sent;
    await run.done();
    expect(sha(run.out)).toBe(sha(data));
    expect([run.err.toString(), run.status]).toEqual(['end\n', 3]);
    expect((await quiet.done()).text).toBe('got word\n');
    await session.end();
    device.remove();
  });

  it('delivers what a command said while nobody was there', async () => {
    const device = createPtyDevice('busybox');
    const session = new ShSession(device);
    await session.attach();
    const mark = join(device.home, 'go');
    const run = session.exec(`echo before; while [ ! -e ${mark} ]; do sleep 1; done; echo after; echo done >${mark}; exit 4`);
    await waitFor('the start', () => run.text.includes('before'));
    session.drop();
    writeFileSync(mark, '');
    await waitFor('the command to end', () => readFileSync(mark, 'utf8') === 'done\n');
    await session.attach();
    await run.done();
    expect([run.text, run.status]).toEqual(['before\nafter\n', 4]);
    await session.end();
    device.remove();
  });

  it('takes over from a login that is still open', async () => {
    const device = createPtyDevice('busybox');
    const session = new ShSession(device);
    await session.attach();
    const old = session.login;
    old?.mute();
    const run = session.exec('echo lost; exit 6');
    session.backend.detach(new Error('stalled'));
    await session.attach();
    await run.done();
    expect([run.text, run.status]).toEqual(['lost\n', 6]);
    await session.end();
    old?.drop();
    device.remove();
  });
});

