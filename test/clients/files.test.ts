import { compare, useLab } from '../support/compat-check.js';

const lab = useLab();

compare(lab, 'scp', 'python', { env: { MODE: '' } });
compare(lab, 'scp -O', 'python', { file: 'scp', env: { MODE: '-O' } });
compare(lab, 'tar', 'python');
compare(lab, 'rsync', 'python');
compare(lab, 'git', 'python');
compare(lab, 'ssh-copy-id', 'python');
