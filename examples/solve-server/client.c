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

struct client_answer client_receive(int fd)
{
    struct client_answer none = {0};
    size_t capacity = 8192;
    size_t size = 0;
    size_t head = 0;   /* where the body begins; 0: the headers are not complete */
    size_t wanted = 0; /* bytes of the whole answer */
    char *text = malloc(capacity);

    while (text != NULL && (head == 0 || size < wanted)) {
        if (size + 1 == capacity) {
            char *larger = realloc(text, capacity *= 4);
            if (larger == NULL) {
                break;
            }
            text = larger;
        }
        ssize_t got = recv(fd, text + size, capacity - 1 - size, 0);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got == 0) {
            errno = ECONNRESET;
        }
        if (got <= 0) {
            free(text);
            return none;
        }
        size += (size_t)got;
        text[size] = '\0';
        char *blank = head == 0 ? strstr(text, "\r\n\r\n") : NULL;
        if (blank != NULL) {
            char *length = strcasestr(text, "\r\nContent-Length:");
            head = (size_t)(blank - text) + 4;
            wanted = head;
            if (length != NULL && length < blank) {
                wanted += strtoull(length + 17, NULL, 10);
            }
        }
    }
    if (text == NULL || size < wanted || strncmp(text, "HTTP/1.", 7) != 0 || size < 12) {
        free(text);
        errno = text == NULL ? ENOMEM : EPROTO;
        return none;
    }
    struct client_answer answer = {.status = atoi(text + 9), .size = wanted - head};
    memmove(text, text + head, answer.size);
    text[answer.size] = '\0';
    answer.body = text;
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
