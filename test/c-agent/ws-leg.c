/*
 * The WebSocket, with the manners of the library that the stock agent uses: one message per readiness
 * event, a message that is not there whole is a fragment, a frame that the socket does not take whole
 * waits for the next one to be sent, and no lock anywhere, TLS included.
 */
#include "agent.h"
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { TEXT = 1, CLOSE = 8, PING = 9, PONG = 10 };
#define RETRIES 10
#define HANDSHAKE_MS 5000
#define NONE 0
#define GONE (-1)

struct conn {
    int fd;
    SSL *ssl;
    int ok;
    int close_status; /* 0: no close frame came */
    /* The rest of a frame that the socket did not take. */
    char *unsent;
    long unsent_from, unsent_bytes;
    /* A header that came in parts. */
    unsigned char header[4];
    int header_bytes;
    /* Of a payload that came in parts. */
    long missing;
};

static struct conn *volatile current;

static int raw_send(struct conn *c, const char *data, long length)
{
    if (!c->ssl) return (int)send(c->fd, data, (size_t)length, MSG_NOSIGNAL);
    int n = SSL_write(c->ssl, data, (int)length);
    if (n > 0) return n;
    int why = SSL_get_error(c->ssl, n);
    if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE) return -1;
    errno = EAGAIN;
    return -2;
}

/* Bytes read, NONE, or GONE. */
static int raw_receive(struct conn *c, void *data, long length)
{
    int n;
    if (c->ssl) {
        n = SSL_read(c->ssl, data, (int)length);
        if (n > 0) return n;
        int why = SSL_get_error(c->ssl, n);
        return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? NONE : GONE;
    }
    do n = (int)recv(c->fd, data, (size_t)length, 0);
    while (n < 0 && errno == EINTR);
    if (n > 0) return n;
    return n < 0 && errno == EAGAIN ? NONE : GONE;
}

/* The half-sent frame first: what is left of it, 0 when there was none, < 0 when nothing more goes. */
static int send_unsent(struct conn *c)
{
    if (!c->unsent) return 0;
    int n = raw_send(c, c->unsent + c->unsent_from, c->unsent_bytes);
    if (n == c->unsent_bytes) {
        free(c->unsent);
        c->unsent = NULL;
    } else if (n > 0) {
        c->unsent_from += n;
        c->unsent_bytes -= n;
        count->spliced++; /* the next frame goes out all the same, in the middle of this one */
    }
    return n;
}

static int send_frame(struct conn *c, int opcode, const char *data, size_t length)
{
    int n = send_unsent(c);
    if (n < 0) return n;
    char *frame = malloc(length + 16);
    long size = 2;
    unsigned char mask[4];
    for (int i = 0; i < 4; i++) mask[i] = (unsigned char)random();
    frame[0] = (char)(0x80 | opcode);
    if (length < 126) {
        frame[1] = (char)(0x80 | length);
    } else {
        frame[1] = (char)(0x80 | 126);
        frame[2] = (char)(length >> 8);
        frame[3] = (char)length;
        size = 4;
    }
    memcpy(frame + size, mask, 4);
    size += 4;
    for (size_t i = 0; i < length; i++) frame[size + (long)i] = (char)(data[i] ^ mask[i & 3]);
    long header = size, sent = 0;
    size += (long)length;
    for (int tries = 0; tries <= 50; tries++) {
        n = raw_send(c, frame + sent, size - sent);
        if (n > 0) sent += n;
        if (sent == size || errno != 0) break;
        usleep(100000);
    }
    if (sent == size) {
        free(frame);
        return (int)length;
    }
    c->unsent = frame;
    c->unsent_from = sent;
    c->unsent_bytes = size - sent;
    return sent > header ? (int)(sent - header) : -2;
}

void ws_send_text(const char *text, size_t length, int is_output)
{
    struct conn *c = current;
    if (!c) return;
    int halfway = c->unsent != NULL;
    int n = send_frame(c, TEXT, text, length);
    if (!is_output) return;
    if (n == (int)length) count->out_frames++;
    else if (halfway && c->unsent) count->out_refused++;
    else count->out_short++;
}

static void shut(struct conn *c)
{
    c->ok = 0;
    close(c->fd);
    c->fd = -1;
}

