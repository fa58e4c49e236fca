/* SPDX-License-Identifier: MIT */
/* Opens Unix sockets by path. */
#include "unix_socket.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int open_socket(const char *path, int flags, struct sockaddr_un *address)
{
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address->sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    strcpy(address->sun_path, path);
    return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
}

static int close_failed(int fd)
{
    int err = errno;
    close(fd);
    errno = err;
    return -1;
}

int unix_socket_listen(const char *path)
{
    struct sockaddr_un address;
    int fd = open_socket(path, SOCK_NONBLOCK, &address);
    if (fd < 0) {
        return -1;
    }
    unlink(path);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, 8)) {
        return close_failed(fd);
    }
    return fd;
}

void unix_socket_answer(int listening, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    int bytes = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    int fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0) {
        /* MSG_NOSIGNAL: who asks may have gone again */
        send(fd, text, (size_t)bytes < sizeof text ? (size_t)bytes : sizeof text - 1, MSG_NOSIGNAL);
        close(fd);
    }
}

int unix_socket_connect(const char *path)
{
    struct sockaddr_un address;
    int fd = open_socket(path, 0, &address);
    if (fd < 0) {
        return -1;
    }
    return connect(fd, (struct sockaddr *)&address, sizeof address) ? close_failed(fd) : fd;
}
