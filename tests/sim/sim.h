/* SPDX-License-Identifier: MIT */
/* The simulator: loops, a pool and the calls of a trace in virtual time. One thread; a run is a
 * pure function of the trace, the seed and the policy, and every policy meets the same arrivals and
 * costs.
 *
 * A loop works in turns: it takes what has arrived, and handles that in order - small events, calls
 * of the site, and what the pool has finished. Without work it sleeps, and wakes up some time after
 * something has arrived. A worker takes the oldest job; without work it searches for a while, and
 * then it is parked and must be woken. A gang holds the gang team, and gangs wait for each other.
 */
#ifndef LP_SIM_SIM_H
#define LP_SIM_SIM_H

#include "trace.h"

#include "adaptive/policy.h"

/* Times of the world, in ns. */
#define SIM_EVENT_NS 2000.0   /* a small event */
#define SIM_WAKE_NS 25000.0   /* of a worker, or of a loop */
#define SIM_GANG_NS 30000.0   /* until all threads of a gang have begun */
#define SIM_SUBMIT_NS 300.0   /* of the loop: handing over */
#define SIM_COMPLETE_NS 300.0 /* of the loop: taking back */
#define SIM_TAKE_NS 500.0     /* a worker that searches, until it has the job */
#define SIM_SEARCH_NS 20000.0 /* how long it does */

/* What there is to know when a call has come. */
struct sim_view {
    unsigned loop, index; /* of the loop; number of the call there */
    uint64_t now_ns;
    const struct trace *trace;
    const struct trace_call *call;
    /* As the scheduler sees it. */
    struct lp_loop_load load;
    unsigned pool_state, gang_state;
    unsigned gangs;  /* ahead, with the one that runs */
    double gangs_ns; /* that they were expected to take */
    unsigned width;
    double backlog;
    unsigned in_flight; /* of all loops */
    /* As it is. */
    double ready;    /* events that wait, also those that have come since the turn began */
    double rate;     /* events and calls per ns, now */
    double to_start; /* expected, of a task, and of a gang */
    double gang_to_start;
};

struct sim_decision {
    uint32_t arm, width;
    unsigned model; /* that learns from it */
    bool trial;     /* made to learn what it costs, because nobody knows */
    double work_ns; /* expected of the work on one thread; 0: unknown */
    double team_ns; /* and of the team */
};

/* A call that is over. */
struct sim_call {
    struct trace_call call;
    struct sim_decision decision;
    unsigned loop, index, pool_state;
    double at, handed, started, finished; /* ns */
    double run_ns;                        /* of the work, as it was run */
};

/* A policy as the simulator calls it; `self` is its state. */
struct sim_policy {
    const char *name;
    void *(*new)(const struct trace *trace, uint64_t seed);
    void (*free)(void *self);
    struct sim_decision (*choose)(void *self, const struct sim_view *view);
    /* done_ns: when its loop has taken it back; handed_ns: the loop's time that this took. */
    void (*learn)(void *self, const struct sim_call *call, double done_ns, double handed_ns);
};

enum {
    SIM_MOST_CALLS = 4096 /* of a loop */
};

struct sim_result {
    unsigned calls;                 /* of each loop */
    double latency[SIM_MOST_CALLS]; /* ns: of call number i of all loops, and of the small events
                                       that came before the next one */
    double by_call[SIM_MOST_CALLS]; /* of the calls alone */
    uint8_t arm[SIM_MOST_CALLS];    /* of the first loop */
    uint16_t width[SIM_MOST_CALLS];
    double run[SIM_MOST_CALLS]; /* ns, of the first loop */
    uint64_t size[SIM_MOST_CALLS];
    unsigned bad;     /* of the first 100 of a loop, most of any loop: see sim_referee */
    unsigned blind;   /* bad ones besides, decided while a trial was on its way */
    double event_p99; /* ns, of the small events of all loops */
    uint64_t events;
};

/* Judges each decision; NULL: nobody. Returns whether it is a bad one. */
struct sim_referee {
    bool (*is_bad)(void *self, const struct sim_view *view, const struct sim_decision *decision);
    void *self;
};

void sim_run(const struct trace *trace, const struct sim_policy *policy, uint64_t seed,
             const struct sim_referee *referee, struct sim_result *result);

#endif
