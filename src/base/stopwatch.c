/* SPDX-License-Identifier: MIT */
/* Owns the rate of the time stamp counter. Entered by who starts the runtime, before its threads.
 */
#include "base/stopwatch.h"

#include <stdio.h>
#include <string.h>

struct lp_stopwatch lp_stopwatch;

#if defined(__x86_64__)

/* How long the counter is compared with the clock, which is read to some 20 ns. */
enum {
    COMPARED_NS = 100000
};

struct moment {
    uint64_t ticks, ns;
};

/* Both clocks at once: of some tries that in which the reading took least. */
static struct moment both_clocks(void)
{
    struct moment best = {0, 0};
    uint64_t least = UINT64_MAX;
    for (int i = 0; i < 8; i++) {
        uint64_t before = __builtin_ia32_rdtsc();
        uint64_t ns = lp_now_ns();
        uint64_t after = __builtin_ia32_rdtsc();
        if (after - before < least) {
            least = after - before;
            best = (struct moment){before + least / 2, ns};
        }
    }
    return best;
}

/* The kernel has looked at the counters of all CPUs. That is asked once: should it lose its trust
 * later, spans that cross CPUs are measured wrong, and no more. */
static bool kernel_trusts_counter(void)
{
    char name[16] = "";
    FILE *file = fopen("/sys/devices/system/clocksource/clocksource0/current_clocksource", "re");
    if (file) {
        if (!fgets(name, sizeof name, file)) {
            name[0] = '\0';
        }
        fclose(file);
    }
    return strcmp(name, "tsc\n") == 0;
}

void lp_stopwatch_init(void)
{
    if (lp_stopwatch.scale || !kernel_trusts_counter()) {
        return;
    }
    struct moment from = both_clocks(), to;
    do {
        lp_relax();
        to = both_clocks();
    } while (to.ns - from.ns < COMPARED_NS);
    lp_stopwatch.base_ticks = from.ticks;
    lp_stopwatch.base_ns = from.ns;
    lp_stopwatch.scale =
        (uint64_t)(((unsigned __int128)(to.ns - from.ns) << 32) / (to.ticks - from.ticks));
}

#else

void lp_stopwatch_init(void)
{
}

#endif
