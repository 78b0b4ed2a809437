/**
 * Who may import whom. Every pair of folders is either allowed here or forbidden with a reason; the
 * test holds the table complete and the sources to it. ARCHITECTURE.md draws the same picture.
 */

/** The folders that a folder's files may import from, besides their own. */
export const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  base: [],
  protocol: ['base'],
  tunnel: ['protocol', 'base'],
  link: ['base'],
  login: ['tunnel', 'link', 'protocol', 'base'],
  mux: ['link', 'base'],
  helper: ['mux', 'link', 'protocol', 'base'],
  ssh: ['mux', 'base'],
  bridge: ['ssh', 'helper', 'mux', 'login', 'link', 'tunnel', 'base'],
  relay: ['protocol', 'base'],
  agent: ['protocol', 'base'],
  cli: ['bridge', 'relay', 'agent', 'ssh', 'base'],
};

/** The reasons, first match counts; `*` is any folder. */
export const FORBIDDEN: readonly (readonly [from: string, to: string, reason: string])[] = [
  ['base', '*', 'everything stands on base, so base stands on nothing'],
  ['*', 'cli', 'only commands print, read options and end the process; the rest is a library'],
  ['*', 'bridge', 'bridge joins the layers to one whole; whatever it joins must work without it'],
  ['relay', 'agent', 'both ends of the tunnel and the middle must meet on the wire alone, or tests prove nothing'],
  ['agent', 'relay', 'both ends of the tunnel and the middle must meet on the wire alone, or tests prove nothing'],
  ['relay', '*', 'the relay stands for the platform: what it knew of the bridge would hide faults of the bridge'],
  ['agent', '*', 'the agent stands for programs that others wrote: what it knew of the bridge would hide faults of the bridge'],
  ['*', 'relay', 'the relay is the other side of the wire'],
  ['*', 'agent', 'the agent is the other side of the wire'],
  ['protocol', '*', 'frames are pure data: no socket, no shell, no layer above'],
  ['tunnel', '*', 'a tunnel carries frames and knows nothing of what they are for'],
  ['link', 'mux', 'the link carries bytes; which channel they belong to is the layer above'],
  ['link', '*', 'the link works over anything that carries text: it must not know what'],
  ['login', '*', 'a login gives a text stream; what flows in it is the layers above'],
  ['mux', '*', 'the multiplexer sees a link and a device: neither SSH, nor how a helper is started'],
  ['helper', '*', 'a helper is started over any carrier: it must not know the tunnel or the SSH side'],
  ['ssh', '*', 'the SSH server sees devices and a gateway: no frame, no shell, no helper'],
  ['bridge', '*', 'frames are the business of tunnel and login'],
  ['cli', '*', 'commands start whole parts and do not reach into them'],
];

/** Libraries and the folders that wrap them: a change of library is a change of one folder. */
export const PACKAGES: Readonly<Record<string, readonly string[]>> = {
  commander: ['cli'],
  pino: ['base'],
  'pino-pretty': ['base'],
  ws: ['tunnel', 'relay', 'agent'],
  'proxy-from-env': ['tunnel'],
  'https-proxy-agent': ['tunnel'],
  ssh2: ['ssh', 'agent'],
  '@noble/post-quantum': ['ssh'],
  '@lydell/node-pty': ['agent'],
};
