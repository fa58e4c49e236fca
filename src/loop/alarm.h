/* SPDX-License-Identifier: MIT */
/* Alarms: calls that a loop makes at a time, unless they have become void by then. */
#ifndef LP_LOOP_ALARM_H
#define LP_LOOP_ALARM_H

#include "handoff/completion.h"

#include <loomp/loop.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct lp_alarms;

/* The beginning of an object from lp_object_take. Two sides hold it, its owner and its loop;
 * whoever lets go last gives it back. */
struct lp_alarm {
    struct lp_item item;      /* on its way to the loop */
    struct lp_alarm *child;   /* in the loop's heap: the first of those that ring later, */
    struct lp_alarm *sibling; /* and the next with the same parent */
    struct lp_alarms *alarms; /* the loop's */
    uint64_t when_ns;         /* of lp_clock_ns */
    /* Called on the loop's thread, once and not before when_ns, if the alarm is not void. It does
     * not keep the alarm. */
    void (*ring)(struct lp_alarm *alarm);
    _Atomic uint32_t state; /* what has happened to it: only ever more, see alarm.c */
};

/* Prepares an alarm that both sides hold. The loop has to stay until both have let go. */
void lp_alarm_init(struct lp_alarm *alarm, loomp_loop *loop, void (*ring)(struct lp_alarm *alarm));

/* Hands the loop's side over, with when_ns set; one that is void already is not handed over. Any
 * thread, once per alarm; never a failure. The alarm may be gone when this returns, unless the
 * caller is the owner too. */
void lp_alarm_set(struct lp_alarm *alarm);

/* The owner does not want it to ring any more. It may be ringing this moment. Any thread. */
void lp_alarm_void(struct lp_alarm *alarm);

/* The same, and the owner lets go of it. */
void lp_alarm_drop(struct lp_alarm *alarm);

static inline bool lp_alarm_is_void(struct lp_alarm *alarm)
{
    /* seq_cst: who counts itself in first and then looks here knows that the end which makes an
     * alarm void had not come when it was counted */
    return atomic_load_explicit(&alarm->state, memory_order_seq_cst) != 0;
}

/* ---- the loop's side: on its thread, but for the fields that are said to be others' ---- */

struct lp_alarms {
    struct lp_completions incoming; /* pushed by any thread */
    /* When the loop will look next by itself. Written by the loop, read by who sets an alarm; both
     * seq_cst, and the loop looks at `incoming` after it has made this later: so either the setter
     * sees that it has to wake the loop, or the loop sees the alarm. */
    _Atomic uint64_t next_ns;
    /* Void alarms that the loop still holds, by the count of those who made them void; it may be
     * behind, and below 0 for a moment. Added to by any thread, taken from by the loop. */
    LP_OWN_LINE _Atomic int64_t voided;
    /* So many are too many. Written by the loop, which then looks at `voided`; read by those who
     * have added to that. All seq_cst, so that one of the two sees it. */
    _Atomic int64_t too_many;
    struct lp_alarm *first; /* the heap's top */
    int64_t held;           /* in the heap */
    loomp_loop *loop;
};

void lp_alarms_init(struct lp_alarms *alarms, loomp_loop *loop);

/* Lets go of what is left, all of which is void. */
void lp_alarms_fini(struct lp_alarms *alarms);

/* Whether lp_alarms_collect has something to do. */
bool lp_alarms_wait_for_loop(struct lp_alarms *alarms);

/* Takes what was set meanwhile, throws void ones out, and returns when the next one rings;
 * UINT64_MAX: there is none. */
uint64_t lp_alarms_collect(struct lp_alarms *alarms);

/* Rings what is due, but no more than `most`. To be followed by lp_alarms_collect. */
void lp_alarms_ring(struct lp_alarms *alarms, uint64_t now_ns, int most);

#endif
