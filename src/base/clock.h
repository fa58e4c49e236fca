/* SPDX-License-Identifier: MIT */
/* The clock of deadlines and of measured costs. It is the machine's, unless a test has put its own in
 * its place (runtime/virtual_time.c). What searches, parks and sleeps keeps lp_now_ns: the kernel
 * knows no other time. */
#ifndef LP_BASE_CLOCK_H
#define LP_BASE_CLOCK_H

#include "base/platform.h"

#include <stdatomic.h>
#include <stdbool.h>

/* The time of a test with a clock of its own; 0: there is none. Written by the loop's thread that
 * runs the test, read by anybody. relaxed: it orders nothing; threads that are to see a new time
 * are woken for it after the store, and their wake-up orders both. */
extern _Atomic uint64_t lp_virtual_ns;

/* By how much libev is told that it is later, while it looks for timers that are due: it wants their
 * time to be over, not just to have come. The loop's thread's that runs the test. */
extern uint64_t lp_virtual_ahead_ns;

enum { LP_VIRTUAL_AHEAD_NS = 1000 };

static inline bool lp_clock_is_virtual(void)
{
    return atomic_load_explicit(&lp_virtual_ns, memory_order_relaxed) != 0;
}

static inline uint64_t lp_clock_ns(void)
{
    uint64_t virtual_ns = atomic_load_explicit(&lp_virtual_ns, memory_order_relaxed);
    return virtual_ns ? virtual_ns : lp_now_ns();
}

/* As lp_deadline_ns, but a point of this clock. */
static inline uint64_t lp_clock_deadline_ns(double timeout_s)
{
    return lp_is_no_limit(timeout_s) ? UINT64_MAX : lp_clock_ns() + (uint64_t)(timeout_s * 1e9);
}

#endif
