/**
 * Why a connection ended, and whether another attempt makes sense. Decided by close code, HTTP
 * status and error code alone, never by text. Whether the platform refuses a token by an HTTP
 * status or by close code 1002 is not documented, so both mean the same here.
 */
import { Fault } from '../base/errors.js';
import { CLOSE_AUTH_FAILED, CLOSE_NORMAL, CLOSE_REPLACED, FINAL_CLOSE_CODES } from '../protocol/constants.js';

export interface Ending {
  /** No further attempt: the fault's message says what to do. */
  final: boolean;
  /** Code TUNNEL. */
  fault: Fault;
}

const RENEW = 'create a new tunnel and start again with its URI and token';

function ending(final: boolean, message: string, cause?: unknown): Ending {
  return { final, fault: new Fault('TUNNEL', message, cause === undefined ? undefined : { cause }) };
}

/** The peer closed an established connection. `reason` is the peer's text. */
export function endingByClose(code: number, reason: string): Ending {
  const words = quoted(reason);
  switch (code) {
    case CLOSE_REPLACED:
      return ending(true, `another client took over this tunnel (close code 4000${words}): end that one, or create a tunnel of your own`);
    case CLOSE_AUTH_FAILED:
      return ending(true, `the platform refused the tunnel token or it expired (close code 1002${words}): ${RENEW}`);
    case CLOSE_NORMAL:
      return ending(true, `the platform closed the tunnel (close code 1000${words}): ${RENEW}`);
    case 1006:
      return ending(false, 'the connection to the platform broke off without a close frame');
    default:
      return ending(FINAL_CLOSE_CODES.includes(code), `the platform closed the connection (close code ${code}${words})`);
  }
}

/** The platform, or a proxy on the way, answered the upgrade with an HTTP status. */
export function endingByStatus(status: number, body: string, via: string | undefined): Ending {
  const words = quoted(body);
  const final = status >= 400 && status < 500 && status !== 408 && status !== 429;
  const advice =
    status === 401 || status === 403
      ? `the token was refused or expired: ${RENEW}`
      : status === 404
        ? `the tunnel is gone: ${RENEW}`
        : status === 407
          ? 'the proxy asks for a user and password: put them into the proxy URL'
          : final
            ? 'check the tunnel URI'
            : 'it is no tunnel at the moment';
  return ending(final, `the platform answered HTTP ${status}${words}${throughProxy(via)}: ${advice}`);
}

/** Node's and OpenSSL's names for a certificate that did not verify. */
const CERTIFICATE_ERRORS: ReadonlySet<string> = new Set([
  'CERT_CHAIN_TOO_LONG',
  'CERT_HAS_EXPIRED',
  'CERT_NOT_YET_VALID',
  'CERT_REJECTED',
  'CERT_REVOKED',
  'CERT_SIGNATURE_FAILURE',
  'CERT_UNTRUSTED',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'ERR_TLS_CERT_ALTNAME_FORMAT',
  'ERR_TLS_CERT_ALTNAME_INVALID',
  'HOSTNAME_MISMATCH',
  'INVALID_CA',
  'INVALID_PURPOSE',
  'PATH_LENGTH_EXCEEDED',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY',
  'UNABLE_TO_DECRYPT_CERT_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
]);

function throughProxy(via: string | undefined): string {
  return via === undefined ? '' : ` through the proxy ${via}`;
}

/** No connection came about, or it broke. `where` is the host and `via` the proxy, for the sentence. */
export function endingByError(error: Error, where: string, via: string | undefined): Ending {
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  if (CERTIFICATE_ERRORS.has(code)) {
    const advice =
      code === 'ERR_TLS_CERT_ALTNAME_INVALID' || code === 'HOSTNAME_MISMATCH'
        ? 'use the host name that the certificate is made out to'
        : code === 'CERT_HAS_EXPIRED' || code === 'CERT_NOT_YET_VALID'
          ? 'check the clock of this machine, then the certificate'
          : 'give its issuer with --ca';
    return ending(true, `the certificate of ${where} was not accepted (${code}): ${advice}`, error);
  }
  if (code.startsWith('WS_ERR_')) {
    return ending(false, `the platform broke the WebSocket protocol (${code})`, error);
  }
  const name = code === '' ? error.message : code;
  return ending(false, `no connection to ${where}${throughProxy(via)} (${name})`, error);
}

/** Our own deadlines. */
export function endingByDeadline(what: 'handshake' | 'silence', ms: number, where: string): Ending {
  if (what === 'handshake') return ending(false, `${where} did not accept the connection within ${ms / 1000} s`);
  return ending(false, `not a byte from the platform for ${ms / 1000} s`);
}

/** Longest text of the peer shown, in characters. */
const WORDS_SHOWN = 200;

/** The peer's own words, safe for a terminal and a log line; '' for none. */
function quoted(text: string): string {
  const clean = text.replace(/[^\x20-\x7e]+/g, ' ').trim();
  if (clean === '') return '';
  return `, "${clean.length > WORDS_SHOWN ? `${clean.slice(0, WORDS_SHOWN)}...` : clean}"`;
}
