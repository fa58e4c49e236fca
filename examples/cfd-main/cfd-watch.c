/* SPDX-License-Identifier: MIT */
/* Asks a running cfd-main how far it is, until it has seen so many different steps, and prints each
 * answer once.
 *
 * usage: cfd-watch SOCKET [DIFFERENT-STEPS]    exit status 1 if the program ended before */
#include "unix_socket.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* One answer: a line. */
static bool ask(const char *path, char line[256])
{
    int fd = unix_socket_connect(path);
    if (fd < 0) {
        return false;
    }
    size_t bytes = 0;
    ssize_t got;
    while (bytes < 255 && (got = read(fd, line + bytes, 255 - bytes)) > 0) {
        bytes += (size_t)got;
    }
    line[bytes] = '\0';
    close(fd);
    return true;
}

int main(int argc, char **argv)
{
    int wanted = argc > 2 ? atoi(argv[2]) : 2, last = -1, seen = 0;
    char line[256];
    if (argc < 2) {
        fprintf(stderr, "usage: cfd-watch SOCKET [DIFFERENT-STEPS]\n");
        return 2;
    }
    while (seen < wanted) {
        int step;
        if (!ask(argv[1], line)) {
            fprintf(stderr, "cfd-watch: %s: %s\n", argv[1], strerror(errno));
            return 1;
        }
        if (sscanf(line, "{\"step\":%d,\"time\":%*g,\"residual\":%*g}", &step) != 1) {
            fprintf(stderr, "cfd-watch: a strange answer: %s\n", line);
            return 1;
        }
        if (step != last) {
            fputs(line, stdout);
            fflush(stdout);
            last = step;
            seen++;
        }
    }
    return 0;
}
