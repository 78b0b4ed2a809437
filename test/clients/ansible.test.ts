import { compare, useLab } from '../support/compat-check.js';

compare(useLab({ sudo: true }), 'ansible', 'python');
