import type { EventEmitter } from 'node:events';

/** Bytes from the peer without a whole message among them, pings and pongs included. */
export const UNFINISHED_LIMIT_BYTES = 64 * 1024 * 1024;

/**
 * A message may come in as many pieces as it has bytes, with pings and pongs between them; ws bounds the message, and
 * keeps of each piece all that was read together with it. `tooMuch` is told when a peer goes on and on like that.
 */
export function boundUnfinished(ws: EventEmitter, bytesRead: () => number, tooMuch: () => void): void {
  let from = bytesRead();
  ws.on('message', () => {
    from = bytesRead();
  });
  const look = (): void => {
    if (bytesRead() - from > UNFINISHED_LIMIT_BYTES) tooMuch();
  };
  ws.on('ping', look);
  ws.on('pong', look);
}
