import { isIP } from 'node:net';
import type { ChannelEvents } from '../../mux/device.js';
import { compact, source } from './program.js';
import { quote } from './script.js';

/** A host and port through a tool of the device (the fact of its name), or a whole command (a Unix socket). */
export type Target = { tool: string; host: string; port: number } | { words: readonly (string | Buffer)[] };

/** Half-closed connections stay for an hour; the peer's end shows at once (shut-close). */
export const SOCAT = ['-t', '3600', '-,shut-close'] as const;

/** Where the device keeps connect.sh once a connection has brought it, seen from a channel's directory. */
const KEPT = '../cn';

let program: string | undefined;

/** The script of a connection. It brings connect.sh along, and leaves it on the device, unless that is `kept` there. */
export function connectScript(target: Target, kept: boolean): Buffer {
  program ??= compact(source('connect'));
  const head =
    'words' in target
      ? [Buffer.from('Inc= Ih=\nset --'), ...target.words.flatMap((word) => [Buffer.from(' '), quote(word)])]
      : [Buffer.from(`Inc=${quote(target.tool)} Ih=${quote(target.host)} Ip=${target.port} Ia=${isIP(target.host) > 0 ? '1' : ''}`)];
  // Two connections at once may bring it: each has its own, and the name changes at one stroke.
  const bring = kept ? '' : `cat >w <<'IEOF' && mv w ${KEPT}\n${program}\nIEOF\n`;
  return Buffer.concat([...head, Buffer.from(`\n${bring}. ${KEPT}\n`)]);
}

/** Sends connect.sh until the first connection has told that it runs: the text crosses the link once or twice. */
export class Connector {
  #kept = false;

  script(target: Target): Buffer {
    return connectScript(target, this.#kept);
  }

  /** The events of a connection, by which it is known that the device has the program. */
  watch(events: ChannelEvents): ChannelEvents {
    return {
      opened: () => {
        this.#kept = true;
        events.opened();
      },
      refused: (reason) => { events.refused(reason); },
      data: (stream, bytes) => { events.data(stream, bytes); },
      drain: () => { events.drain(); },
      outcome: (outcome) => { events.outcome(outcome); },
      eof: () => { events.eof(); },
      closed: (fault) => { events.closed(fault); },
    };
  }
}
