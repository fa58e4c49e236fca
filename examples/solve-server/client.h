/* SPDX-License-Identifier: MIT */
/* A small blocking HTTP client for the load generator and the tests. */
#ifndef CLIENT_H
#define CLIENT_H

#include <stdbool.h>
#include <stddef.h>

struct client_answer {
    int status; /* of HTTP; 0: no answer came, errno says why */
    char *body; /* with a 0 after it; the caller frees it */
    size_t size;
};

/* Connects to a port on the loopback interface. Reads and writes that make no progress for
 * timeout_s seconds fail. Returns a descriptor, or -1 with errno set. */
int client_connect(int port, double timeout_s);

/* Sends everything. False with errno set. */
bool client_send(int fd, const void *data, size_t size);

/* Sends the request line and headers of a request with a body of `size` bytes. */
bool client_send_head(int fd, const char *method, const char *target, size_t size, bool keep_alive);

/* Reads one answer, no more, so that a connection that is kept alive can be used again. */
struct client_answer client_receive(int fd);

/* All of it: connect, send, receive, close. */
struct client_answer client_ask(int port, double timeout_s, const char *method, const char *target,
                                const void *body, size_t size);

/* Looks a member of a flat JSON object up by name. False if it is not there. */
bool client_number(const char *json, const char *name, double *value);
bool client_text(const char *json, const char *name, char *value, size_t size);

#endif
