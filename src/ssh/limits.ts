/**
 * Every bound and deadline of the SSH server, with its unit. Where sshd has a setting for it, the
 * comment names it and the value is sshd's default unless a reason is given.
 */

/** LoginGraceTime: from the TCP connection to authentication, not counting the gateway's work. */
export const LOGIN_GRACE_MS = 120_000;
/** MaxAuthTries: failed attempts of one connection. */
export const MAX_AUTH_TRIES = 6;
/** First failed password of a connection is answered this late; each further one doubles it. */
export const AUTH_DELAY_MS = 250;
export const AUTH_DELAY_MAX_MS = 4_000;
/** All connections together get at most one refused password per this time: a slow guesser's pace. */
export const AUTH_PACE_MS = 100;
/** Authentication requests that may wait while one is being decided (clients send one at a time). */
export const MAX_WAITING_AUTH = 16;
/** And their bytes together: a stranger's packets are not kept by the megabyte. */
export const MAX_WAITING_AUTH_BYTES = 64 * 1024;

/** Longest banner in bytes; a longer one is not shown (sshd: 1 MiB, but a packet holds 256 kB). */
export const MAX_BANNER_BYTES = 128 * 1024;

/** Requests of one connection in all, those that are no attempt (questions about keys, prompts) included. */
export const MAX_AUTH_REQUESTS = 256;
/** Longest user name and password in bytes; with every byte escaped they still fit one tunnel frame. */
export const MAX_USER_BYTES = 256;
export const MAX_PASSWORD_BYTES = 1024;

/** MaxStartups, without its random early drop: connections that have not authenticated yet. */
export const MAX_UNAUTHENTICATED = 64;
/** Connections over a bound that are told so at a time; the others are just cut. */
export const MAX_REFUSING = 64;
/** Refused connections are logged at most once in this time, in milliseconds. */
export const REFUSED_LOG_MS = 1_000;

/** Connections in all. */
export const MAX_CONNECTIONS = 1024;
/** Channels of one connection, sessions and forwardings together (sshd's MaxSessions is 10: too few
 * for 200 sessions through one ControlMaster). */
export const MAX_CHANNELS = 1024;
/** Longest name of a host to listen on, in bytes (NI_MAXHOST): it comes back in each channel of the listener. */
export const MAX_HOST_BYTES = 1025;
/** Listening sockets one connection may ask for. */
export const MAX_LISTENERS = 128;
/** Environment variables of one session (sshd: 128), and bytes of one name and one value. */
export const MAX_ENV = 128;
export const MAX_ENV_NAME_BYTES = 256;
export const MAX_ENV_BYTES = 32 * 1024;
/** And of all of one session together: a client may have many that it never starts. */
export const MAX_ENV_TOTAL_BYTES = 64 * 1024;
/** Global requests that wait for an answer from the device. */
export const MAX_WAITING_REQUESTS = 256;
/** Sessions that are opened while such an answer is awaited, closed ones included. */
export const MAX_WAITING_CONFIRMATIONS = 4096;
/** Channels asked of a device that is not there yet, and their bytes: closed ones included, since they are kept until it is. */
export const MAX_WAITING_OPENS = 4096;
export const MAX_WAITING_OPEN_BYTES = 8 * 1024 * 1024;
/** Signals kept for a program whose start the device has not confirmed. */
export const MAX_WAITING_SIGNALS = 64;

/** Window we give a client for each channel, in bytes. The SSH leg is local, so a short one is fast
 * enough; it bounds what one client can park in our memory. */
export const CHANNEL_WINDOW = 512 * 1024;
/** Granted again in steps of at least this many bytes. */
export const WINDOW_STEP = CHANNEL_WINDOW / 4;
/** Largest data packet, both ways (OpenSSH's CHAN_SES_PACKET_DEFAULT), in bytes. */
export const CHANNEL_PACKET = 32 * 1024;
/** Smallest data packet a peer may ask for; less would be all overhead. */
export const MIN_CHANNEL_PACKET = 64;
/** A window may not exceed this (RFC 4254 section 5.2). */
export const MAX_WINDOW = 0xffff_ffff;

/** Channel data is held back while this many bytes wait in the socket. Also how long a keystroke's
 * echo waits behind a bulk transfer to a slow client. */
export const SOCKET_BACKLOG = 256 * 1024;
/** Reading stops while this many bytes wait in the socket: a client that asks but does not read. */
export const SOCKET_BACKLOG_STOP = 2 * 1024 * 1024;
/** Packets that may wait for the end of a key exchange before the client is cut off. */
export const MAX_PACKETS_IN_KEX = 8192;

/** Longest identification line (RFC 4253 section 4.2 says 255), in bytes. */
export const MAX_IDENT_BYTES = 255;
/** A key exchange that was begun must end within this time. */
export const KEX_DEADLINE_MS = 120_000;
/** New keys after this many bytes in both directions together, or after this time (RFC 4253 section 9). */
export const REKEY_BYTES = 1024 * 1024 * 1024;
export const REKEY_MS = 3_600_000;
/** Most bytes one packet may inflate to (zlib@openssh.com). */
export const MAX_INFLATED_BYTES = 256 * 1024;
/** How long a client whose keys are being taken into use has to finish that, to be told why it is cut off. */
export const FAREWELL_MS = 300;
/** How long a closing connection may take to deliver its last bytes. */
export const LINGER_MS = 5_000;
/** How long the last bytes for a forwarded connection may take after its client closed it. */
export const DELIVERY_MS = 60_000;
/** The same for a program, which is hung up then: who interrupts a task wants it ended. */
export const HANG_UP_MS = 10_000;
/** TCP keepalive after this idle time (sshd: TCPKeepAlive yes). */
export const TCP_KEEPALIVE_MS = 60_000;
/** Lines of the log about what clients that were let in are refused, and about strangers, all together: at once, and then a second. */
export const CLIENT_LINES = 100;
export const CLIENT_LINES_PER_S = 10;
export const STRANGER_LINES = 100;
export const STRANGER_LINES_PER_S = 10;
