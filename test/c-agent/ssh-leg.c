/*
 * One login on the device's SSH server. The threads and locks are the stock agent's on purpose: a
 * reader that polls without pause under a lock, and a writer that does not take it.
 */
#include "agent.h"
#include <libssh/callbacks.h>
#include <libssh/libssh.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define REQUEST_ID_BYTES 36
#define READ_BYTES 2048

static ssh_session session;
static ssh_channel channel;
static pthread_mutex_t reading = PTHREAD_MUTEX_INITIALIZER;
/* Of the last connect or command, whoever's output it will stand on. */
static char last_id[REQUEST_ID_BYTES + 1];

void ssh_leg_destroy(void)
{
    pthread_mutex_lock(&reading);
    if (channel) {
        ssh_channel_close(channel);
        ssh_channel_send_eof(channel);
        ssh_channel_free(channel);
        channel = NULL;
    }
    if (session) {
        ssh_disconnect(session);
        ssh_free(session);
        session = NULL;
    }
    pthread_mutex_unlock(&reading);
}

/* Called by libssh inside the reader's locked read: the lock is taken twice, and nobody ever has it again. */
static void on_channel_close(ssh_session s, ssh_channel c, void *data)
{
    (void)s, (void)c, (void)data;
    count->shell_ends++;
    note("the shell ended");
    send_disconnect("SSH_timeout_disconnect", "408", "SSH idles for too long, the session will be closed");
    ssh_leg_destroy();
}

static struct ssh_channel_callbacks_struct callbacks = {.channel_close_function = on_channel_close};

static void *read_output(void *unused)
{
    (void)unused;
    /* One byte more than is read at once: the stock agent has none, and reads beyond the end. */
    char *buffer = calloc(1, READ_BYTES + 1);
    int n;
    do {
        pthread_mutex_lock(&reading);
        n = ssh_channel_read_nonblocking(channel, buffer, READ_BYTES, 0);
        pthread_mutex_unlock(&reading);
        if (n > 0) {
            count->out_bytes += (uint64_t)n;
            buffer[n] = 0;
            send_response("command_response", last_id, buffer); /* ends at the first NUL */
            memset(buffer, 0, READ_BYTES);
        }
    } while (n >= 0);
    if (channel) {
        count->reader_ends++;
        note("the reader ends: %d, %s", n, session ? ssh_get_error(session) : "no session");
    }
    free(buffer);
    return NULL;
}

/* Trust on first use; a key that changed is a failure. */
static int check_host_key(void)
{
    switch (ssh_session_is_known_server(session)) {
    case SSH_KNOWN_HOSTS_OK:
        return 0;
    case SSH_KNOWN_HOSTS_NOT_FOUND:
    case SSH_KNOWN_HOSTS_UNKNOWN:
        return ssh_session_update_known_hosts(session) < 0 ? -1 : 0;
    default:
        return -1;
    }
}

static int open_shell(void)
{
    pthread_t reader;
    channel = ssh_channel_new(session);
    if (!channel || ssh_channel_open_session(channel) != SSH_OK) return -1;
    if (ssh_channel_request_pty(channel) != SSH_OK) return -1; /* xterm, 80 x 24 */
    if (ssh_channel_change_pty_size(channel, 128, 30) != SSH_OK) return -1;
    if (ssh_channel_request_shell(channel) != SSH_OK) return -1;
    ssh_callbacks_init(&callbacks);
    ssh_set_channel_callbacks(channel, &callbacks);
    pthread_create(&reader, NULL, read_output, NULL);
    pthread_detach(reader);
    return 0;
}

static int log_in(const char *user, const char *password)
{
    int port = opt.ssh_port, no_log = SSH_LOG_NOLOG, no = 0;
    session = ssh_new();
    if (!session) return -1;
    ssh_options_set(session, SSH_OPTIONS_HOST, "localhost");
    ssh_options_set(session, SSH_OPTIONS_LOG_VERBOSITY, &no_log);
    ssh_options_set(session, SSH_OPTIONS_PORT, &port);
    ssh_options_set(session, SSH_OPTIONS_USER, user);
    /* Ours, for a test that leaves the account it runs under alone. */
    ssh_options_set(session, SSH_OPTIONS_PROCESS_CONFIG, &no);
    ssh_options_set(session, SSH_OPTIONS_KNOWNHOSTS, opt.known_hosts);
    ssh_options_set(session, SSH_OPTIONS_GLOBAL_KNOWNHOSTS, "/dev/null");
    if (ssh_connect(session) != SSH_OK) return -1;
    if (check_host_key() < 0) return -1;
    if (ssh_userauth_password(session, NULL, password) != SSH_AUTH_SUCCESS) return -1;
    return open_shell();
}

int ssh_leg_open(const char *request_id, const char *user, const char *password)
{
    memcpy(last_id, request_id, REQUEST_ID_BYTES);
    ssh_leg_destroy(); /* one session only; nobody is told */
    if (!user || !password) return -1;
    if (log_in(user, password) == 0) {
        count->logins++;
        return 0;
    }
    note("no login: %s", session ? ssh_get_error(session) : "no session");
    ssh_leg_destroy();
    return -1;
}

void ssh_leg_command(const char *request_id, const char *text)
{
    memcpy(last_id, request_id, REQUEST_ID_BYTES);
    if (!session) return;
    size_t length = strlen(text);
    count->commands++;
    count->command_bytes += length;
    count->writing_since = now_ms();
    /* Without the lock: this is the fault of the stock agent that everything here is about. */
    if (opt.locked) pthread_mutex_lock(&reading);
    int n = ssh_channel_write(channel, text, (uint32_t)length);
    if (opt.locked) pthread_mutex_unlock(&reading);
    count->writing_since = 0;
    if (n < 0 || (size_t)n != length) {
        count->write_failures++;
        note("typing failed: %d of %zu, %s", n, length, session ? ssh_get_error(session) : "no session");
    }
}
