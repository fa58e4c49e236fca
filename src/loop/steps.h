/* SPDX-License-Identifier: MIT */
/* libev, when time goes on in steps: what is ready now, and when the next timer is due. */
#ifndef LP_LOOP_STEPS_H
#define LP_LOOP_STEPS_H

#include <stdbool.h>
#include <stdint.h>

struct ev_loop;

/* How many events a run finds pending though nothing has happened: watchers of libev's that run every
 * time, ours and the application's. It is learnt. */
struct lp_steps {
    unsigned usual;
    unsigned runs, least; /* with more than usual, one after the other; and what the least had */
};

/* Runs libev once without sleeping; whether it found more than usual. Inside ev_run. */
bool lp_steps_run(struct lp_steps *steps, struct ev_loop *ev);

/* When the next timer or periodic is due, by lp_clock_ns, rounded to 100 ns; at most limit_ns. */
uint64_t lp_steps_next_ns(struct ev_loop *ev, uint64_t limit_ns);

/* Whether this libev lets lp_steps_next_ns find that out. */
bool lp_steps_work(struct ev_loop *ev);

#endif
