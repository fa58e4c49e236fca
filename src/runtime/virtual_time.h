/* SPDX-License-Identifier: MIT */
/* Tests whose clock goes on by itself (<loomp/test.h>). On the thread of the loop that runs the body. */
#ifndef LP_RUNTIME_VIRTUAL_TIME_H
#define LP_RUNTIME_VIRTUAL_TIME_H

#include <loomp/loop.h>

/* Stops the clock, before the body. 0 or a negative errno with a sentence. */
int lp_virtual_time_begin(loomp_loop *loop);

/* After the body: lets the clock go on until nothing is under way but the post that calls this; then
 * the machine's counts again. */
void lp_virtual_time_end(void);

#endif
