/* SPDX-License-Identifier: MIT */
/* The runtime as jobs see it. The layer above fills it in; there is one, which is never freed, so
 * that a late call on a stopped runtime finds a shut gate instead of freed memory. */
#ifndef LP_JOB_ENGINE_H
#define LP_JOB_ENGINE_H

#include "handoff/ledger.h"
#include "team/pool.h"

enum lp_queue_policy { LP_REJECT = 0, LP_BLOCK, LP_CALLER_RUNS };

struct loomp_runtime {
    struct lp_ledger ledger;    /* tracked jobs, posts, notifications */
    struct lp_ledger untracked; /* jobs with LOOMP_UNTRACKED, which only stop waits for */
    /* Set while the gate is open. */
    struct loomp_pool *compute;
    struct loomp_pool *blocking;
    enum lp_queue_policy queue_policy;
};

#endif
