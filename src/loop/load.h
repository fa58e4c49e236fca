/* SPDX-License-Identifier: MIT */
/* How busy a loop is, as far as it matters to work that runs on it. Pure; used by the loop's thread. */
#ifndef LP_LOOP_LOAD_H
#define LP_LOOP_LOAD_H

#include <math.h>
#include <stdint.h>

/* Events per ns: a count that halves about every 70 ms without events. */
struct lp_meter {
    double count;
    uint64_t at_ns; /* 0: nothing yet */
};

#define LP_METER_NS 1e8 /* the time constant */

/* So many events have been seen at that time. */
static inline void lp_meter_add(struct lp_meter *meter, uint64_t now_ns, double events)
{
    if (now_ns > meter->at_ns) {
        meter->count *= exp(-(double)(now_ns - meter->at_ns) / LP_METER_NS);
        meter->at_ns = now_ns;
    }
    meter->count += events;
}

static inline double lp_meter_rate(const struct lp_meter *meter)
{
    return meter->count / LP_METER_NS;
}

#endif
