/** Clients that are not OpenSSH's. */
import { compare, useLab } from '../support/compat-check.js';

const lab = useLab();

compare(lab, 'dbclient', 'python');
compare(lab, 'plink', 'python');
compare(lab, 'paramiko', 'python');
compare(lab, 'asyncssh', 'python');
