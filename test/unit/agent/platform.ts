/** The platform's end of one device leg, for driving an agent: a bare WebSocket server. */
import type { AddressInfo } from 'node:net';
import { WebSocketServer, type WebSocket } from 'ws';
import { startAgent, type AgentHandle, type AgentOptions } from '../../../src/agent/agent.js';
import { decodeFrame } from '../../../src/protocol/decode.js';
import { newRequestId } from '../../../src/protocol/encode.js';
import type { Frame, FrameOf } from '../../../src/protocol/frames.js';
import type { Scope } from '../../support/scope.js';
import { waitFor } from '../../support/wait.js';

export interface Leg {
  socket: WebSocket;
  /** Messages as they arrived. */
  raw: Buffer[];
  frames: Frame[];
  pings: number;
  pongs: number;
  closed: { code: number; reason: string } | undefined;
}

export class Platform {
  readonly legs: Leg[] = [];
  readonly headers: NodeJS.Dict<string | string[]>[] = [];
  /** Answers the handshake with this status instead of opening. */
  refuseWith: number | undefined;
  readonly id = newRequestId();
  readonly #server: WebSocketServer;

  private constructor(server: WebSocketServer) {
    this.#server = server;
    server.on('connection', (socket, request) => {
      this.headers.push(request.headers);
      const leg: Leg = { socket, raw: [], frames: [], pings: 0, pongs: 0, closed: undefined };
      this.legs.push(leg);
      socket.on('message', (data: Buffer) => {
        leg.raw.push(data);
        const decoded = decodeFrame(data);
        if (decoded.kind === 'frame') leg.frames.push(decoded.frame);
      });
      socket.on('ping', () => leg.pings++);
      socket.on('pong', () => leg.pongs++);
      socket.on('error', () => {});
      socket.on('close', (code, reason) => (leg.closed = { code, reason: reason.toString() }));
    });
  }

  static async start(scope: Scope): Promise<Platform> {
    const server = new WebSocketServer({
      host: '127.0.0.1',
      port: 0,
      skipUTF8Validation: true,
      verifyClient: (_info, done) => (platform.refuseWith === undefined ? done(true) : done(false, platform.refuseWith)),
    });
    const platform = new Platform(server);
    await new Promise<void>((resolve) => server.once('listening', () => resolve()));
    scope.add(() => {
      for (const socket of server.clients) socket.terminate();
      server.close();
    });
    return platform;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get uri(): string {
    return `ws://127.0.0.1:${this.port}/v5/iot/tunnels/t/device-connect`;
  }

  /** Starts an agent against this platform and waits for its leg. */
  async agent(scope: Scope, options: Omit<AgentOptions, 'tunnelUri' | 'token'>): Promise<AgentHandle> {
    const agent = startAgent({ tunnelUri: this.uri, token: 'device token', ...options });
    scope.add(() => agent.close());
    await agent.opened;
    await waitFor('the leg', () => this.legs.length > 0);
    return agent;
  }

  get leg(): Leg {
    return this.legs.at(-1)!;
  }

  /** Sends any text or bytes. */
  raw(data: string | Buffer, binary = false): void {
    this.leg.socket.send(data, { binary });
  }

  send(operation: string, data: unknown, id = this.id): void {
    this.raw(JSON.stringify({ operation_type: operation, tunnel_service_type: 'ssh', request_id: id, data }));
  }

  connect(user = 'user', password = 'right', id = this.id): void {
    this.send('connect', { username: user, password }, id);
  }

  command(text: string, id = this.id): void {
    this.send('command', text, id);
  }

  of<O extends Frame['operation']>(operation: O): FrameOf<O>[] {
    return this.leg.frames.filter((frame): frame is FrameOf<O> => frame.operation === operation);
  }

  /** All output of the present leg. */
  get output(): Buffer {
    return Buffer.concat(this.of('command_response').map((frame) => frame.data));
  }

  async shows(text: string): Promise<void> {
    await waitFor(`output ${JSON.stringify(text)}`, () => this.output.includes(text));
  }

  async has(operation: Frame['operation'], count = 1): Promise<void> {
    await waitFor(`${count} ${operation}`, () => this.of(operation).length >= count);
  }

  /** Waits until everything sent so far was handled: a ping is answered in its turn. */
  async settled(): Promise<void> {
    const { leg } = this;
    const before = leg.pongs;
    leg.socket.ping();
    await waitFor('the pong', () => leg.pongs > before);
  }
}
