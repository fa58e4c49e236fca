/* SPDX-License-Identifier: MIT */
/* The HTTP side of the server: libmicrohttpd, driven by one of loomp's loops. */
#ifndef HTTP_H
#define HTTP_H

#include <loomp.h>

#include <stdbool.h>
#include <stddef.h>

#include "solve.h"

/* Where systems are solved. */
enum http_where {
    HTTP_CHEAPEST,  /* where loomp finds it cheapest, through the site of all solves */
    HTTP_OFFLOADED, /* as a job on a team, always */
    HTTP_ON_LOOP,   /* on the loop, always, as by a server without loomp: for comparison */
};

struct http_options {
    const char *address;   /* numeric IPv4 address to listen on */
    int port;              /* 0: any free one */
    size_t max_body_bytes; /* of one request */
    size_t max_held_bytes; /* of all requests being received or answered */
    int max_solves;        /* questions being received or answered; more get 503 */
    int max_connections;   /* more wait to be accepted */
    unsigned timeout_s;    /* of a silent connection; a body has ten times as long in all */
    double grace_s;        /* for running solves after http_shutdown */
    enum http_where where; /* the default; ?offload=0 and 1 override it */
    struct solve_limits solve;
};

struct http;

/* Starts listening. Call it on a loop of the runtime's, whose thread serves every connection. The
 * options are copied. Returns 0, -ENOMEM, -EADDRINUSE and the like. */
int http_open(struct http **http, loomp_runtime *runtime, loomp_loop *loop,
              const struct http_options *options);

int http_port(const struct http *http);

/* Accepts no more questions, lets those under way end (the second call, and the grace period,
 * cancel them), then calls fn(arg) on the loop. On the loop's thread. */
void http_shutdown(struct http *http, void (*fn)(void *arg), void *arg);

#endif
