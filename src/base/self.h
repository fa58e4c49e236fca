/* SPDX-License-Identifier: MIT */
/* What a thread is to loomp. Every public call that behaves differently on loops, teams and plain
 * threads looks here, and nowhere else. */
#ifndef LP_BASE_SELF_H
#define LP_BASE_SELF_H

#include <stdbool.h>
#include <stdint.h>

enum lp_role {
    LP_PLAIN = 0, /* a thread of the application's */
    LP_LOOP,      /* one of loomp's loops, or the thread of an attached loop */
    LP_WORKER,    /* of a task team */
    LP_GANG,      /* of a gang team; index 0 is the leader */
    LP_BLOCKING,  /* of a pool for blocking work */
};

struct lp_self {
    enum lp_role role;
    int index;               /* in its team */
    unsigned inside;         /* depth of works, dones and posts that are running */
    bool broadcasting;       /* the part of a broadcast runs, which must not wait */
    bool relieving;          /* a worker that serves beside a gang: its place is not its own */
    struct loomp_runtime *runtime;
    struct loomp_loop *loop; /* LP_LOOP */
    struct loomp_pool *pool; /* the other roles but LP_PLAIN */
    struct loomp_job *job;   /* that runs, or NULL */
    struct lp_thread_card *card; /* its public face; NULL on plain threads and loops */
    struct lp_sleeper *sleeper;  /* what can be seen of its sleep: of threads with a card */
    unsigned near;           /* the last-level cache of its place, counted from 1; 0: unknown */
    uintptr_t stack_low;     /* below it little of the thread's stack is left; 0: unknown */
    unsigned yields;         /* jobs inside each other that loomp_yield began */
    struct lp_finishing *finishing; /* the job whose done runs, or NULL */
    struct lp_learner *learner; /* LP_LOOP: its scheduler, once it has been used */
    bool met_openmp;         /* libomp knows the thread, which is in no team */
    uint64_t fp_control;     /* what the thread's jobs start with */
};

/* initial-exec: one instruction instead of a call; small enough for dlopen's reserve. */
extern _Thread_local struct lp_self lp_self __attribute__((tls_model("initial-exec")));

#endif
