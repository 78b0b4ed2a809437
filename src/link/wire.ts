/**
 * Wire constants of the link (PROTOCOL-DEVICE.md section 2). The helper on the device holds the same
 * values; test/unit/helper/python-wire.test.ts compares the two.
 */
export const PACKET_START = 0x3a; // ':'
export const PACKET_END = 0x3b; // ';'
export const TYPE_DATA = 1;
export const TYPE_ACK = 2;
export const TYPE_BYE = 3;
/** DATA flag: acknowledge at once. */
export const FLAG_ACK_NOW = 1;
/** ACK flag: answer with an ACK at once. */
export const FLAG_REPLY = 1;
/** ACK flag of the device: it sent its oldest bytes again and again, and we have acknowledged none. */
export const FLAG_STUCK = 2;
/** Most characters of one packet; longer pieces are dropped. */
export const PACKET_LIMIT_CHARS = 16_384;
/** Most ranges in one ACK. */
export const ACK_RANGES = 32;
/** Bytes beyond the next needed offset that a receiver holds; later ones are dropped. */
export const REASSEMBLY_LIMIT_BYTES = 8 * 1024 * 1024;
/** Separate pieces among them: a whole window of the smallest packets that the helper sends, twice. */
export const REASSEMBLY_LIMIT_PIECES = 16_384;
export const TAG_BYTES = 4;
export const KEY_BYTES = 8;
export const SECRET_BYTES = 32;

/** Congestion window in bytes: the most that may be in flight; also the bound of the replay buffer. */
export const WINDOW_MAX_BYTES = 4 * 1024 * 1024;
export const WINDOW_MIN_BYTES = 4 * 1024;
/** The bridge starts low: the stock agent dies of floods of command frames. */
export const UP_WINDOW_START_BYTES = 16 * 1024;
/** An agent that races gets its frames one by one; small windows would bring it acknowledgements instead. */
export const UP_WINDOW_RACES_BYTES = 64 * 1024;

/** The bridge acknowledges unasked data after this time or amount, whichever is first. */
export const DELAYED_ACK_MS = 150;
export const DELAYED_ACK_BYTES = 256 * 1024;
/** The same towards an agent that must not type while output comes: the device asks once a window. */
export const DELAYED_ACK_RACES_MS = 500;
export const DELAYED_ACK_RACES_BYTES = 2 * 1024 * 1024;
/**
 * What is to be sent waits so long for company, when each frame may be the agent's last: a command and the
 * end of its input, say, which come a few milliseconds apart.
 */
export const COMPANY_MS = 8;
/**
 * Queueing that the window may cause: what the path delivers in so long, or in a quarter of its own round trip,
 * beyond what it delivers in that. QUEUE_LEAST_BYTES it may hold in any case.
 */
export const QUEUE_MS = 2;
export const QUEUE_LEAST_BYTES = 32 * 1024;
/** Measured round trips that are looked at: for the path's rate, and for what it takes. */
export const RATES = 8;
export const RTTS = 8;
/** The path is measured anew so often, without a queue; and so soon for the first time. */
export const RENEW_MS = 10_000;
export const RENEW_FIRST_MS = 1_000;
/** Below the device's second: our retransmission is also what wakes an agent that stalls. */
export const RTO_MIN_MS = 600;
export const RTO_MAX_MS = 30_000;
/** Frames with less than a full packet are sent at most this often: paste and bursts coalesce. */
export const SMALL_FRAME_GAP_MS = 4;
