/* SPDX-License-Identifier: MIT */
/* The random numbers of the NAS parallel benchmarks: x' = a x modulo 2^46, whose high bits give a
 * number in (0, 1). The benchmarks define them by arithmetic on halves of doubles; whole numbers
 * give the same ones, since the low 46 bits of a product depend on nothing above them. A state is
 * its caller's; there is no other. */
#ifndef NPB_RANDOM_H
#define NPB_RANDOM_H

#include <stdint.h>

#define NPB_RANDOM_A UINT64_C(1220703125) /* 5^13 */
#define NPB_RANDOM_MASK ((UINT64_C(1) << 46) - 1)

static inline double npb_random(uint64_t *state, uint64_t a)
{
    *state = *state * a & NPB_RANDOM_MASK;
    return (double)*state * 0x1p-46;
}

/* The state after that many steps. */
static inline uint64_t npb_random_skip(uint64_t state, uint64_t steps)
{
    for (uint64_t a = NPB_RANDOM_A; steps; steps >>= 1, a = a * a & NPB_RANDOM_MASK) {
        if (steps & 1) {
            state = state * a & NPB_RANDOM_MASK;
        }
    }
    return state;
}

#endif
