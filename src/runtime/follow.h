/* SPDX-License-Identifier: MIT */
/* Living with change: while the runtime has work, a thread looks every two seconds whether the CPU
 * quota or the CPUs of the process have changed, and lets `compute` use as many places as that
 * allows. */
#ifndef LP_RUNTIME_FOLLOW_H
#define LP_RUNTIME_FOLLOW_H

#include "placement/survey.h"
#include "team/pool.h"

struct lp_follower;

struct lp_follow_options {
    const loomp_config *config;
    const char *root; /* of /proc and /sys */
    const struct lp_topology *topology;
    const struct lp_plan *plan;
    const struct lp_rank *rank;
    struct loomp_pool *pool;
    double quota; /* that the plan was made under */
    /* Binds the runtime's threads to their places, as far as these CPUs reach; on the follower's
     * thread. */
    void (*bind_again)(void *arg, const lp_cpuset *allowed);
    void *bind_arg;
    uint64_t period_ns;
};

/* Starts to look; *stirred is the word that the pool's threads set and wake when they begin to have
 * work (lp_pool_options.stirred). 0 or a negative errno with a sentence. */
int lp_follow_start(struct lp_follower **follower, const struct lp_follow_options *options,
                    _Atomic uint32_t *stirred);
void lp_follow_stop(struct lp_follower *follower); /* NULL is fine */

#endif
