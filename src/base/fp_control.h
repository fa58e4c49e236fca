/* SPDX-License-Identifier: MIT */
/* The floating-point control of a thread (rounding, flush-to-zero, exception masks; not the sticky
 * exception flags) as one number that is cheap to compare: about 10 ns. */
#ifndef LP_BASE_FP_CONTROL_H
#define LP_BASE_FP_CONTROL_H

#include <stdint.h>

#if defined(__x86_64__) || defined(__i386__)

/* MXCSR without its six flags, and the x87 control word, which long double uses. */
static inline uint64_t lp_fp_control(void)
{
    uint32_t mxcsr;
    uint16_t x87;
    __asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
    __asm__ volatile("fnstcw %0" : "=m"(x87));
    return (uint64_t)(mxcsr & ~0x3fu) << 16 | x87;
}

static inline void lp_fp_set_control(uint64_t control)
{
    uint32_t mxcsr = (uint32_t)(control >> 16);
    uint16_t x87 = (uint16_t)control;
    __asm__ volatile("ldmxcsr %0" ::"m"(mxcsr));
    __asm__ volatile("fldcw %0" ::"m"(x87));
}

#elif defined(__aarch64__)

static inline uint64_t lp_fp_control(void)
{
    uint64_t fpcr;
    __asm__ volatile("mrs %0, fpcr" : "=r"(fpcr));
    return fpcr;
}

static inline void lp_fp_set_control(uint64_t control)
{
    __asm__ volatile("msr fpcr, %0" ::"r"(control));
}

#else

#include <fenv.h>

static inline uint64_t lp_fp_control(void)
{
    return (uint64_t)(unsigned)fegetround();
}

static inline void lp_fp_set_control(uint64_t control)
{
    fesetround((int)control);
}

#endif

/* Puts the thread back to `control` if something changed it. */
static inline void lp_fp_restore(uint64_t control)
{
    if (lp_fp_control() != control) {
        lp_fp_set_control(control);
    }
}

#endif
