/* SPDX-License-Identifier: MIT */
/* The one runtime of the process, as this folder sees it. */
#ifndef LP_RUNTIME_RUNTIME_H
#define LP_RUNTIME_RUNTIME_H

#include "job/engine.h"
#include "loop/loop.h"
#include "placement/survey.h"
#include "runtime/follow.h"
#include "runtime/pools.h"

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
    _Atomic(struct lp_named_pool *) named; /* the others, in the order in which they came */
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
    /* Calls that are reading the parts, on any thread, counted on one of two sides: a reader
     * announces itself on the side that is in use, and makes sure that it still is; who has taken
     * something away turns to the other side and waits for those of the old one, and not for
     * those who come later. All seq_cst: a reader that found its side still in use did so before the
     * turn, and is waited for, or after it, and then it finds what was taken away (the gate, an
     * entry of the list) gone. */
    _Atomic uint32_t readers[2];
    _Atomic uint32_t reading_side; /* turned under the lock */
    _Atomic uint32_t awaited;      /* somebody waits for readers, who wake it as they go */
};

extern struct lp_process lp_process;

/* Between the two the parts that are there stay. Any thread; blocks nobody but who waits below. */
unsigned lp_runtime_announce_reader(void);
void lp_runtime_withdraw_reader(unsigned side);

/* Waits until nobody reads any more what has been taken away before. With the lock held. */
void lp_runtime_wait_for_readers(void);

/* Whether runtime is the one that runs: 0, or -EINVAL, -ESHUTDOWN, -EOWNERDEAD with a sentence. */
int lp_runtime_check(loomp_runtime *runtime);

#endif
