/* SPDX-License-Identifier: MIT */
/* Sleeping on a word. The only system calls of the hot path. */
#ifndef LP_BASE_FUTEX_H
#define LP_BASE_FUTEX_H

#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Sleeps while *word == expected, until woken or past deadline_ns (of lp_now_ns; UINT64_MAX: no
 * limit). May return early for no reason. False: the deadline has passed. */
bool lp_futex_wait(_Atomic uint32_t *word, uint32_t expected, uint64_t deadline_ns);

/* Wakes up to count sleepers. The word may be gone already: then it wakes nobody, or somebody who
 * tolerates it. */
void lp_futex_wake(_Atomic uint32_t *word, int count);

#endif
