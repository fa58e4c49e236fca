/* SPDX-License-Identifier: MIT */
/* How busy a loop is, as far as it matters to work that runs on it. Pure; used by the loop's
 * thread. */
#ifndef LP_LOOP_LOAD_H
#define LP_LOOP_LOAD_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

/* The loop now, as work that might run on it sees it. */
struct lp_loop_load {
    double ready;    /* callbacks and completions that wait in this turn, R */
    double rate;     /* events per ns, lately, lambda */
    double busy;     /* part of the time, lately, that the loop did not sleep, rho */
    double spent_ns; /* on inline work in this turn */
    bool alone;      /* there is no other loop of the runtime's own */
};

/* Events per ns, by two counts that fade: one over a long time, which is the more exact one, and
 * one over a short time, for bursts. */
struct lp_meter {
    double count, burst;
    uint64_t at_ns; /* 0: nothing yet */
};

#define LP_METER_NS 1e8 /* the time constants */
#define LP_METER_BURST_NS 2e6

/* So many more, in the time that it has come to. */
static inline void lp_meter_count(struct lp_meter *meter, double events)
{
    meter->count += events;
    meter->burst += events;
}

/* So many events have been seen at that time. */
static inline void lp_meter_add(struct lp_meter *meter, uint64_t now_ns, double events)
{
    if (now_ns > meter->at_ns) {
        double passed = (double)(now_ns - meter->at_ns);
        meter->count *= exp(-passed / LP_METER_NS);
        meter->burst *= exp(-passed / LP_METER_BURST_NS);
        meter->at_ns = now_ns;
    }
    lp_meter_count(meter, events);
}

/* Work that comes in bursts meets those events that come in bursts too, not the average. The short
 * count counts where it is certain to be more than chance: a count of n that fades deviates by
 * sqrt(n / 2). */
static inline double lp_meter_rate(const struct lp_meter *meter)
{
    double certain = meter->burst - 2 * sqrt(meter->burst / 2);
    return fmax(meter->count / LP_METER_NS, certain / LP_METER_BURST_NS);
}

#endif
