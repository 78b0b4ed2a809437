/** The operator's options for forwarding, each beside sshd with the same setting. */
import { describe } from 'vitest';
import { compare, useLab } from '../support/compat-check.js';

const SETTINGS: readonly { title: string; sshd: string[]; bridge: string[] }[] = [
  {
    title: 'all off',
    sshd: ['AllowTcpForwarding no', 'AllowStreamLocalForwarding no', 'AllowAgentForwarding no'],
    bridge: ['--forward-tcp', 'no', '--forward-unix', 'no', '--forward-agent', 'no'],
  },
  {
    title: 'local only, GatewayPorts yes',
    sshd: ['AllowTcpForwarding local', 'AllowStreamLocalForwarding local', 'GatewayPorts yes'],
    bridge: ['--forward-tcp', 'local', '--forward-unix', 'local', '--gateway-ports', 'yes'],
  },
  {
    title: 'remote only, GatewayPorts clientspecified',
    sshd: ['AllowTcpForwarding remote', 'AllowStreamLocalForwarding remote', 'GatewayPorts clientspecified'],
    bridge: ['--forward-tcp', 'remote', '--forward-unix', 'remote', '--gateway-ports', 'clientspecified'],
  },
  { title: 'GatewayPorts yes', sshd: ['GatewayPorts yes'], bridge: ['--gateway-ports', 'yes'] },
];

for (const { title, sshd, bridge } of SETTINGS) {
  describe(title, () => {
    compare(useLab({ sshd: { config: sshd }, bridgeArgs: bridge }), 'forwarding', 'python', { file: 'forward-control', suffix: title });
  });
}
