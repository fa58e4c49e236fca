/* SPDX-License-Identifier: MIT */
/* Measures hand-overs at start, for the scheduler. */
#ifndef LP_RUNTIME_CALIBRATE_H
#define LP_RUNTIME_CALIBRATE_H

#include "loop/loop.h"
#include "team/pool.h"

/* Hands nothing over to the pool and to the loop a few times, while their threads sleep and while
 * they search, and tells the scheduler what that takes. On the thread that starts them, before
 * anybody submits; blocks for some tenths of a millisecond. */
void lp_calibrate(struct loomp_pool *pool, loomp_loop *loop);

#endif
