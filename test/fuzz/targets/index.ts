import type { Target } from '../engine.js';
import { argv, config } from './cli.js';
import { frame, json } from './frame.js';
import { packets, receiver, sender } from './link.js';
import { handshake } from './handshake.js';
import { login } from './login.js';
import { messages, mux } from './mux.js';
import { sh } from './sh.js';
import { shSftp } from './sh-sftp.js';
import { auth, channels, keys } from './ssh.js';

export const TARGETS: readonly Target[] = [frame, json, packets, receiver, sender, messages, mux, login, sh, shSftp, handshake, auth, channels, keys, argv, config];
