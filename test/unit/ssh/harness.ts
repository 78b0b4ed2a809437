/** A server on a fake device, and clients for it: ssh2's own, and bare sockets. */
import net from 'node:net';
import ssh2, { type Client, type ClientChannel, type ConnectConfig } from 'ssh2';
import { silentLog } from '../../../src/base/log.js';
import { makePrivateKey } from '../../../src/ssh/host-key.js';
import { startSshServer, type SshServer, type SshServerOptions } from '../../../src/ssh/server.js';
import { FakeGateway } from './fake-device.js';

/** Longest a test waits for something that should happen, in milliseconds. */
export const PATIENCE_MS = 10_000;
const HOST_KEY = makePrivateKey('ed25519');

export interface Harness {
  server: SshServer;
  gateway: FakeGateway;
  /** A client that is let in. */
  connect(options?: ConnectConfig): Promise<Client>;
  /** The reason a client is not let in. */
  refused(options?: ConnectConfig): Promise<Error>;
  /** A TCP connection that speaks no SSH by itself. */
  socket(): Promise<net.Socket>;
  close(): Promise<void>;
}

export async function startHarness(options: Partial<SshServerOptions> = {}): Promise<Harness> {
  const gateway = new FakeGateway();
  const server = await startSshServer({
    listen: { host: '127.0.0.1', port: 0 }, hostKeys: [HOST_KEY], gateway, log: silentLog(), authDelayMs: 1, ...options,
  });
  const clients = new Set<Client>();
  const sockets = new Set<net.Socket>();

  function start(extra: ConnectConfig): Client {
    const client = new ssh2.Client();
    clients.add(client);
    client.on('error', () => {});
    client.connect({ host: '127.0.0.1', port: server.port, username: 'tester', password: 'right', readyTimeout: PATIENCE_MS, ...extra });
    return client;
  }
  return {
    server,
    gateway,
    connect: (extra = {}) => new Promise((resolve, reject) => {
      const client = start(extra);
      client.once('ready', () => resolve(client));
      client.once('error', reject);
    }),
    refused: (extra = {}) => new Promise((resolve, reject) => {
      const client = start(extra);
      client.once('error', resolve);
      client.once('ready', () => reject(new Error('was let in')));
    }),
    socket: () => new Promise((resolve, reject) => {
      const socket = net.connect(server.port, '127.0.0.1', () => resolve(socket));
      sockets.add(socket);
      socket.once('error', reject);
    }),
    close: async () => {
      for (const client of clients) client.destroy();
      for (const socket of sockets) socket.destroy();
      await server.close(0);
    },
  };
}

export function exec(client: Client, command: string): Promise<ClientChannel> {
  return new Promise((resolve, reject) => {
    client.exec(command, (error, channel) => (error === undefined ? resolve(channel) : reject(error)));
  });
}

/** Runs a command and gives all it brought. Listens from the first moment on: a quick program's end comes
 * in the same packet as the answer to exec. */
export function run(client: Client, command: string): Promise<Finished> {
  return new Promise((resolve, reject) => {
    client.exec(command, (error, channel) => {
      if (error === undefined) finished(channel).then(resolve, reject);
      else reject(error);
    });
  });
}

export interface Finished { out: Buffer; err: Buffer; code: number | null | undefined; signal: string | undefined }

/** Everything a channel brought until it closed. `code` is undefined when there was no exit status. */
export function finished(channel: ClientChannel): Promise<Finished> {
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  let code: number | null | undefined;
  let signal: string | undefined;
  channel.on('data', (bytes: Buffer) => out.push(bytes));
  channel.stderr.on('data', (bytes: Buffer) => err.push(bytes));
  channel.on('exit', (status: number | null, name?: string) => {
    code = status;
    signal = name;
  });
  return new Promise((resolve) => {
    channel.on('close', () => resolve({ out: Buffer.concat(out), err: Buffer.concat(err), code, signal }));
  });
}

/** A program that ends at once: the server is alive if a new client can run it. */
export async function stillServes(harness: Harness): Promise<void> {
  harness.gateway.device.onOpen = (channel) => {
    channel.events.opened();
    channel.exit(0);
  };
  const { code } = await run(await harness.connect(), 'true');
  if (code !== 0) throw new Error(`the server does not serve any more: ${String(code)}`);
}

/** Waits until `condition` holds. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`timed out waiting until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

export function closed(client: Client): Promise<void> {
  return new Promise((resolve) => client.once('close', () => resolve()));
}

/** Everything a bare socket receives until it is closed. */
export function drained(socket: net.Socket): Promise<string> {
  let text = '';
  socket.on('data', (bytes: Buffer) => { text += bytes.toString('latin1'); });
  return new Promise((resolve) => socket.once('close', () => resolve(text)));
}

interface ClientInside {
  _protocol: {
    _packetRW: { write: { allocStart: number; alloc(length: number): Buffer; finalize(packet: Buffer): Buffer } };
    _cipher: { encrypt(packet: Buffer): void; _onWrite(bytes: Buffer): void };
  };
  _sock: net.Socket;
}

/** The same, several in one segment: the server reads them in one turn of its loop. */
export function sendTogether(client: Client, payloads: readonly Buffer[]): void {
  const { _protocol: { _cipher: cipher }, _sock: socket } = client as unknown as ClientInside;
  const written = cipher._onWrite;
  const bytes: Buffer[] = [];
  cipher._onWrite = (piece) => bytes.push(Buffer.from(piece));
  for (const payload of payloads) sendRaw(client, payload);
  cipher._onWrite = written;
  socket.write(Buffer.concat(bytes));
}

/** ssh2's protocol object of a client: sends what no well-behaved client would. */
export function sendRaw(client: Client, payload: Buffer): void {
  const protocol = (client as unknown as ClientInside)._protocol;
  const writer = protocol._packetRW.write;
  const start = writer.allocStart;
  const packet = writer.alloc(payload.length);
  packet.set(payload, start);
  protocol._cipher.encrypt(writer.finalize(packet));
}
