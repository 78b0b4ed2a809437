import { Fault } from '../../../src/base/errors.js';
import { silentLog } from '../../../src/base/log.js';
import type { Carrier } from '../../../src/link/carrier.js';
import { Login } from '../../../src/login/login.js';
import { newRequestId } from '../../../src/protocol/encode.js';
import type { PeerFrame, Tunnel, TunnelEvents } from '../../../src/tunnel/tunnel.js';
import { Choices, must, type Target } from '../engine.js';

const TEXTS = ['', '$ ', ':QUJD;', 'Last login\r\n', '\u001b[0m'];

/** Frames of a platform in any order: a login counts only after an answer and a sign, and text comes from its own session. */
export const login: Target = {
  name: 'login',
  watch: /src\/login\//,
  seeds: [Buffer.from([6, 0, 1, 1, 0, 2, 1, 2, 1]), Buffer.from([6, 7, 6, 0, 0, 1, 2, 3, 4, 5, 6, 7]), Buffer.from('login target, some bytes to begin with')],
  async run(input) {
    const choices = new Choices(input);
    let events: TunnelEvents | undefined;
    let isOpen = false;
    const tunnel: Tunnel = {
      get state() { return isOpen ? 'open' : 'waiting'; },
      buffered: 0,
      start: (given) => { events = given; },
      send: (frame) => {
        if (isOpen && frame.operation === 'connect') {
          responded = sign = false;
          isNew = true;
        }
        return isOpen;
      },
      reset: () => {
        isOpen = false;
        events?.lost({ cause: new Fault('TUNNEL', 'reset'), retryInMs: 0 });
      },
      close: () => Promise.resolve(),
    };
    const login = new Login(tunnel, { log: silentLog() });
    const abort = new AbortController();
    let responded = false;
    let sign = false;
    let isNew = false;
    login.start();
    const opening: Promise<unknown>[] = [];
    let carrier: Carrier | undefined;
    const open = (password: string, again: boolean): void => {
      const before = carrier;
      opening.push(login.open({ user: 'root', password }, again, abort.signal).then(
        (found) => {
          must(isNew && responded && sign, 'a login without an answer and a sign of the device');
          isNew = false;
          must(found !== before, 'the old terminal again');
          carrier = found;
          found.onText = (bytes) => must(bytes.length > 0, 'nothing is not text');
        },
        (thrown: unknown) => must(thrown instanceof Fault, `thrown: ${String(thrown)}`),
      ));
    };
    while (choices.left > 0) {
      const data = Buffer.from(TEXTS[choices.below(TEXTS.length)] ?? '');
      const requestId = newRequestId();
      const isSign = data.length > 0 && !/^[A-Za-z0-9+/=:;]*$/.test(data.toString('latin1'));
      const deliver = (frame: PeerFrame): void => {
        if (isOpen) events?.frame(frame);
      };
      switch (choices.below(8)) {
        case 0:
          open(`pw${String(choices.below(3))}`, choices.below(2) === 0);
          break;
        case 1: {
          // Only an answer without any data is the C agent's: what came before it proves nothing.
          const bare = data.length === 0 && choices.below(2) === 0;
          sign = (sign && !bare) || isSign;
          responded = true;
          deliver({ operation: 'connect_response', requestId, data, ...(bare ? { bare: true } : {}) });
          break;
        }
        case 2:
          sign ||= isSign;
          deliver({ operation: 'command_response', requestId, data });
          break;
        case 3:
          deliver({ operation: 'disconnect', requestId, status: ['400', '408', '', '1006'][choices.below(4)] ?? '', message: 'words pw0' });
          break;
        case 4:
          isOpen = false;
          events?.lost({ cause: new Fault('TUNNEL', 'lost'), retryInMs: 0 });
          break;
        case 5:
          carrier?.write('x');
          break;
        case 6:
          isOpen = true;
          events?.open();
          events?.deviceUp({ repeated: choices.below(2) === 0, assumed: choices.below(4) === 0 });
          break;
        default:
          login.reset('fuzz');
      }
      // Whoever waits for a login hears of it before the next event.
      await new Promise((resolve) => setImmediate(resolve));
    }
    await login.close();
    abort.abort();
    await Promise.all(opening);
  },
};
