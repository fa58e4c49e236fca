/* SPDX-License-Identifier: MIT */
/* What the machine gives us directly: cache lines, a pause instruction, the clock. */
#ifndef LP_BASE_PLATFORM_H
#define LP_BASE_PLATFORM_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/* Two lines, because x86 fetches them in adjacent pairs. */
#define LP_CACHE_LINE 128
#define LP_OWN_LINE _Alignas(LP_CACHE_LINE)

/* Tells the core that this is a spin loop. */
static inline void lp_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb" ::: "memory");
#else
    __asm__ volatile("" ::: "memory");
#endif
}

static inline uint64_t lp_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* A time limit in seconds as loomp's interface has it: negative for none, 0 to look only. One beyond a
 * century counts as none. */
static inline bool lp_is_no_limit(double timeout_s)
{
    return timeout_s < 0 || timeout_s > 3.2e9;
}

/* The same as a point of lp_now_ns; UINT64_MAX for none. */
static inline uint64_t lp_deadline_ns(double timeout_s)
{
    return lp_is_no_limit(timeout_s) ? UINT64_MAX : lp_now_ns() + (uint64_t)(timeout_s * 1e9);
}

#endif
