/* SPDX-License-Identifier: MIT */
/* Random numbers of the simulator: streams that a seed names, so that every policy meets the same
 * arrivals and the same costs. */
#ifndef LP_SIM_RANDOM_H
#define LP_SIM_RANDOM_H

#include <math.h>
#include <stdint.h>

struct random {
    uint64_t state;
};

/* SplitMix64 (Steele, Lea and Flood 2014). */
static inline uint64_t random_bits(struct random *random)
{
    uint64_t z = random->state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static inline struct random random_stream(uint64_t seed, uint64_t which)
{
    struct random random = {seed * 0x2545f4914f6cdd1du + which};
    random.state = random_bits(&random);
    return random;
}

/* In (0, 1). */
static inline double random_uniform(struct random *random)
{
    return ((double)(random_bits(random) >> 12) + 0.5) / 4503599627370496.0;
}

static inline double random_exponential(struct random *random)
{
    return -log(random_uniform(random));
}

static inline double random_normal(struct random *random)
{
    double radius = sqrt(2 * random_exponential(random));
    return radius * cos(6.283185307179586 * random_uniform(random));
}

#endif
