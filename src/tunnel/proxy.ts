/** The HTTP proxy that the environment asks for: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY. */
import { HttpsProxyAgent } from 'https-proxy-agent';
import { getProxyForUrl } from 'proxy-from-env';
import { Fault } from '../base/errors.js';
import type { Endpoint } from './options.js';

export interface Proxy {
  agent: HttpsProxyAgent<string>;
  /** Host and port alone: the URL may hold a password. */
  shown: string;
}

/**
 * Undefined when the connection goes direct, as it always does to this machine. Throws a Fault
 * (USAGE) for a proxy that is no HTTP proxy. `signal` ends a proxy connection that never answers.
 */
export function proxyFor(endpoint: Endpoint, signal: AbortSignal): Proxy | undefined {
  if (endpoint.loopback) return undefined;
  const target = new URL(endpoint.url);
  // The variables are named after http and https; nobody sets WSS_PROXY.
  const asHttp = `${target.protocol === 'wss:' ? 'https' : 'http'}://${target.host}/`;
  const proxy = getProxyForUrl(asHttp);
  if (proxy === '') return undefined;
  let url: URL;
  try {
    url = new URL(proxy);
  } catch {
    throw new Fault('USAGE', 'the proxy in HTTPS_PROXY, HTTP_PROXY or ALL_PROXY is not a URL: correct it, or exempt the tunnel host in NO_PROXY');
  }
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw new Fault('USAGE', `the proxy in the environment is of kind ${url.protocol}// but only http:// and https:// proxies are supported`);
  }
  return { agent: new HttpsProxyAgent(url.href, { signal }), shown: url.host };
}
