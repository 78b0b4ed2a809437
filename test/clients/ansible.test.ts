/** Ansible, and once more through an agent with the faults of the stock one: nobody may notice. */
import { compare, FULL, useLab } from '../support/compat-check.js';

const lab = useLab({ sudo: true });
compare(lab, 'ansible', 'python');
compare(lab, 'ansible', 'python', { file: 'ansible-ends' });
compare(useLab({ sudo: true, profile: 'c-agent', seed: 11 }), 'ansible', 'python', { suffix: 'stock agent', ...(FULL ? {} : { only: /twenty tasks/ }) });
