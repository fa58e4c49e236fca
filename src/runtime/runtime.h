/* SPDX-License-Identifier: MIT */
/* The one runtime of the process, as this folder sees it. */
#ifndef LP_RUNTIME_RUNTIME_H
#define LP_RUNTIME_RUNTIME_H

#include "job/engine.h"
#include "loop/loop.h"
#include "placement/survey.h"
#include "runtime/follow.h"

#include <loomp/runtime.h>

#include <pthread.h>

struct lp_attached {
    struct lp_attached *next;
    loomp_loop *loop;
    pthread_t thread;
};

/* What start makes and stop frees. */
struct lp_parts {
    loomp_config *config;
    struct lp_survey survey;
    struct lp_plan plan;
    struct lp_follower *follower; /* NULL: changes are not followed */
    _Atomic uint32_t stirred;     /* compute has had work since the follower last looked */
    struct loomp_pool *compute; /* NULL: not started */
    struct loomp_pool *blocking;
    struct lp_place blocking_place; /* borrows the plan's I/O CPUs */
    loomp_loop **loops;
    unsigned loop_count;
    int openmp_places; /* as libomp knew them after start */
    bool two_runtimes;
};

struct lp_process {
    struct loomp_runtime runtime; /* what a loomp_runtime * points to */
    struct lp_parts parts;
    /* guards start, stop and attached; held by start and stop while they last, so that of two
     * callers the second finds the work done */
    pthread_mutex_t lock;
    struct lp_attached *attached;
    /* Calls that are reading the parts, on any thread: each announces itself (seq_cst) before it
     * looks at the gate, stop shuts the gate (seq_cst) before it waits for them. */
    _Atomic uint32_t readers;
};

extern struct lp_process lp_process;

/* Stop has set the gate down and waits until nobody reads the parts any more. */
void lp_runtime_wait_for_readers(void);

/* Whether runtime is the one that runs: 0, or -EINVAL, -ESHUTDOWN, -EOWNERDEAD with a sentence. */
int lp_runtime_check(loomp_runtime *runtime);

#endif
