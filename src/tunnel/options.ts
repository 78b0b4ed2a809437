import { Fault } from '../base/errors.js';
import type { Log } from '../base/log.js';

export interface TunnelOptions {
  /** `wss://…/source-connect` as the platform gave it; `ws://` for a relay on this machine. */
  uri: string;
  /** Sent as a header, never logged. */
  token: string;
  log: Log;
  /** PEM certificates to trust instead of the system's. No effect on ws://. */
  ca?: string | undefined;
  /** Accept any certificate: whoever sits on the path then reads the device's password. */
  insecure?: boolean | undefined;
  timing?: Partial<TunnelTiming> | undefined;
}

/** All in milliseconds. */
export interface TunnelTiming {
  /** From the start of an attempt to the accepted upgrade, proxy and TLS included. */
  handshakeMs: number;
  /** From open until the device is assumed to be up without connect_tunnel. */
  deviceGraceMs: number;
  /** Between two heartbeats, each a JSON ping and a WebSocket ping. */
  pingEveryMs: number;
  /** Without a single byte from the platform until the connection counts as lost. */
  silenceMs: number;
  /** First step of the reconnect ladder; each further one is twice as long. */
  retryMinMs: number;
  /** Longest step of the ladder. */
  retryMaxMs: number;
  /** A connection that lasted this long puts the ladder back to its first step. */
  healthyMs: number;
  /** For the peer's close frame when we close. */
  closeMs: number;
}

export const TUNNEL_TIMING: Readonly<TunnelTiming> = {
  handshakeMs: 15_000,
  deviceGraceMs: 3_000,
  // The C agent's own interval; the platform documents none.
  pingEveryMs: 20_000,
  silenceMs: 60_000,
  retryMinMs: 1_000,
  retryMaxMs: 30_000,
  healthyMs: 60_000,
  closeMs: 2_000,
};

/** Most bytes waiting in the socket before further frames are dropped. */
export const SEND_LIMIT_BYTES = 8 * 1024 * 1024;

/** RFC 9110 section 5.5, less the white space that nobody means. */
const HEADER_VALUE = /^[\x21-\x7e]+$/;

export interface Endpoint {
  url: URL;
  /** Without user, password and query, for logs and errors. */
  shown: string;
  loopback: boolean;
}

/** Checks what the operator gave. Throws a Fault (USAGE) that never shows the token. */
export function verifyOptions(options: TunnelOptions): Endpoint {
  let url: URL;
  try {
    url = new URL(options.uri);
  } catch (cause) {
    throw new Fault('USAGE', 'the tunnel URI is not a URI: copy tunnel_uri from the answer that created the tunnel', { cause });
  }
  if (url.protocol !== 'wss:' && url.protocol !== 'ws:') {
    throw new Fault('USAGE', `the tunnel URI begins with ${url.protocol}// but must begin with wss:// (or ws:// for a relay)`);
  }
  // ws would refuse it later in words of its own.
  url.hash = '';
  if (options.token === '') throw new Fault('USAGE', 'the tunnel token is empty');
  if (!HEADER_VALUE.test(options.token)) {
    throw new Fault('USAGE', 'the tunnel token holds white space or characters that are not ASCII: check that its file holds the token alone');
  }
  if (options.ca !== undefined && !options.ca.includes('-----BEGIN CERTIFICATE-----')) {
    throw new Fault('USAGE', 'the CA file holds no PEM certificate (-----BEGIN CERTIFICATE-----)');
  }
  return { url, shown: `${url.protocol}//${url.host}${url.pathname}`, loopback: isLoopback(url.hostname) };
}

export function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname.endsWith('.localhost') || hostname === '[::1]' || /^127(\.\d+){3}$/.test(hostname);
}
