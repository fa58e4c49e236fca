/* SPDX-License-Identifier: MIT */
/* What an index of a parallel loop costs, by the function that is the loop's body. Any thread. */
#ifndef LP_ADAPTIVE_GRAIN_H
#define LP_ADAPTIVE_GRAIN_H

#include <stdint.h>

typedef void (*lp_body)(void);

/* ns for one index; 0: unknown. */
double lp_grain_index_ns(lp_body body);

/* So many indices have taken so long. */
void lp_grain_learn(lp_body body, uint64_t indices, double ns);

/* The chunks of a loop over `length` indices on that many threads: a share of the range that leaves
 * room for balance, but none so short that claiming it costs more than a small part of it. */
uint64_t lp_grain_of(uint64_t length, unsigned threads, double index_ns);

#endif
