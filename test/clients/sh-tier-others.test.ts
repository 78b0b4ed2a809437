/** The sh tier under clients that ask much at once, or are not OpenSSH's. */
import { compare, useLab } from '../support/compat-check.js';

const lab = useLab({ tier: 'sh' });

compare(lab, 'vscode', 'sh');
compare(lab, 'dbclient', 'sh');
compare(lab, 'plink', 'sh');
compare(lab, 'fairness', 'sh');
compare(lab, 'paramiko', 'sh');
compare(lab, 'asyncssh', 'sh');
compare(lab, 'ssh-copy-id', 'sh');
