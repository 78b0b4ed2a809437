/** A scripted platform for the client's tests, and a recorder of what the client says. */
import { createServer as createHttp, type IncomingMessage, type Server } from 'node:http';
import { createServer as createHttps } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { pino } from 'pino';
import { vi } from 'vitest';
import { WebSocketServer, type WebSocket } from 'ws';
import type { Fault } from '../../../src/base/errors.js';
import type { Log } from '../../../src/base/log.js';
import { encodeUnchecked, newRequestId } from '../../../src/protocol/encode.js';
import { TunnelClient } from '../../../src/tunnel/client.js';
import type { TunnelOptions, TunnelTiming } from '../../../src/tunnel/options.js';
import type { DeviceUp, Lost, PeerFrame } from '../../../src/tunnel/tunnel.js';

export const TOKEN = 'MIID-very-secret-token';

/** Quick enough for tests, and no heartbeat or assumption gets in the way unless a test asks. */
const TIMING: Partial<TunnelTiming> = { retryMinMs: 5, retryMaxMs: 20, deviceGraceMs: 60_000, closeMs: 200 };

export class Platform {
  readonly server: Server;
  readonly sockets: WebSocket[] = [];
  readonly requests: IncomingMessage[] = [];
  readonly messages: { bytes: Buffer; binary: boolean }[] = [];
  /** HTTP status and body for the next upgrades, or undefined to accept. */
  refuse: { status: number; body?: string } | undefined;
  onConnection: (ws: WebSocket) => void = () => undefined;

  private constructor(tls?: { cert: string; key: string }) {
    this.server = tls === undefined ? createHttp() : createHttps(tls);
    const upgrader = new WebSocketServer({ noServer: true });
    this.server.on('upgrade', (request, socket: Socket, head) => {
      this.requests.push(request);
      socket.on('error', () => undefined);
      if (this.refuse !== undefined) {
        const { status, body = '' } = this.refuse;
        socket.end(`HTTP/1.1 ${status} Answer\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`);
        return;
      }
      upgrader.handleUpgrade(request, socket, head, (ws) => {
        this.sockets.push(ws);
        ws.on('error', () => undefined);
        ws.on('message', (data, binary) => this.messages.push({ bytes: data as Buffer, binary }));
        this.onConnection(ws);
      });
    });
  }

  static async start(tls?: { cert: string; key: string }): Promise<Platform> {
    const platform = new Platform(tls);
    await new Promise<void>((resolve) => platform.server.listen(0, '127.0.0.1', resolve));
    return platform;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  get last(): WebSocket {
    return this.sockets.at(-1)!;
  }

  say(operation: 'connect_tunnel' | 'ping' | 'pong'): void {
    this.last.send(encodeUnchecked({ operation, requestId: newRequestId() }), { binary: false });
  }

  async stop(): Promise<void> {
    for (const ws of this.sockets) ws.terminate();
    this.server.closeAllConnections();
    await new Promise<void>((resolve) => this.server.close(() => resolve()));
  }
}

/** A client whose events and log lines are kept in order. */
export class Recorder {
  readonly tunnel: TunnelClient;
  readonly lines: string[] = [];
  readonly opens: number[] = [];
  readonly ups: DeviceUp[] = [];
  readonly frames: PeerFrame[] = [];
  readonly losses: Lost[] = [];
  readonly ends: Fault[] = [];

  constructor(uri: string, options: Partial<TunnelOptions> = {}) {
    const log: Log = pino({ level: 'trace' }, { write: (line: string) => this.lines.push(line) });
    this.tunnel = new TunnelClient({ uri, token: TOKEN, log, ...options, timing: { ...TIMING, ...options.timing } });
  }

  start(): this {
    this.tunnel.start({
      open: () => this.opens.push(this.opens.length),
      deviceUp: (device) => this.ups.push(device),
      frame: (frame) => this.frames.push(frame),
      lost: (lost) => this.losses.push(lost),
      ended: (fault) => this.ends.push(fault),
    });
    return this;
  }

  async opened(times = 1): Promise<void> {
    await eventually(() => this.opens.length >= times);
  }

  async ended(): Promise<Fault> {
    await eventually(() => this.ends.length > 0);
    return this.ends[0]!;
  }
}

/** Waits until `condition` holds; ten seconds are a failure. */
export async function eventually(condition: () => boolean): Promise<void> {
  await vi.waitFor(
    () => {
      if (!condition()) throw new Error(`it did not come to: ${condition.toString()}`);
    },
    { timeout: 10_000, interval: 5 },
  );
}
