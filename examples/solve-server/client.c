/* SPDX-License-Identifier: MIT */
/* The client: enough HTTP for a server we know, over the loopback interface. */
#include "client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

int client_connect(int port, double timeout_s)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct timeval timeout = {.tv_sec = (time_t)timeout_s};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0) {
        return -1;
    }
    timeout.tv_usec = (suseconds_t)((timeout_s - (double)timeout.tv_sec) * 1e6);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        int err = errno;
        close(fd);
        errno = err;
        return -1;
    }
    return fd;
}

bool client_send(int fd, const void *data, size_t size)
{
    const char *at = data;

    while (size > 0) {
        ssize_t sent = send(fd, at, size, MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno == EINTR) {
                continue;
            }
            return false;
        }
        at += sent;
        size -= (size_t)sent;
    }
    return true;
}

bool client_send_head(int fd, const char *method, const char *target, size_t size, bool keep_alive)
{
    char head[1024];
    int length = snprintf(head, sizeof head,
                          "%s %s HTTP/1.1\r\nHost: localhost\r\n%sContent-Length: %zu\r\n\r\n",
                          method, target, keep_alive ? "" : "Connection: close\r\n", size);

    if (length < 0 || (size_t)length >= sizeof head) {
        errno = EMSGSIZE;
        return false;
    }
    return client_send(fd, head, (size_t)length);
}

/* Where the body begins: behind the first blank line, or 0. */
static size_t end_of_head(const char *text)
{
    const char *blank = strstr(text, "\r\n\r\n");

    return blank != NULL ? (size_t)(blank - text) + 4 : 0;
}

static size_t content_length(const char *text, size_t head)
{
    const char *length = strcasestr(text, "\r\nContent-Length:");

    return length != NULL && length < text + head ? strtoull(length + 17, NULL, 10) : 0;
}

/* Appends what there is, `room` bytes at most and one for a 0. Returns the bytes, or 0 when no more
 * come, with errno set. */
static size_t receive_some(int fd, char *to, size_t room, int flags)
{
    ssize_t got;

    do {
        got = recv(fd, to, room, flags);
    } while (got < 0 && errno == EINTR);
    if (got == 0) {
        errno = ECONNRESET;
    }
    to[got > 0 ? got : 0] = '\0';
    return got > 0 ? (size_t)got : 0;
}

struct client_answer client_receive(int fd)
{
    struct client_answer none = {0};
    size_t capacity = 8192;
    size_t size = 0;
    size_t head = 0;
    char *text = malloc(capacity);

    /* Looked at before it is taken, because behind this answer may be the next one already. */
    while (text != NULL && head == 0 && size + 1 < capacity) {
        size_t seen = receive_some(fd, text + size, capacity - 1 - size, MSG_PEEK);
        head = end_of_head(text);
        size_t taken = head > 0 ? head - size : seen;
        if (seen == 0 || receive_some(fd, text + size, taken, MSG_WAITALL) != taken) {
            free(text);
            return none;
        }
        size += taken;
    }
    if (text == NULL || head == 0 || strncmp(text, "HTTP/1.", 7) != 0 || size < 12) {
        free(text);
        errno = text == NULL ? ENOMEM : EPROTO;
        return none;
    }
    struct client_answer answer = {.status = atoi(text + 9), .size = content_length(text, head)};
    answer.body = realloc(text, answer.size + 1);
    if (answer.body == NULL) {
        free(text);
        return none;
    }
    answer.body[0] = '\0';
    for (size = 0; size < answer.size;) {
        size_t got = receive_some(fd, answer.body + size, answer.size - size, 0);
        if (got == 0) {
            free(answer.body);
            return none;
        }
        size += got;
    }
    return answer;
}

struct client_answer client_ask(int port, double timeout_s, const char *method, const char *target,
                                const void *body, size_t size)
{
    struct client_answer answer = {0};
    int fd = client_connect(port, timeout_s);

    if (fd < 0) {
        return answer;
    }
    /* A server that refuses a large body may answer and close before it has read it all: the answer
     * counts, also where sending failed. */
    if (client_send_head(fd, method, target, size, false)) {
        (void)client_send(fd, body, size);
        answer = client_receive(fd);
    }
    int err = errno;
    close(fd);
    errno = err;
    return answer;
}

static const char *find_member(const char *json, const char *name)
{
    size_t length = strlen(name);

    for (const char *p = json; (p = strchr(p, '"')) != NULL; p++) {
        if (strncmp(p + 1, name, length) == 0 && strncmp(p + 1 + length, "\":", 2) == 0) {
            return p + length + 3;
        }
    }
    return NULL;
}

bool client_number(const char *json, const char *name, double *value)
{
    const char *at = find_member(json, name);
    char *end;

    if (at == NULL) {
        return false;
    }
    *value = strtod(at, &end);
    return end != at;
}

bool client_text(const char *json, const char *name, char *value, size_t size)
{
    const char *at = find_member(json, name);
    size_t k = 0;

    if (at == NULL || *at != '"') {
        return false;
    }
    for (at++; *at != '\0' && *at != '"' && k + 1 < size; at++) {
        if (*at == '\\' && at[1] != '\0') {
            at++;
        }
        value[k++] = *at;
    }
    value[k] = '\0';
    return true;
}
