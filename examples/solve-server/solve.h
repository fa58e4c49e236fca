/* SPDX-License-Identifier: MIT */
/* One question to the server, from its bytes to the JSON of its answer. This is where loomp is
 * used: reading the matrix and solving are jobs; whoever asks stays on the loop. Knows nothing of
 * HTTP but the status codes. */
#ifndef SOLVE_H
#define SOLVE_H

#include <loomp.h>

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "csr.h"

struct solve_limits {
    int64_t gang_entries; /* from this many entries on a system is a GANG job */
    int64_t max_rows;
    int64_t max_entries;
    double max_seconds; /* of all repetitions; then the answer is the last iterate */
};

struct solve {
    /* The question: filled in before solve_start. Everything pointed to is freed by solve_fini. */
    const struct solve_limits *limits;
    char *body; /* Matrix Market, with a 0 after body_bytes, or NULL for a generated problem */
    size_t body_bytes;
    int64_t poisson; /* the side of the grid, if body is NULL */
    char *rhs;       /* NULL (ones), "ones", "sin", "rowsums", or n numbers with commas */
    double tolerance;
    int64_t max_iterations;
    int64_t repetitions; /* the same system so many times over; the last one is answered */
    bool want_x;
    bool offload; /* as a job in any case, not where it is cheapest */

    /* Called on the loop when the answer is there, never inside solve_start. */
    void (*finished)(struct solve *solve);

    /* The answer: an HTTP status and a text that the receiver may take (then set to NULL). */
    int status;
    char *json;
    size_t json_bytes;

    /* Private. */
    loomp_job job;
    bool bare;      /* not a job at all: solve_inline */
    bool on_loop;   /* the present stage runs on the loop's thread, chosen to or bare */
    bool read_only; /* the present stage ends when the matrix is read */
    bool cancelled; /* written and read on the loop only */
    bool resubmit;  /* the matrix is read, and solving it is the next stage */
    bool failed;    /* status and json are an error's already */
    uint64_t size;  /* of the work, for the site */
    double submitted_ns;
    double started_ns; /* of the present stage */
    double queued_ns;
    double running_ns;
    double give_up_ns;
    pthread_t loop_pthread;
    char loop_thread[16];
    char team_thread[16];
    struct csr a;
};

/* Clears *solve and sets the defaults: rhs of ones, tolerance 1e-6, 20,000 iterations,
 * one repetition. */
void solve_init(struct solve *solve, const struct solve_limits *limits);
void solve_fini(struct solve *solve);

/* The site of all solves: what loomp has learnt of them. */
extern loomp_site solve_site;

/* Hands the question over. On a loop thread; does not block, but a system that is cheapest solved
 * here and now has been when this returns. Returns 0, and then `finished` is
 * called; or loomp_submit's error. */
int solve_start(loomp_runtime *runtime, struct solve *solve);

/* Nobody wants the answer any more. After solve_start and before `finished`, on the same loop. */
void solve_cancel(struct solve *solve);

/* The same work here and now, in the caller's callback; `finished` is not called. This is what a
 * server does that does not offload, kept for comparison. */
void solve_inline(struct solve *solve);

/* An answer of {"error": text, "line": line}; line 0 leaves it out. */
void solve_refuse(struct solve *solve, int status, long line, const char *text);

#endif
