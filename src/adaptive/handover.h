/* SPDX-License-Identifier: MIT */
/* What handing a job to a pool and back costs one loop, by the state that the pool is in. Pure; one
 * user. Times in ns. */
#ifndef LP_ADAPTIVE_HANDOVER_H
#define LP_ADAPTIVE_HANDOVER_H

#include <stdbool.h>
#include <stdint.h>

/* How a pool looks to who is about to submit. */
enum {
    LP_POOL_SEARCHING = 0, /* a thread is looking for work */
    LP_POOL_PARKED,        /* none is, but one can be woken */
    LP_POOL_BUSY,          /* all have work, and none waits */
    LP_POOL_BACKLOG,       /* work waits: per thread up to 1; the following up to 2, 4, ... */
    LP_POOL_STATES = LP_POOL_BACKLOG + 20
};

enum {
    LP_STALE_NS = 1000000000
};

/* A mean that follows: exact at first, then of about the last MEMORY values. */
struct lp_mean {
    double value;
    uint32_t count;
};

struct lp_handover {
    struct lp_mean to_start[LP_POOL_STATES];      /* of tasks: from the submission to the start */
    uint64_t measured_at[LP_POOL_STATES];         /* when it was last measured */
    struct lp_mean gang_to_start[LP_POOL_STATES]; /* by how many gangs wait */
    struct lp_mean to_done;                       /* from the end of the work to done */
    struct lp_mean submit; /* of the loop's time: submission and completion */
    uint32_t turn;         /* the state that is to forget next */
};

/* The beliefs before anything is measured. */
void lp_handover_init(struct lp_handover *handover);

/* The state of a pool in which so many jobs, not 0, wait for `threads`. */
unsigned lp_pool_backlog_state(uint64_t waiting, unsigned threads);

/* The state of a pool in which `waiting` jobs wait for `threads`. */
static inline unsigned lp_pool_state(bool searching, bool parked, uint64_t waiting,
                                     unsigned threads)
{
    return waiting     ? lp_pool_backlog_state(waiting, threads)
           : searching ? LP_POOL_SEARCHING
           : parked    ? LP_POOL_PARKED
                       : LP_POOL_BUSY;
}

/* What follows from the states next to it. */
double lp_handover_guess(const struct lp_mean *means, unsigned state);

static inline double lp_handover_value(const struct lp_mean *means, unsigned state)
{
    return means[state].value > 0 ? means[state].value : lp_handover_guess(means, state);
}

/* What is known, or follows. */
static inline double lp_handover_to_start(const struct lp_handover *handover, unsigned state)
{
    return lp_handover_value(handover->to_start, state);
}

static inline double lp_handover_gang_to_start(const struct lp_handover *handover, unsigned state)
{
    return lp_handover_value(handover->gang_to_start, state);
}

/* The same with so many gangs ahead, the one that runs included, that are expected to take ahead_ns
 * together, half of that one being over. What others have waited says little where it is known what
 * one waits for: a gang that took a thousand times as long once is not there again. */
static inline double lp_handover_gang_wait(const struct lp_handover *handover, unsigned state,
                                           double ahead_ns, unsigned gangs)
{
    return ahead_ns > 0 && gangs > 0
               ? lp_handover_gang_to_start(handover, LP_POOL_PARKED) +
                     ahead_ns * (1 - 0.5 / (double)gangs)
               : lp_handover_gang_to_start(handover, state);
}

/* Not measured in that state for so long that it may have changed. */
static inline bool lp_handover_is_stale(const struct lp_handover *handover, unsigned state,
                                        uint64_t now_ns)
{
    return now_ns > handover->measured_at[state] + LP_STALE_NS;
}

void lp_handover_learn_start(struct lp_handover *handover, bool gang, unsigned state, double ns,
                             uint64_t now_ns);
void lp_mean_learn(struct lp_mean *mean, double ns);

#endif
