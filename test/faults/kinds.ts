/**
 * The faults. Each is injected while clients work; `survive` means that no client may notice more
 * than a delay, `cut` that clients are told one true sentence and end with their code for a broken
 * connection, and that the next login works.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Injection } from '../../src/agent/agent.js';
import { encodeFrame, newRequestId } from '../../src/protocol/encode.js';
import { Program } from '../support/program.js';
import { waitFor } from '../support/wait.js';
import type { Chance } from './chance.js';
import { changed, FOREIGN, hasPacket, isWork, spoil, spoilAny } from './frame-damage.js';
import type { DeviceProcess, Lab } from './lab.js';
import { struck } from './strike.js';

export type LabName = 'sound' | 'brief' | 'c-agent' | 'csharp-agent';

export interface Kind {
  title: string;
  outcome: 'survive' | 'cut';
  /** Which of the labs it needs. */
  lab: LabName;
  /** The stock agent cannot survive it. */
  soundOnly?: true;
  /** Seconds after which a client that is affected has gone on or was told. */
  boundSeconds: number;
  /** What bounds it, for people. */
  because: string;
  /** For `cut`: what the sentence that clients show must match. */
  sentence?: RegExp;
  /** `over` resolves when every client of the run has ended, for faults that stay until then. */
  inject(lab: Lab, chance: Chance, over: Promise<unknown>): Promise<void>;
}

/** Everything of the helper: on the sh tier the front does what the daemon does on the other. */
function helper(lab: Lab): DeviceProcess['kind'][] {
  return lab.options.tier === 'sh' ? ['daemon', 'front'] : ['daemon'];
}

/** What ssh says by itself when it comes in the moment of the end: to the bridge, or to the ssh that shares its connection. */
const TOO_LATE = /Connection refused|kex_exchange_identification: .*Connection reset|^mux_client_\w+: .*(Broken pipe|Connection reset)/;

function anyOf(...sentences: RegExp[]): RegExp {
  return new RegExp(sentences.map(({ source }) => source).join('|'), 'i');
}

/** A relogin: two tries of 6 s, a new tunnel, another try; then the start of the helper. */
const RELOGIN = 'stall found in 1.7 s, login 0.2 to 6 s, twice, then a new tunnel';

function agentFault(title: string, what: Injection, boundSeconds = 25, because = RELOGIN): Kind {
  return {
    title,
    outcome: 'survive',
    lab: 'sound',
    boundSeconds,
    because,
    inject: async (lab) => {
      await struck('the agent', () => lab.agent.inject(what), 15_000);
    },
  };
}

/** Signals every one of them that lives; how many those are. */
function killAll(pids: readonly number[], signal: NodeJS.Signals): number {
  let hits = 0;
  for (const pid of pids) {
    try {
      process.kill(pid, signal);
      hits += 1;
    } catch {
      // It has ended.
    }
  }
  return hits;
}

/** Signals the device's processes of these kinds once there are any: between two logins there may be none. */
async function strike(lab: Lab, kinds: readonly DeviceProcess['kind'][], signal: NodeJS.Signals): Promise<number[]> {
  return await struck(`a process of the kind ${kinds.join(' or ')}`, async () => {
    const pids = (await lab.processes()).filter(({ kind }) => kinds.includes(kind)).map(({ pid }) => pid);
    return killAll(pids, signal) > 0 && pids;
  });
}

/** Kinds of which several may strike at once. */
export const COMBINED = [
  'silent-death', 'stall', 'stall-for-good', 'session-killed', 'disconnect-frame', 'device-drop', 'source-drop', 'output-dropped',
  'commands-dropped', 'output-garbled', 'foreign-text', 'front-killed', 'slow-device', 'agent-freeze',
] as const;

