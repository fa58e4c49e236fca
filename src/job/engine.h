/* SPDX-License-Identifier: MIT */
/* The runtime as jobs see it. The layer above fills it in; there is one, which is never freed. Whether
 * it is up, the ledger's gate says (handoff/ledger.h). */
#ifndef LP_JOB_ENGINE_H
#define LP_JOB_ENGINE_H

#include "team/pool.h"

enum lp_queue_policy { LP_REJECT = 0, LP_BLOCK, LP_CALLER_RUNS };

struct loomp_runtime {
    /* Set while the gate is not down. */
    struct loomp_pool *compute;
    struct loomp_pool *blocking;
    struct loomp_loop *first_loop; /* keeps the deadlines of jobs without a home */
    enum lp_queue_policy queue_policy;
    /* Calls fn for every pool that there is; none goes away meanwhile. */
    void (*each_pool)(void (*fn)(struct loomp_pool *pool, void *arg), void *arg);
};

#endif
