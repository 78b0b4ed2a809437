/**
 * Ports for scripts that listen a while after they were told where. They lie below the range from
 * which the system takes the ports of outgoing connections (net.ipv4.ip_local_port_range), so that none
 * of those comes between.
 */
import { createServer } from 'node:net';

const FIRST = 20_000;
const COUNT = 12_000;

/** Spreads the test processes, which know nothing of each other, over the range. */
let next = FIRST + ((process.pid * 97) % COUNT);

/** A port on which nobody listens, different from all others that this process was given. */
export async function listenPort(): Promise<string> {
  for (let tries = 0; tries < COUNT; tries++) {
    const port = next;
    next = next + 1 < FIRST + COUNT ? next + 1 : FIRST;
    if (await isFree(port)) return String(port);
  }
  throw new Error('every port is in use');
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, () => server.close(() => resolve(true)));
  });
}
