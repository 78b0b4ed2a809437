/**
 * The sh tier: what a device can do that has a POSIX shell and small tools only. The short run takes the
 * checks that show the most; `npm run test:clients:full` takes them all.
 */
import { compare, FULL, useLab } from '../support/compat-check.js';

const lab = useLab({ tier: 'sh' });
const short = (only: RegExp) => (FULL ? {} : { only });
const LESS: Record<string, string> = FULL ? {} : { LARGE_MB: '3' };

compare(lab, 'ssh', 'sh', short(/status|signal|by its name|no more input|any bytes|apart|reader left|every byte|large binary|standard input|does not read|last line|background child|quotes|120 kB|twenty|environment|session that|terminal of its own|size changes|Ctrl-C|login shell/));
compare(lab, 'tar', 'sh', { env: LESS });
compare(lab, 'scp -O', 'sh', { file: 'scp', env: { MODE: '-O', ...LESS }, ...short(/and back|large|odd names|what is wrong|cut/) });
compare(lab, 'scp', 'sh', { env: { MODE: '', ...LESS }, ...short(/and back|large|odd names|what is wrong|cut/) });
compare(lab, 'rsync', 'sh', { env: LESS, ...short(/odd names|large|what is wrong|cut/) });
compare(lab, 'git', 'sh', { env: LESS, ...short(/clones, fetches|what is wrong|odd names/) });
compare(lab, 'forwarding', 'sh', { env: LESS });
compare(lab, 'multiplexing', 'sh', short(/twenty|ControlPersist|keepalives|RekeyLimit/));
compare(lab, 'ansible', 'sh', { file: 'ansible-raw', ...short(/runs raw/) });
// Half a minute of all this is for `npm run test:clients:full` alone: npm test has 25 minutes.
if (FULL) compare(lab, 'ansible', 'sh', { file: 'ansible-ends' });

/** Nothing but BusyBox: no python, no sftp-server, no scp, no script. */
compare(useLab({ tier: 'sh', busybox: true }), 'ansible', 'sh', { file: 'ansible-raw', suffix: 'BusyBox only' });
