/* SPDX-License-Identifier: MIT */
/* Parking: threads that have found nothing to do sleep here, and whoever brings work wakes one.
 *
 * Why no wake-up is lost, for both halves:
 *
 *   sleeper                                   waker
 *   1 lp_parking_announce (sets its bit)      1 publishes the work
 *   2 looks again for work, stop, ...         2 looks for a bit, takes it (clears it)
 *   3 lp_parking_sleep                        3 writes the sleeper's word, wakes it
 *
 * Steps 1 and 2 of both sides are seq_cst (an atomic read-modify-write or a seq_cst store, then
 * seq_cst loads), so in their single order either the sleeper's look comes after the publication
 * and finds the work, or the waker's look comes after the announcement and finds the bit. Whoever
 * clears a bit owes that sleeper a wake-up, and a sleeper that finds its own bit cleared by another
 * waits for that wake-up (it is on its way), so that the word is never left set for the next time.
 *
 * One slot per thread; a slot is used by its thread only. Wakers are any threads. */
#ifndef LP_HANDOFF_PARKING_H
#define LP_HANDOFF_PARKING_H

#include "base/platform.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct lp_parking_slot {
    LP_OWN_LINE _Atomic uint32_t word; /* 1: woken */
    _Atomic uint64_t woken_at_ns;      /* when the waker came; written before word */
};

struct lp_parking {
    unsigned count;
    unsigned words;
    struct lp_parking_slot *slots;
    /* A bit per sleeper, lowest slot first. Read by every waker, written when threads park. */
    LP_OWN_LINE _Atomic uint64_t *bits;
};

int lp_parking_init(struct lp_parking *parking, unsigned count);
void lp_parking_fini(struct lp_parking *parking);

/* Step 1 of the sleeper. */
void lp_parking_announce(struct lp_parking *parking, unsigned slot);

/* The sleeper found something in step 2: it takes its announcement back. True if a waker was faster;
 * its wake-up has then been received, and if it was meant for work the caller should look for it or
 * pass it on. */
bool lp_parking_withdraw(struct lp_parking *parking, unsigned slot);

/* Step 3: sleeps until woken (true) or past the deadline (false; the announcement is withdrawn). */
bool lp_parking_sleep(struct lp_parking *parking, unsigned slot, uint64_t deadline_ns);

/* When the last waker of this slot came, by lp_now_ns: a sleeper learns from it how long it would
 * have had to search, which its own waking up is no part of. */
static inline uint64_t lp_parking_woken_at_ns(struct lp_parking *parking, unsigned slot)
{
    return atomic_load_explicit(&parking->slots[slot].woken_at_ns, memory_order_relaxed);
}

/* Wakes the lowest sleeper of the slots from `from` to `to` - 1; false if there is none. */
bool lp_parking_wake_between(struct lp_parking *parking, unsigned from, unsigned to);

/* The same among those whose bit is set in `mask`, as many words as there are slots for; NULL: all. */
bool lp_parking_wake_among(struct lp_parking *parking, const uint64_t *mask, unsigned from,
                           unsigned to);

/* The same for all slots at or above `from`. */
bool lp_parking_wake_lowest(struct lp_parking *parking, unsigned from);

/* Wakes that sleeper; false if it does not sleep. */
bool lp_parking_wake_slot(struct lp_parking *parking, unsigned slot);

/* Wakes the highest sleeper; false if there is none. */
bool lp_parking_wake_highest(struct lp_parking *parking);

/* Whether anybody sleeps (relaxed: for an estimate). */
static inline bool lp_parking_any(struct lp_parking *parking)
{
    for (unsigned i = 0; i < parking->words; i++) {
        if (atomic_load_explicit(&parking->bits[i], memory_order_relaxed)) {
            return true;
        }
    }
    return false;
}

/* Wakes every sleeper. */
void lp_parking_wake_all(struct lp_parking *parking);

#endif
