/* SPDX-License-Identifier: MIT */
/* Scores: all policies on a trace, by what everybody's latency adds up to. */
#ifndef LP_SIM_SCORE_H
#define LP_SIM_SCORE_H

#include "policies.h"

enum score_policy {
    SCORE_ORACLE,
    SCORE_UNRAILED,
    SCORE_CLAIRVOYANT,
    SCORE_INLINE,
    SCORE_OFFLOAD,
    SCORE_ANCESTOR,
    SCORE_LOOMP,
    SCORE_WEIGHTED, /* loomp with io_weight 10 */
    SCORE_POLICIES
};

extern const struct sim_policy *const score_policies[SCORE_POLICIES];

/* Of the calls of each loop, from 1. */
enum score_window {
    SCORE_ALL,      /* 1 to 1,000 */
    SCORE_LATER,    /* 101 to 1,000 */
    SCORE_SETTLED,  /* 51 to 1,000 */
    SCORE_FOLLOWED, /* from 100 to 500 after the step */
    SCORE_WINDOWS
};

struct score {
    struct trace trace;
    unsigned seeds;
    double total[SCORE_POLICIES][SCORE_WINDOWS]; /* ns, of all seeds */
    double event_p99[SCORE_POLICIES];            /* ns, mean of the seeds */
    double inlined[SCORE_POLICIES];              /* share of the calls from 101 */
    unsigned bad, blind;                         /* loomp's, of any seed the most: see sim_result */
    unsigned repeated;                           /* loomp's: see score_repeated */
};

void score_trace(const struct trace *trace, uint64_t first_seed, unsigned seeds,
                 struct score *score);

/* What the policy loses to another one, as a share. */
double score_regret(const struct score *score, enum score_policy policy, enum score_policy base,
                    enum score_window window);

/* The best of always-inline, always-offload and the ancestor. */
enum score_policy score_best_simple(const struct score *score, enum score_window window);

/* The better of always-inline and always-offload. */
enum score_policy score_best_fixed(const struct score *score, enum score_window window);

/* Inline runs beyond 1 ms that came less than 100 calls after another one whose size was within a
 * factor of 2. */
unsigned score_repeated(const struct sim_result *result);

#endif
