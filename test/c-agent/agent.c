/*
 * A device agent for tests, built like the stock C agent and with faults that are as real as its: a
 * libssh session used by two threads with a lock that only one of them takes, and a WebSocket client
 * on a socket that does not block. What it does is described in PROTOCOL.md and seen in behaviour; no
 * line comes from the SDK. Nothing here is repaired: a fault in this program is the purpose.
 */
#include "agent.h"
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

struct counters *count;
struct options opt = {.ping_seconds = 20, .retry_seconds = 1};

uint64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

void note(const char *format, ...)
{
    char line[512];
    va_list list;
    va_start(list, format);
    int n = vsnprintf(line, sizeof line - 1, format, list);
    va_end(list);
    if (n > (int)sizeof line - 2) n = sizeof line - 2;
    line[n] = '\n';
    if (write(STDERR_FILENO, line, (size_t)n + 1) < 0) return;
}

static void send_object(cJSON *object, int is_output)
{
    char *text = cJSON_Print(object);
    cJSON_Delete(object);
    if (!text) return;
    ws_send_text(text, strlen(text), is_output);
    free(text);
}

static cJSON *new_object(const char *operation, const char *request_id)
{
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "operation_type", operation);
    cJSON_AddStringToObject(object, "tunnel_service_type", "ssh");
    cJSON_AddStringToObject(object, "request_id", request_id);
    return object;
}

void send_response(const char *operation, const char *request_id, const char *data)
{
    cJSON *object = new_object(operation, request_id);
    if (data) cJSON_AddStringToObject(object, "data", data);
    send_object(object, data != NULL);
}

void send_disconnect(const char *request_id, const char *code, const char *message)
{
    cJSON *object = new_object("disconnect", request_id);
    cJSON *data = cJSON_AddObjectToObject(object, "data");
    cJSON_AddStringToObject(data, "status_code", code);
    cJSON_AddStringToObject(data, "status_msg", message);
    send_object(object, 0);
}

/* NULL for what is missing or no string, as the stock agent has it. */
static const char *text_of(const cJSON *object, const char *name)
{
    return cJSON_GetStringValue(cJSON_GetObjectItem(object, name));
}

static void on_message(const char *text)
{
    cJSON *root = cJSON_Parse(text);
    if (!root) {
        count->unreadable++;
        return;
    }
    const char *service = text_of(root, "tunnel_service_type");
    if (strcmp(service, "ssh") == 0) { /* a frame without it ends the process */
        const char *id = text_of(root, "request_id");
        const char *operation = text_of(root, "operation_type");
        if (strcmp(operation, "connect") == 0) {
            count->connects++;
            send_response("connect_response", id, NULL); /* before anything is known */
            cJSON *data = cJSON_GetObjectItem(root, "data");
            if (!data || !id || ssh_leg_open(id, text_of(data, "username"), text_of(data, "password")) != 0) {
                count->refusals++;
                send_disconnect(id, "400", "WssClientListenerOnMsg: Create SSH channel failed");
            }
        } else if (strcmp(operation, "command") == 0) {
            const char *typed = text_of(root, "data");
            if (typed && id) ssh_leg_command(id, typed);
        }
    }
    cJSON_Delete(root);
}

static void use(const char *what)
{
    fprintf(stderr, "agent: %s\nusage: agent (ws|wss)://HOST:PORT/PATH TOKEN-FILE SSH-PORT KNOWN-HOSTS COUNTERS [--locked] [--ping S]\n", what);
    exit(2);
}

static void split_uri(char *uri)
{
    char *at = strstr(uri, "://");
    if (!at) use("no scheme");
    opt.tls = strncmp(uri, "wss", 3) == 0;
    char *host = at + 3;
    char *path = strchr(host, '/');
    if (!path) use("no path");
    opt.path = strdup(path);
    *path = 0;
    char *port = strchr(host, ':');
    if (!port) use("no port");
    *port = 0;
    opt.host = host;
    opt.port = port + 1;
}

static char *read_token(const char *name)
{
    static char token[4096];
    FILE *file = fopen(name, "r");
    if (!file || !fgets(token, sizeof token, file)) use("no token");
    fclose(file);
    token[strcspn(token, "\r\n")] = 0;
    return token;
}

static struct counters *map_counters(const char *name)
{
    int fd = open(name, O_RDWR | O_CREAT, 0600);
    if (fd < 0 || ftruncate(fd, sizeof(struct counters)) < 0) use("no file for the counters");
    void *map = mmap(NULL, sizeof(struct counters), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) use("the counters cannot be mapped");
    close(fd);
    return map;
}

int main(int argc, char **argv)
{
    if (argc < 6) use("too few words");
    split_uri(argv[1]);
    opt.token = read_token(argv[2]);
    opt.ssh_port = atoi(argv[3]);
    opt.known_hosts = argv[4];
    count = map_counters(argv[5]);
    count->writing_since = 0;
    for (int i = 6; i < argc; i++) {
        if (strcmp(argv[i], "--locked") == 0) opt.locked = 1;
        else if (strcmp(argv[i], "--ping") == 0 && i + 1 < argc) opt.ping_seconds = atoi(argv[++i]);
        else use(argv[i]);
    }
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that was killed leaves no agent behind */
    ws_run(on_message);
    note("the tunnel is over");
    return 3;
}