/* One message of those that wait, if that: NULL when none is to be told of. */
static char *receive_message(struct conn *c)
{
    long length;
    int opcode = TEXT, whole = c->missing == 0, n;
    if (whole) {
        unsigned char *h = c->header;
        int need = c->header_bytes >= 2 && (h[1] & 0x7f) == 126 ? 4 : 2;
        n = raw_receive(c, h + c->header_bytes, need - c->header_bytes);
        if (n == GONE) return shut(c), NULL;
        c->header_bytes += n;
        if (c->header_bytes == 2 && (h[1] & 0x7f) == 126) {
            n = raw_receive(c, h + 2, 2);
            if (n == GONE) return shut(c), NULL;
            c->header_bytes += n;
            need = 4;
        }
        if (c->header_bytes < need) return NULL;
        c->header_bytes = 0;
        opcode = h[0] & 0x0f;
        whole = (h[0] & 0x80) != 0;
        length = need == 4 ? h[2] << 8 | h[3] : h[1] & 0x7f;
        if (length == 127) return shut(c), NULL;
        if (opcode == PONG) return NULL;
        if (length == 0) {
            if (opcode == PING) send_frame(c, PONG, "", 0);
            else {
                if (opcode == CLOSE) c->close_status = 1005;
                shut(c);
            }
            return NULL;
        }
    } else {
        length = c->missing;
    }
    char *data = malloc((size_t)length + 1);
    n = raw_receive(c, data, length);
    if (n == GONE) return free(data), shut(c), NULL;
    data[n] = 0;
    if (n < length) whole = 0;
    c->missing = length - n;
    if (n == 0) return free(data), NULL;
    if (opcode == CLOSE) {
        c->close_status = n >= 2 ? (unsigned char)data[0] << 8 | (unsigned char)data[1] : 1005;
        shut(c);
    } else if (opcode == PING) {
        send_frame(c, PONG, data, (size_t)n);
    } else {
        /* Each part is taken for a message; neither is one. */
        if (!whole) { count->fragments++; note("fragment %d of %ld", n, length); }
        return data;
    }
    free(data);
    return NULL;
}

static void *keep_alive(void *argument)
{
    struct conn *c = argument;
    for (;;) {
        sleep((unsigned)opt.ping_seconds);
        if (c != current || !c->ok) return NULL;
        send_frame(c, PING, "", 0);
    }
}

static int connect_tcp(void)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list;
    if (getaddrinfo(opt.host, opt.port, &hints, &list) != 0) return -1;
    int fd = socket(list->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, list->ai_addr, list->ai_addrlen) < 0) {
        close(fd);
        fd = -1;
    }
    freeaddrinfo(list);
    return fd;
}

static int shake_hands(struct conn *c)
{
    char text[8192];
    int n = snprintf(text, sizeof text,
                     "GET %s HTTP/1.1\r\nHost: %s:%s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                     "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\ntunnel_access_token:%s\r\n\r\n",
                     opt.path, opt.host, opt.port, opt.token);
    if (raw_send(c, text, n) != n) return -1;
    /* Byte by byte: what follows the answer belongs to the frames. */
    size_t have = 0;
    for (uint64_t end = now_ms() + HANDSHAKE_MS; now_ms() < end && have < sizeof text - 1;) {
        int got = raw_receive(c, text + have, 1);
        if (got == GONE) return -1;
        if (got == NONE) {
            struct pollfd p = {.fd = c->fd, .events = POLLIN};
            poll(&p, 1, 100);
            continue;
        }
        have += 1;
        text[have] = 0;
        if (have >= 4 && strcmp(text + have - 4, "\r\n\r\n") == 0) return strncmp(text, "HTTP/1.1 101", 12) == 0 ? 0 : -1;
    }
    return -1;
}

static struct conn *open_conn(void)
{
    static SSL_CTX *context;
    struct conn *c = calloc(1, sizeof *c);
    c->fd = connect_tcp();
    if (c->fd < 0) return free(c), NULL;
    int ready = 1;
    if (opt.tls) {
        if (!context) context = SSL_CTX_new(TLS_client_method());
        SSL_CTX_set_max_proto_version(context, TLS1_2_VERSION); /* and no look at the certificate */
        c->ssl = SSL_new(context);
        SSL_set_fd(c->ssl, c->fd);
        ready = SSL_connect(c->ssl) == 1;
    }
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    if (!ready || shake_hands(c) != 0) {
        close(c->fd);
        return free(c), NULL;
    }
    pthread_t pinger;
    c->ok = 1;
    count->tunnels++;
    note("the tunnel is open");
    current = c;
    pthread_create(&pinger, NULL, keep_alive, c);
    pthread_detach(pinger);
    return c;
}

/* Closed connections are not freed: other threads may still look at them. */
void ws_run(void (*on_message)(const char *text))
{
    struct conn *c = open_conn();
    for (int tries = 1; !c && tries < RETRIES; tries++) {
        sleep((unsigned)(tries * opt.retry_seconds));
        c = open_conn();
    }
    while (c) {
        struct pollfd p = {.fd = c->fd, .events = POLLIN};
        if (poll(&p, 1, 500) > 0) {
            char *message = receive_message(c);
            if (message) on_message(message);
            free(message);
        }
        if (c->ok) continue;
        note("the tunnel closed: %d", c->close_status);
        int final = c->close_status == 1000 || c->close_status == 1002 || c->close_status == 4000;
        ssh_leg_destroy();
        c = NULL;
        for (int tries = 1; !final && !c && tries <= RETRIES; tries++) {
            sleep((unsigned)(tries * opt.retry_seconds));
            c = open_conn();
        }
    }
}
