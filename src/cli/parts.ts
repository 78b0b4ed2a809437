/** Joins the commands to the parts of the project. */
import { startAgent } from '../agent/agent.js';
import { parseOverrides } from '../agent/profiles.js';
import type { Log } from '../base/log.js';
import { startBridge } from '../bridge/bridge.js';
import { startRelay } from '../relay/server.js';
import { loadHostKeyFiles, loadHostKeys } from '../ssh/host-key.js';
import { followAuthorizedKeys } from './authorized-keys-file.js';
import type { AgentSettings, BridgeSettings, Parts } from './deps.js';

export const PARTS: Parts = {
  async startRelay({ listen, ...rest }) {
    const relay = await startRelay({ ...listen, ...rest });
    // Without end of its own: it serves whoever comes until it is closed.
    return { address: { host: relay.host, port: relay.port }, ended: new Promise(() => {}), close: () => relay.close() };
  },

  async startAgent({ tunnel, faults, target, ...rest }) {
    const options = { tunnelUri: tunnel.uri, token: tunnel.token, insecure: tunnel.insecure, faults: parseOverrides(faults), target: agentTarget(target) };
    return startAgent({ ...rest, ...options, ...(tunnel.ca === undefined ? {} : { ca: tunnel.ca }) });
  },

  async startBridge({ hostKeyFiles, drainMs, keys, ...rest }) {
    const hostKeys = await (hostKeyFiles === undefined ? loadHostKeys() : loadHostKeyFiles(hostKeyFiles));
    const bridge = await startBridge({ ...rest, hostKeys, keyLogin: await keyLogin(keys, rest.log) });
    return {
      address: bridge.address,
      hostKey: bridge.hostKey,
      ended: bridge.ended,
      get state() {
        return bridge.state;
      },
      close: (drain) => bridge.close(drain ? drainMs : 0),
    };
  },
};

function agentTarget(target: AgentSettings['target']) {
  return target.kind === 'sshd' ? { sshd: target.address } : { local: { password: target.password, ...(target.shell === undefined ? {} : { shell: target.shell }) } };
}

async function keyLogin(keys: BridgeSettings['keys'], log: Log) {
  if (keys === undefined) return undefined;
  const { file, user, password } = keys;
  return { keys: await followAuthorizedKeys(file, log), user, password };
}
