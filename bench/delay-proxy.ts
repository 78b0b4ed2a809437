import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

/**
 * A TCP forwarder that delivers everything `delayMs` late in each direction: the direct side's
 * counterpart of the relay's --delay. Bandwidth is not limited.
 */
export async function delayProxy(port: number, delayMs: number): Promise<{ port: number; close(): void }> {
  const sockets = new Set<Socket>();
  const late = (from: Socket, to: Socket): void => {
    from.on('data', (bytes) => setTimeout(() => to.destroyed || to.write(bytes), delayMs));
    from.on('end', () => setTimeout(() => to.end(), delayMs));
    from.on('error', () => to.destroy());
    from.on('close', () => sockets.delete(from));
  };
  const server = createServer({ allowHalfOpen: true }, (client) => {
    const device = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    for (const socket of [client, device]) {
      socket.setNoDelay(true);
      sockets.add(socket);
    }
    late(client, device);
    late(device, client);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    close: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
