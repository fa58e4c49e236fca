/* SPDX-License-Identifier: MIT */
/* Unix sockets by path, for cfd-main, which answers on one, and cfd-watch, which asks. Nothing of
 * loomp's. */
#ifndef UNIX_SOCKET_H
#define UNIX_SOCKET_H

/* A socket that listens at path, or -1 with errno. One left by an earlier run is replaced. */
int unix_socket_listen(const char *path);

/* Takes a connection off a listening socket, writes one short text to it and closes it. Does not
 * block: an empty connection has room for that. */
void unix_socket_answer(int listening, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* A connection to whoever listens at path, or -1 with errno. */
int unix_socket_connect(const char *path);

#endif