export const KINDS: Readonly<Record<string, Kind>> = {
  'none': {
    title: 'no fault (the clients themselves)', outcome: 'survive', lab: 'sound', boundSeconds: 5, because: 'nothing to wait for',
    inject: async () => {},
  },
  'silent-death': agentFault('the SSH leg dies and nothing says so', 'silent-death'),
  'stall': agentFault('output is held until the next input', 'stall'),
  'stall-for-good': agentFault('output is held for good', 'stall-for-good'),
  'session-killed': {
    ...agentFault('the device’s sshd session is killed', 'kill-session'),
    inject: async (lab) => {
      await strike(lab, ['sshd'], 'SIGKILL');
    },
  },
  // The stock agent hangs for good after it: `deadlock`.
  'shell-ended': { ...agentFault('the login shell ends (408)', 'end-shell'), soundOnly: true },
  'disconnect-frame': {
    ...agentFault('a `disconnect` frame', 'kill-session', 30, 'the device leg is given 3 s to return; then as a stall'),
    inject: async (lab, chance) => {
      const frame = { operation: 'disconnect', requestId: newRequestId(), status: chance.pick(['408', '400', '1000', '500']), message: 'injected' } as const;
      await spoil(lab, 'device', 3000, () => {
        lab.filter = undefined;
        return { replace: encodeFrame(frame) };
      });
    },
  },
  'device-drop': {
    ...agentFault('the device’s WebSocket drops', 'drop-ws', 30, 'the agent’s own reconnection (1 to 10 s a try), then a login'),
    inject: async (lab, chance) => {
      await struck('the device leg', () => (chance.between(0, 1) < 0.5 ? lab.relay.drop('device') : lab.agent.inject('drop-ws')), 15_000);
    },
  },
  'agent-crash': agentFault('the agent crashes and restarts with the same token', 'crash', 30, 'the restart (here 3 s), then a login'),
  'agent-freeze': {
    ...agentFault('the agent stands still for 1 to 6 s', 'freeze', 40, 'the freeze, then as a stall'),
    inject: async (lab, chance) => {
      const ms = chance.between(1000, 6000);
      await struck('the agent', () => lab.agent.inject('freeze', { ms }), 15_000);
      await sleep(ms);
    },
  },
  'source-drop': {
    ...agentFault('the bridge’s WebSocket drops', 'drop-ws', 45, 'the reconnection (1 s, doubling to 30 s while it keeps failing), then a login'),
    inject: async (lab) => {
      await struck('the source leg', () => lab.relay.drop('source'), 35_000);
    },
  },
  'relay-restart': {
    ...agentFault('the platform restarts (both WebSockets, down 0.2 to 2 s)', 'drop-ws', 60, 'both reconnections, then a login'),
    inject: async (lab, chance) => {
      await lab.relay.close();
      await sleep(chance.between(200, 2000));
      await lab.startRelay();
    },
  },
  'blackout': {
    ...agentFault('the network loses everything for 0.5 to 5 s', 'stall', 40, 'the blackout, then as a stall'),
    inject: async (lab, chance) => {
      await spoilAny(lab, chance.between(500, 5000), () => 'drop');
    },
  },
  'slow-network': {
    ...agentFault('the network gets 0.2 to 0.6 s slower each way for 3 s', 'stall', 40, 'the delay; logins in vain double the patience'),
    inject: async (lab, chance) => {
      const delayMs = chance.between(200, 600);
      await spoilAny(lab, 3000, () => ({ delayMs }));
    },
  },
  'output-dropped': {
    ...agentFault('output frames are lost', 'stall'),
    inject: async (lab, chance) => {
      const rate = chance.pick([0.05, 0.3, 0.8]);
      await spoil(lab, 'device', chance.between(300, 2500), () => (chance.between(0, 1) < rate ? 'drop' : 'pass'));
    },
  },
  'commands-dropped': {
    ...agentFault('command frames are lost', 'stall'),
    inject: async (lab, chance) => {
      const rate = chance.pick([0.05, 0.3, 0.8]);
      await spoil(lab, 'source', chance.between(300, 2500), () => (chance.between(0, 1) < rate ? 'drop' : 'pass'));
    },
  },
  'output-garbled': {
    ...agentFault('bytes of output change', 'stall'),
    inject: async (lab, chance) => {
      await spoil(lab, 'device', chance.between(300, 2500), (bytes) => (chance.between(0, 1) < 0.3 ? changed(bytes, (data) => {
        const copy = Buffer.from(data);
        for (let n = chance.whole(1, 8); n > 0 && copy.length > 0; n -= 1) copy[chance.whole(0, copy.length - 1)] = chance.whole(32, 126);
        return copy;
      }) : 'pass'));
    },
  },
  'output-cut': {
    ...agentFault('slices of output are lost (NUL, fragments)', 'stall'),
    inject: async (lab, chance) => {
      await spoil(lab, 'device', chance.between(300, 2500), (bytes) => (chance.between(0, 1) < 0.3 ? changed(bytes, (data) => {
        const from = chance.whole(0, data.length);
        return Buffer.concat([data.subarray(0, from), data.subarray(chance.whole(from, data.length))]);
      }) : 'pass'));
    },
  },
  'output-duplicated': {
    ...agentFault('output frames come twice', 'stall'),
    inject: async (lab, chance) => {
      let hits = 0;
      for (let n = chance.whole(3, 30); n > 0; n -= 1) {
        if (lab.agent.inject(chance.pick(['duplicate-next-output', 'duplicate-next-output', 'drop-next-output']))) hits += 1;
        await sleep(chance.between(10, 80));
      }
      if (hits === 0) await struck('the agent', () => lab.agent.inject('duplicate-next-output'), 15_000);
    },
  },
  'foreign-text': {
    ...agentFault('foreign text appears in the terminal', 'stall'),
    inject: async (lab, chance) => {
      await spoil(lab, 'device', chance.between(300, 2500), (bytes) => (chance.between(0, 1) < 0.3 ? changed(bytes, (data) => {
        const at = chance.pick([0, data.length, chance.whole(0, data.length)]);
        return Buffer.concat([data.subarray(0, at), Buffer.from(chance.pick(FOREIGN)), data.subarray(at)]);
      }) : 'pass'));
    },
  },
  'deadlock': {
    ...agentFault('the shell ends, the agent hangs, and is restarted after 2 to 8 s', 'deadlock', 60, 'the agent’s restart, then the next try (at most 15 s later)'),
    inject: async (lab, chance) => {
      await struck('the agent', () => lab.agent.inject('deadlock'), 15_000);
      lab.agent.inject(chance.pick(['end-shell', 'silent-death']));
      await sleep(chance.between(2000, 8000));
      await struck('the agent', () => lab.agent.inject('crash'), 15_000);
    },
  },
  'agent-sticks': {
    ...agentFault('the agent hangs while it types, until its session ends', 'hang', 45, 'the helper asks after 0.5 to 2.5 s, waits 1.5 s and ends the login; then the next try'),
    // With other agents the end of a login is no cure.
    lab: 'c-agent',
  },
  'sshd-down': {
    ...agentFault('the device’s sshd is down for 1 to 12 s, sessions included', 'kill-session', 45, 'a refusal that comes at once is tried again, 20 times, at most 5 s apart'),
    inject: async (lab, chance) => {
      await lab.stopSshd();
      await sleep(chance.between(1000, 12_000));
      await lab.startSshd();
    },
  },
  'front-killed': {
    ...agentFault('the helper’s front is killed', 'stall'),
    inject: async (lab) => {
      await strike(lab, ['front'], 'SIGKILL');
    },
  },
  'slow-device': {
    ...agentFault('the helper is stopped for 0.3 to 5 s', 'stall', 40, 'the stop, then as a stall'),
    inject: async (lab, chance) => {
      const pids = await strike(lab, helper(lab), 'SIGSTOP');
      await sleep(chance.between(300, 5000));
      killAll(pids, 'SIGCONT');
    },
  },
  'bridge-paused': {
    ...agentFault('the bridge is stopped for 1 to 5 s', 'stall', 40, 'the stop'),
    inject: async (lab, chance) => {
      const { pid } = lab.bridge;
      process.kill(pid, 'SIGSTOP');
      await sleep(chance.between(1000, 5000));
      process.kill(pid, 'SIGCONT');
    },
  },
  'clock-jump': {
    ...agentFault('the bridge’s clock jumps by an hour, or a day, either way', 'stall'),
    inject: async (lab, chance) => {
      lab.jumpClock(chance.pick([-86_400_000, -3_600_000, -30_000, 30_000, 3_600_000, 86_400_000]));
    },
  },
  'many': {
    ...agentFault('three to five of the above within 2 s', 'stall', 60, 'the slowest of them'),
    inject: async (lab, chance, over) => {
      const several = chance.shuffled(COMBINED).slice(0, chance.whole(3, 5));
      await Promise.all(several.map(async (name) => {
        await sleep(chance.between(0, 2000));
        await KINDS[name]?.inject(lab, chance, over);
      }));
    },
  },
  'wild-agent': {
    ...agentFault('the stock C agent, its silent deaths and stalls some fifteen times as frequent, with crashes and lost output besides', 'stall', 60, 'several relogins in a row'),
    lab: 'c-agent',
    inject: async () => {},
  },
  'wrong-order': {
    ...agentFault('frames change places both ways (C# agent)', 'stall', 60),
    lab: 'csharp-agent',
    inject: async () => {},
  },
  'csharp-source-drop': {
    ...agentFault('the bridge’s WebSocket drops (C# agent, which ignores a second connect)', 'drop-ws', 45, 'the reconnection; the session goes on'),
    lab: 'csharp-agent',
    inject: async (lab) => {
      await struck('the source leg', () => lab.relay.drop('source'), 35_000);
    },
  },
  'daemon-killed': {
    ...agentFault('the helper itself is killed', 'stall'),
    outcome: 'cut',
    // On the sh tier each command has its own part of the helper, and what tells of its death is the next front.
    sentence: /helper|What serves the command on the device was killed/i,
    inject: async (lab) => {
      await strike(lab, helper(lab), 'SIGKILL');
    },
  },
  'device-reboot': {
    ...agentFault('the device reboots (everything on it is killed, agent and sshd are back after 2 s)', 'crash', 60, 'the reboot, then a login'),
    outcome: 'cut',
    sentence: /helper/i,
    inject: async (lab) => {
      lab.agent.inject('crash');
      await lab.stopSshd();
      killAll((await lab.processes()).map(({ pid }) => pid), 'SIGKILL');
      await lab.forgetMemory();
      await sleep(2000);
      await lab.startSshd();
    },
  },
  'bridge-sigterm': {
    ...agentFault('the bridge gets SIGTERM and is started again', 'stall', 15, '--drain (5 s here), then 10 s for the end'),
    outcome: 'cut',
    lab: 'brief',
    sentence: anyOf(/shutting down/, TOO_LATE),
    inject: async (lab) => {
      const before = lab.bridge;
      const ours = await lab.helpers();
      before.child.kill('SIGTERM');
      await waitFor('the end of the bridge', () => !before.running, 20_000);
      const status = (await before.done).status;
      if (status !== 0) throw new Error(`the bridge ended with ${status} after SIGTERM`);
      // While the stock agent has lost the session nobody can take leave of the helper: it has its grace.
      if (lab.options.profile === undefined) await lab.expectCleanDevice('after SIGTERM', 3000);
      else lab.expectGone(ours);
      await lab.startBridge();
    },
  },
  // The stock agent crashes of a command after its shell's end, is restarted, and does not hang.
  'agent-hung': {
    ...agentFault('the agent hangs for good', 'deadlock', 15, 'the grace (10 s here), all tries together'),
    outcome: 'cut',
    lab: 'brief',
    soundOnly: true,
    sentence: /could not be reached again within 10 s/,
    inject: async (lab, _chance, over) => {
      await struck('the agent', () => lab.agent.inject('deadlock'), 15_000);
      lab.agent.inject('silent-death');
      await over;
      await struck('the agent', () => lab.agent.inject('crash'), 15_000);
    },
  },
  'nothing-arrives': {
    ...agentFault('every login works, and nothing comes after it', 'stall', 40, 'the grace (10 s here) after it was found out, which takes at most 10 s and a relogin'),
    outcome: 'cut',
    lab: 'brief',
    // The sh tier's small records pass, so that its device answers.
    sentence: /could not be reached again within 10 s|The device answers, but .* for 10 s/,
    inject: async (lab, _chance, over) => {
      lab.filter = (leg, bytes) => (leg === 'device' && isWork(bytes) && hasPacket(bytes, 32) ? 'drop' : 'pass');
      await over;
      lab.filter = undefined;
    },
  },
  'device-offline': {
    ...agentFault('the device goes offline for good; new logins come', 'deadlock', 35, 'running clients: the grace (10 s here); new logins: 30 s'),
    outcome: 'cut',
    lab: 'brief',
    sentence: /could not be reached again within 10 s|(has not come to|does not answer at) the tunnel/,
    inject: async (lab, _chance, over) => {
      await lab.agent.close();
      await over;
      const began = performance.now();
      const { status, stderr } = await new Program('ssh', [...lab.sshOptions(), 'host', 'true'], { timeoutMs: 60_000 }).done;
      if (status !== 255 || !/(has not come to|does not answer at) the tunnel/.test(stderr.toString())) throw new Error(`a new login was told ${status} ${stderr.toString()}`);
      if (performance.now() - began > 35_000) throw new Error('a new login was told too late');
      await lab.startAgent();
    },
  },
  'tunnel-ended': {
    ...agentFault('the platform ends the tunnel, or another client takes it', 'drop-ws', 5, 'told at once; the bridge ends with code 4'),
    outcome: 'cut',
    sentence: anyOf(/tunnel|shutting down/, TOO_LATE),
    inject: async (lab, chance) => {
      const before = lab.bridge;
      await struck('the source leg', () => lab.relay.drop('source', { code: chance.pick([1000, 1002, 4000]) }), 15_000);
      await waitFor('the end of the bridge', () => !before.running, 20_000);
      const { status } = await before.done;
      if (status !== 4) throw new Error(`the bridge ended with ${status}`);
      await lab.overlookHelpers();
      await lab.startBridge();
    },
  },
  'bridge-sigkill': {
    ...agentFault('the bridge is killed and started again', 'stall', 10, 'the client sees its TCP connection close at once'),
    outcome: 'cut',
    lab: 'brief',
    inject: async (lab) => {
      const before = lab.bridge;
      const orphans = (await lab.processes()).filter(({ kind }) => kind !== 'sshd');
      before.kill('SIGKILL');
      await before.exited;
      await lab.startBridge();
      lab.expectGone(orphans);
    },
  },
};
