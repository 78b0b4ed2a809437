import { compare, useLab } from '../support/compat-check.js';

const lab = useLab();

compare(lab, 'multiplexing', 'python');
compare(lab, 'transport', 'python');
