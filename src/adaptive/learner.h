/* SPDX-License-Identifier: MIT */
/* The scheduler of one loop: what it has learnt of sites and of hand-overs, and its decisions.
 * Threads without a loop share one, which a try-lock guards. */
#ifndef LP_ADAPTIVE_LEARNER_H
#define LP_ADAPTIVE_LEARNER_H

#include "adaptive/handover.h"
#include "adaptive/site.h"
#include "team/pool.h"

#include <loomp/config.h>
#include <loomp/loop.h>

/* What the settings say. Written before anything that reads it runs. */
struct lp_adaptive_settings {
    struct lp_policy policy;
    uint64_t seed;
    unsigned trace; /* calls kept per loop */
    /* What the settings pin a site to; NULL: nothing. The config lasts until the stop. */
    struct lp_pin (*pin)(const loomp_config *config, const char *name);
    const loomp_config *config;
};

/* Start and end of a run; between them the settings stand. Records and what they know stay. */
void lp_adaptive_start(const struct lp_adaptive_settings *settings);
void lp_adaptive_stop(void);
const struct lp_adaptive_settings *lp_adaptive_settings(void);

/* What has been measured at start, in ns, for loops that have not measured anything themselves. */
struct lp_adaptive_beliefs {
    double searching, parked, to_done;
};
void lp_adaptive_believe(const struct lp_adaptive_beliefs *beliefs);

/* A call to be placed. */
struct lp_request {
    struct lp_site_record *site;
    uint64_t size;
    struct lp_call call; /* without ln_size, which is learnt on the way */
    struct loomp_pool *pool;
    struct loomp_loop *loop; /* the calling thread's, or NULL */
};

/* What is kept of it until it is over, by the job or the decision. */
struct lp_placed {
    struct lp_site_record *site;                 /* NULL: none, and the rest means nothing */
    uint64_t submitted_ns, started_ns, ended_ns; /* of lp_stopwatch_ns */
    float ln_size;
    float work, inline_cost, task_cost, team_cost; /* predicted, ns */
    float ready, rate;                             /* of the loop; events per ns */
    float expected_ns; /* of a team: how long it will run; 0: nothing is known, or no team */
    uint16_t width;
    uint8_t arm, reason, model, state; /* state: the pool's */
    uint8_t disturbed; /* it took longer than it costs: others had the CPU meanwhile */
};

/* Decides. decision: NULL, or where what it rests on goes. When nobody can decide (no memory, or
 * another thread without a loop is at it) the call is placed as if it had no site: placed->site is
 * NULL. */
void lp_adaptive_choose(struct lp_request *request, struct lp_placed *placed,
                        loomp_decision *decision);

/* The work has ended, on this thread, at placed->ended_ns: finds out whether it was disturbed, if
 * it was long enough for the kernel to have a part in it. */
enum {
    LP_SUSPECT_NS = 100000
};
bool lp_adaptive_is_disturbed(const struct lp_placed *placed);
static inline void lp_adaptive_ended(struct lp_placed *placed)
{
    placed->disturbed =
        placed->ended_ns - placed->started_ns > LP_SUSPECT_NS && lp_adaptive_is_disturbed(placed);
}

/* The call is over; placed->site is not NULL, and the times are set (of work that was not handed
 * over, submitted_ns is started_ns). pool: that it was handed to; NULL: none. done_ns: now, on the
 * loop that it came from; 0: not there. */
void lp_adaptive_finish(const struct lp_placed *placed, uint64_t size, struct loomp_pool *pool,
                        uint64_t done_ns);

/* Of the loop's time, submitting took so long. */
void lp_adaptive_submitted(struct loomp_pool *pool, double ns);

/* Exchanges all that the calling thread has learnt, so that records are up to date with it. */
void lp_adaptive_flush_here(void);

/* What the calling thread last decided there; false: nothing. */
bool lp_adaptive_last(struct lp_site_record *record, struct lp_choice *choice);

/* Walks over the traces. */
int lp_adaptive_trace(loomp_call_fn fn, void *arg);

#endif
