/**
 * Many devices in one process, through the library: relay and agents in a child, the bridges here. The
 * figures are of this process alone. Arguments: how many; variables say where the device's sshd is.
 */
import { fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const dist = (path) => import(new URL(`../../dist/${path}`, import.meta.url).href);
const count = Number(process.argv[2] ?? 100);
const { silentLog } = await dist('base/log.js');
const tunnels = Array.from({ length: count }, (_, n) => ({ tunnel_id: `t${n}`, device_id: `d${n}`, source_token: `s${n}`, device_token: `d${n}` }));

if (process.send !== undefined) {
  const { startRelay } = await dist('relay/server.js');
  const { startAgent } = await dist('agent/agent.js');
  const relay = await startRelay({ host: '127.0.0.1', port: 0, tunnels, log: silentLog() });
  const agents = tunnels.map(({ tunnel_id, device_token }) =>
    startAgent({ tunnelUri: relay.uri(tunnel_id, 'device'), token: device_token, target: { sshd: { host: '127.0.0.1', port: Number(process.env.LAB_SSHD) } } }));
  await Promise.all(agents.map((agent) => agent.opened));
  process.send(tunnels.map(({ tunnel_id }) => relay.uri(tunnel_id, 'source')));
  await once(process, 'disconnect');
  await Promise.all(agents.map((agent) => agent.close()));
  await relay.close();
  process.exit(0);
}

const platform = fork(process.argv[1], [String(count)], { execArgv: [] });
const [uris] = await once(platform, 'message');
const { startBridge } = await dist('bridge/bridge.js');
const { loadHostKeys } = await dist('ssh/host-key.js');
const folder = mkdtempSync(join(tmpdir(), 'iotda-ssh-many-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

const rss = () => {
  globalThis.gc?.();
  return process.memoryUsage().rss / 1024 / 1024;
};
const cpu = () => process.cpuUsage().user / 1e6 + process.cpuUsage().system / 1e6;
const rest = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const show = (text) => process.stdout.write(`${text}\n`);

const hostKeys = await loadHostKeys(folder);
const before = rss();
const bridges = await Promise.all(tunnels.map((tunnel, n) =>
  startBridge({ tunnel: { uri: uris[n], token: tunnel.source_token }, listen: { host: '127.0.0.1', port: 0 }, hostKeys, log: silentLog(), graceMs: 60_000, tier: 'python' })));
await rest(3_000);
const idle = rss();
show(`${count} tunnels open and idle: ${idle.toFixed(0)} MiB (${((idle - before) / count).toFixed(2)} MiB each over ${before.toFixed(0)} MiB)`);
const cpuAt = cpu();
await rest(20_000);
show(`processor while idle: ${(((cpu() - cpuAt) / 20) * 100).toFixed(1)} % of one core`);

/** One command through each, some at a time. */
writeFileSync(join(folder, 'ask'), '#!/bin/sh\necho "$LAB_PASSWORD"\n', { mode: 0o700 });
const login = async (bridge, n) => {
  const options = ['-F', 'none', '-o', 'StrictHostKeyChecking=no', '-o', 'UserKnownHostsFile=/dev/null', '-o', 'LogLevel=ERROR', '-o', 'PubkeyAuthentication=no', '-o', 'IdentityAgent=none'];
  const ssh = spawn('ssh', [...options, '-p', String(bridge.address.port), `${process.env.LAB_USER}@127.0.0.1`, `echo ${n}`], {
    env: { ...process.env, SSH_ASKPASS: join(folder, 'ask'), SSH_ASKPASS_REQUIRE: 'force' }, stdio: ['ignore', 'pipe', 'inherit'],
  });
  let out = '';
  ssh.stdout.on('data', (bytes) => (out += bytes));
  await once(ssh, 'close');
  if (out !== `${n}\n`) throw new Error(`device ${n} answered ${JSON.stringify(out)}`);
};
const began = performance.now();
for (let n = 0; n < count; n += 10) await Promise.all(bridges.slice(n, n + 10).map((bridge, i) => login(bridge, n + i)));
show(`a first command through each in ${((performance.now() - began) / 1000).toFixed(1)} s`);
await rest(3_000);
const open = rss();
show(`${count} device sessions open: ${open.toFixed(0)} MiB (${((open - before) / count).toFixed(2)} MiB each)`);
const ending = performance.now();
await Promise.all(bridges.map((bridge) => bridge.close()));
show(`all ended in ${((performance.now() - ending) / 1000).toFixed(1)} s`);
platform.disconnect();
await once(platform, 'exit');
process.exit(0);
