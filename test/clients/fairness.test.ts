import { compare, useLab } from '../support/compat-check.js';

compare(useLab(), 'fairness', 'python');
