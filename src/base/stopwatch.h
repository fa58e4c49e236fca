/* SPDX-License-Identifier: MIT */
/* The time for measuring how long something takes, where two looks at the clock would be much of
 * it: on x86 the time stamp counter, if the kernel trusts it as its own clock, and else
 * lp_clock_ns. Its values mean something only to each other. */
#ifndef LP_BASE_STOPWATCH_H
#define LP_BASE_STOPWATCH_H

#include "base/clock.h"

/* ns = base_ns + (ticks - base_ticks) * scale / 2^32. Written before threads exist that read it. */
struct lp_stopwatch {
    uint64_t scale; /* 0: the counter is not used */
    uint64_t base_ticks, base_ns;
};
extern struct lp_stopwatch lp_stopwatch;

/* Finds out, once per process, whether the counter can be used, and how fast it runs; takes less
 * than a millisecond. */
void lp_stopwatch_init(void);

static inline uint64_t lp_stopwatch_ns(void)
{
    uint64_t virtual_ns = atomic_load_explicit(&lp_virtual_ns, memory_order_relaxed);
    if (virtual_ns) {
        return virtual_ns;
    }
#if defined(__x86_64__)
    if (lp_stopwatch.scale) {
        unsigned __int128 ticks = __builtin_ia32_rdtsc() - lp_stopwatch.base_ticks;
        return lp_stopwatch.base_ns + (uint64_t)(ticks * lp_stopwatch.scale >> 32);
    }
#endif
    return lp_now_ns();
}

#endif
