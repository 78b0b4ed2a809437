/** Joins the commands to the parts of the project. */
import { Fault } from '../base/errors.js';
import type { Parts } from './deps.js';

export const PARTS: Parts = {
  startRelay: () => Promise.reject(new Fault('UNSUPPORTED', 'the relay is not there yet')),
  startAgent: () => Promise.reject(new Fault('UNSUPPORTED', 'the device agent is not there yet')),
  startBridge: () => Promise.reject(new Fault('UNSUPPORTED', 'the bridge is not there yet')),
};
