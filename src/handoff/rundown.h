/* SPDX-License-Identifier: MIT */
/* Rundown: counts the uses of something that can be closed, and tells who closes it when the last has
 * ended. The count and the word "closed" are one atomic, so that a use is either seen by the closer
 * or refused, and after its last leave a thread touches nothing: what the word lies in may be freed. */
#ifndef LP_HANDOFF_RUNDOWN_H
#define LP_HANDOFF_RUNDOWN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct lp_rundown {
    /* Uses, and LP_RUNDOWN_CLOSED. Written by everybody. seq_cst: what a use has done before its leave
     * is seen by the closer. */
    _Atomic uint32_t word;
};

#define LP_RUNDOWN_CLOSED 0x80000000u

/* Counts so many uses, or refuses. Once closed only who is `inside` is let in, and only as long as
 * some use has not ended. */
bool lp_rundown_enter(struct lp_rundown *rundown, unsigned uses, bool inside);

/* One more, by somebody who knows of a use that has not ended. */
void lp_rundown_hold(struct lp_rundown *rundown);

void lp_rundown_leave(struct lp_rundown *rundown, unsigned uses);

/* By one thread, once: no use from outside begins any more. */
void lp_rundown_close(struct lp_rundown *rundown);

/* By the same thread afterwards: blocks until every use has ended. */
void lp_rundown_wait(struct lp_rundown *rundown);

#endif
