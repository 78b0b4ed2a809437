/**
 * Every constant of the secure tunnel's wire, in one place. Sources: the platform's pages
 * "iot_06_v5_1333" (frames), "1433"/"1434" (endpoints), "1331" (limits), and the two public device
 * SDKs where the pages are silent. test/unit/protocol/constants.test.ts pins each to a literal.
 */

/** The eight operations of `operation_type` (page 1333). */
export const OPERATIONS = [
  'connect_tunnel',
  'connect',
  'connect_response',
  'command',
  'command_response',
  'disconnect',
  'ping',
  'pong',
] as const;
export type Operation = (typeof OPERATIONS)[number];

/** The only service the platform defines. A frame without it crashes the stock C agent. */
export const SERVICE_SSH = 'ssh';

/** Most bytes of one WebSocket message, whole UTF-8 JSON (page 1331: "10 KB", read as 10,000). */
export const FRAME_LIMIT_BYTES = 10_000;

/** Most bytes accepted from a peer before the frame is refused: agents overshoot the limit sixfold
 * when output is all control characters, each escaped as \u00xx. */
export const INBOUND_LIMIT_BYTES = 256 * 1024;

/** The stock C agent copies exactly this many bytes of request_id, whatever was sent. */
export const REQUEST_ID_LENGTH = 36;

/** HTTP request header with the token (page 1433). Underscores are part of the name. */
export const TOKEN_HEADER = 'tunnel_access_token';

/** WebSocket close codes that mean "do not reconnect" (device SDK wss_client.h). */
export const CLOSE_NORMAL = 1000;
export const CLOSE_AUTH_FAILED = 1002;
export const CLOSE_REPLACED = 4000;
export const FINAL_CLOSE_CODES: readonly number[] = [CLOSE_NORMAL, CLOSE_AUTH_FAILED, CLOSE_REPLACED];

/** `disconnect` status codes seen from agents: refused login, and end of the shell. */
export const STATUS_LOGIN_FAILED = '400';
export const STATUS_SHELL_ENDED = '408';
