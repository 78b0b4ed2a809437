/* Shared by the three parts of the test agent; agent.c says what it is. */
#ifndef AGENT_H
#define AGENT_H

#include <cjson/cJSON.h>
#include <stddef.h>
#include <stdint.h>

/* What happened, in a file that is mapped into memory, so that a crash loses none of it. */
struct counters {
    uint64_t tunnels;         /* WebSockets opened */
    uint64_t connects;        /* connect frames */
    uint64_t logins;          /* shells opened */
    uint64_t refusals;        /* disconnect 400 sent */
    uint64_t commands;        /* command frames that reached ssh_channel_write */
    uint64_t command_bytes;
    uint64_t write_failures;  /* ssh_channel_write did not take all */
    uint64_t reader_ends;     /* reader threads that ended by an error of the session */
    uint64_t shell_ends;      /* the channel was closed by the shell's end */
    uint64_t out_frames;      /* output frames that the socket took whole */
    uint64_t out_bytes;       /* shell output before JSON */
    uint64_t out_refused;     /* output frames dropped: an earlier one was still half sent */
    uint64_t out_short;       /* output frames that stayed half sent at first */
    uint64_t spliced;         /* frames begun inside another that was half sent */
    uint64_t fragments;       /* messages seen as fragments, and so lost */
    uint64_t unreadable;      /* messages that were no JSON */
    uint64_t writing_since;   /* ms since boot when the ssh_channel_write now running began, or 0 */
};
extern struct counters *count;

struct options {
    const char *host, *port, *path, *token;
    int tls;
    int ssh_port;
    const char *known_hosts;
    int ping_seconds;
    int retry_seconds; /* step of the reconnect ladder; the stock agent's is 1 */
    int locked;        /* write under the reader's lock: the agent as it should be */
};
extern struct options opt;

uint64_t now_ms(void);
void note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ssh-leg.c */
int ssh_leg_open(const char *request_id, const char *user, const char *password);
void ssh_leg_command(const char *request_id, const char *text);
void ssh_leg_destroy(void);

/* ws-leg.c */
void ws_run(void (*on_message)(const char *text));
void ws_send_text(const char *text, size_t length, int is_output);

/* agent.c */
void send_response(const char *operation, const char *request_id, const char *data);
void send_disconnect(const char *request_id, const char *code, const char *message);

#endif
