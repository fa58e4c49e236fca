/* SPDX-License-Identifier: MIT */
/* Owns the hand-over model: a table of means. A state that has not been met is guessed from its
 * neighbours, because a backlog of twice the length takes twice as long. */
#include "adaptive/handover.h"

#include <math.h>

enum {
    MEMORY = 32,
    FORGOTTEN = 8 /* turns after which a part of 1/e is left of what was measured */
};

/* One value counts as at most so many times the mean: a thread that the kernel has put aside for a
 * time slice says nothing about the next hand-over. */
#define OUTLIER 8.0
enum {
    BEFORE_OUTLIERS = 8 /* values that are believed whatever they are */
};

/* Measured on machines with 2 to 16 CPUs; adaptive.calibrate replaces them by this machine's. */
#define SEARCHING_NS 1000.0
#define PARKED_NS 30e3
#define BUSY_NS 20e3
#define DONE_NS 20e3
#define SUBMIT_NS 300.0
#define GANG_NS 40e3
#define BACKLOG_FACTOR 2.0 /* from one state to the next */

static void believe(struct lp_mean *mean, double ns)
{
    *mean = (struct lp_mean){ns, 0};
}

void lp_handover_init(struct lp_handover *handover)
{
    *handover = (struct lp_handover){.measured_at = {0}};
    believe(&handover->to_start[LP_POOL_SEARCHING], SEARCHING_NS);
    believe(&handover->to_start[LP_POOL_PARKED], PARKED_NS);
    believe(&handover->to_start[LP_POOL_BUSY], BUSY_NS);
    believe(&handover->gang_to_start[LP_POOL_PARKED], GANG_NS);
    believe(&handover->to_done, DONE_NS);
    believe(&handover->submit, SUBMIT_NS);
}

unsigned lp_pool_backlog_state(uint64_t waiting, unsigned threads)
{
    unsigned state = LP_POOL_BACKLOG;
    for (uint64_t bound = threads; waiting > bound && state < LP_POOL_STATES - 1; bound *= 2) {
        state++;
    }
    return state;
}

/* A state without a value takes that of the nearest lower one that has been measured or is
 * believed, grown by a factor for each state in between. */
double lp_handover_guess(const struct lp_mean *means, unsigned state)
{
    double factor = 1;
    for (unsigned i = state;; i--) {
        if (means[i].count || means[i].value > 0) {
            return means[i].value * factor;
        }
        if (i == 0) {
            return GANG_NS;
        }
        factor *= i >= LP_POOL_BACKLOG ? BACKLOG_FACTOR : 1;
    }
}

void lp_mean_learn(struct lp_mean *mean, double ns)
{
    if (mean->count >= BEFORE_OUTLIERS) {
        ns = fmin(ns, OUTLIER * mean->value + 1);
    }
    mean->count += mean->count < MEMORY;
    mean->value += (ns - mean->value) / mean->count;
}

/* What has been measured in a state that is not met any more is forgotten, slowly, for what its
 * neighbours say: who has once had to wait long there would not go there again to find out that it
 * was chance. One state at a time has its turn. */
static void forget_one(struct lp_handover *handover, struct lp_mean *means, unsigned state)
{
    unsigned other = handover->turn;
    handover->turn = other + 1 < LP_POOL_STATES ? other + 1 : 1;
    if (other > 0 && other != state && means[other].count) {
        double guess =
            lp_handover_value(means, other - 1) * (other >= LP_POOL_BACKLOG ? BACKLOG_FACTOR : 1);
        means[other].value += (guess - means[other].value) / FORGOTTEN;
    }
}

void lp_handover_learn_start(struct lp_handover *handover, bool gang, unsigned state, double ns,
                             uint64_t now_ns)
{
    struct lp_mean *means = gang ? handover->gang_to_start : handover->to_start;
    if (means[state].count == 0) {
        /* What was guessed counts as one value, and the first may be chance. */
        double guess = lp_handover_value(means, state);
        believe(&means[state], guess);
        means[state].count = 1;
        ns = fmin(ns, OUTLIER * guess);
    }
    lp_mean_learn(&means[state], ns);
    forget_one(handover, means, state);
    if (!gang) {
        handover->measured_at[state] = now_ns;
    }
}
