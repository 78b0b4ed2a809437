/**
 * OpenSSH's regression scripts (openssh-tests 9.2p1), in the order of its Makefile, and what of them
 * cannot be asked of a bridge.
 */

export interface Script {
  name: string;
  /** Why it is not run: it asks nothing of a server, or something that only sshd has. */
  notApplicable?: string;
  /** Goes through the lists of `ssh -Q`; run with sshd's default algorithms, and with all of them. */
  algorithms?: boolean;
  /** Passes with sshd and fails with the bridge, and why; a script that passes all the same is a failure of this table. */
  fails?: string;
  /** The same with all algorithms, and on the sh tier alone. */
  failsWithAll?: string;
  failsOnSh?: string;
  /** What was seen and is not explained by the script or the bridge's design; shown beside the results. */
  seen?: string;
  /** Cut after this time. */
  seconds?: number;
}

const TOKENS = 'no host keys on security tokens, and no DSA';


const noServer = (name: string): Script => ({ name, notApplicable: 'connects to no server' });
const not = (name: string, notApplicable: string): Script => ({ name, notApplicable });
const server = (...names: string[]): Script[] => names.map((name) => ({ name }));
const algorithms = (name: string, failsWithAll?: string): Script => ({ name, algorithms: true, ...(failsWithAll === undefined ? {} : { failsWithAll }) });

export const SCRIPTS: readonly Script[] = [
  ...server('connect', 'proxy-connect'),
  not('sshfp-connect', 'needs a domain with SSHFP records and DNSSEC'),
  ...server('connect-privsep', 'connect-uri', 'proto-version', 'proto-mismatch', 'exit-status', 'exit-status-signal', 'envpass', 'transfer', 'banner'),
  { name: 'rekey', algorithms: true },
  algorithms('dhgex'),
  ...server('stderr-data', 'stderr-after-eof', 'broken-pipe'),
  algorithms('try-ciphers'),
  ...server('yes-head', 'login-timeout'),
  algorithms('agent', 'one of its eight keys is DSA, in this list only; the others and their certificates log in'),
  ...['agent-getpeereid', 'agent-timeout', 'agent-ptrace', 'agent-subprocess'].map(noServer),
  algorithms('keyscan', TOKENS),
  ...['keygen-change', 'keygen-comment', 'keygen-convert', 'keygen-knownhosts', 'keygen-moduli', 'keygen-sshfp'].map(noServer),
  ...server('key-options', 'scp', 'scp3', 'scp-uri'),
  // Asks 300,000 times for 5 bytes each: an hour on the sh tier.
  { name: 'sftp', seconds: 7200 },
  not('sftp-chroot', 'ChrootDirectory of sshd_config'),
  { name: 'sftp-cmds' },
  ...server('sftp-badcmds', 'sftp-batch', 'sftp-glob'),
  not('sftp-perm', "options of the sftp-server program (-R, -p, -P); the protocol's part is in sftp-cmds and sftp"),
  ...server('sftp-uri', 'reconfigure'),
  ...server('dynamic-forward'),
  { name: 'forwarding' },
  ...server('multiplex'),
  not('reexec', 'copies and removes the sshd binary'),
  ...server('brokenkeys'),
  ...['sshcfgparse', 'cfgparse'].map(noServer),
  not('cfgmatch', 'Match and PermitOpen of sshd_config'),
  not('cfgmatchlisten', 'Match and PermitListen of sshd_config'),
  ...server('percent'),
  noServer('addrmatch'),
  ...server('localcommand'),
  not('forcecommand', 'ForceCommand of sshd_config'),
  ...server('portnum'),
  algorithms('keytype', TOKENS),
  algorithms('kextype'),
  not('cert-hostkey', 'host certificates'),
  not('cert-userkey', 'TrustedUserCAKeys, AuthorizedPrincipalsFile and RevokedKeys of sshd_config'),
  ...server('host-expand'),
  not('keys-command', 'AuthorizedKeysCommand of sshd_config'),
  ...server('forward-control'),
  algorithms('integrity'),
  noServer('krl'),
  not('multipubkey', 'AuthenticationMethods of sshd_config'),
  not('limit-keytype', 'PubkeyAcceptedAlgorithms and Match of sshd_config'),
  not('hostkey-agent', 'HostKeyAgent of sshd_config, host certificates'),
  algorithms('hostkey-rotate', TOKENS),
  not('principals-command', 'AuthorizedPrincipalsCommand of sshd_config'),
  ...server('cert-file'),
  ...['cfginclude', 'servcfginclude'].map(noServer),
  not('allow-deny-users', 'AllowUsers and DenyUsers of sshd_config: the device has the one user of its login'),
  not('authinfo', 'ExposeAuthInfo of sshd_config'),
  noServer('sshsig'),
  ...server('knownhosts'),
  algorithms('knownhosts-command', TOKENS),
  not('agent-restrict', 'ExposeAuthInfo of sshd_config, host certificates, forced commands'),
  not('hostbased', 'host-based authentication'),
  not('channel-timeout', 'ChannelTimeout of sshd_config'),
  not('connection-timeout', 'UnusedConnectionTimeout of sshd_config'),
  ...server('putty-transfer', 'putty-ciphers', 'putty-kex'),
  { name: 'conch-ciphers', seconds: 90 },
];
