/** A bare WebSocket client for the relay's tests: every message, close code and refusal in order. */
import { once } from 'node:events';
import { WebSocket, type ClientOptions } from 'ws';
import { decodeFrame } from '../../../src/protocol/decode.js';
import type { Frame } from '../../../src/protocol/frames.js';
import { TOKEN_HEADER } from '../../../src/protocol/constants.js';

export interface Message {
  bytes: Buffer;
  binary: boolean;
}

/** Long enough for a loaded machine; a test that waits this long has failed. */
const DEADLINE_MS = 10_000;

export class Client {
  readonly ws: WebSocket;
  readonly closed: Promise<number>;
  readonly #inbox: Message[] = [];
  #wake: () => void = () => undefined;

  private constructor(ws: WebSocket) {
    this.ws = ws;
    this.closed = new Promise((resolve) => ws.on('close', (code) => resolve(code)));
    ws.on('error', () => undefined);
    ws.on('message', (data, binary) => {
      this.#inbox.push({ bytes: data as Buffer, binary });
      this.#wake();
    });
  }

  static async connect(uri: string, token: string, options: ClientOptions = {}): Promise<Client> {
    const ws = new WebSocket(uri, { headers: { [TOKEN_HEADER]: token }, skipUTF8Validation: true, perMessageDeflate: false, ...options });
    const client = new Client(ws);
    await once(ws, 'open', { signal: AbortSignal.timeout(DEADLINE_MS) });
    return client;
  }

  get waiting(): number {
    return this.#inbox.length;
  }

  async next(): Promise<Message> {
    const message = this.#inbox.shift();
    if (message !== undefined) return message;
    await within(new Promise<void>((resolve) => (this.#wake = resolve)), 'a message');
    return this.next();
  }

  async nextFrame(): Promise<Frame> {
    const { bytes } = await this.next();
    const decoded = decodeFrame(bytes);
    if (decoded.kind !== 'frame') throw new Error(`not a frame: ${bytes.toString('latin1')}`);
    return decoded.frame;
  }

  send(bytes: Buffer | string, binary = false): void {
    this.ws.send(bytes, { binary });
  }
}

/** HTTP status and body of a refused upgrade. */
export async function refusal(uri: string, headers: Record<string, string>): Promise<{ status: number; body: string }> {
  const ws = new WebSocket(uri, { headers });
  ws.on('error', () => undefined);
  const refused = new Promise<{ status: number; body: string }>((resolve, reject) => {
    ws.on('open', () => reject(new Error('the connection was accepted')));
    ws.on('unexpected-response', (_request, response) => {
      let body = '';
      response.on('data', (chunk: Buffer) => (body += chunk.toString()));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
    });
  });
  return within(refused, 'a refusal').finally(() => ws.terminate());
}

export async function within<T>(promise: Promise<T>, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} did not come within ${DEADLINE_MS} ms`)), DEADLINE_MS);
  });
  return Promise.race([promise, deadline]).finally(() => clearTimeout(timer));
}
