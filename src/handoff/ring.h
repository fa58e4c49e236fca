/* SPDX-License-Identifier: MIT */
/* An injection queue: bounded, first in first out, any number of producers and consumers, no locks,
 * no allocation after init. An item that waits in it can also be taken out of the middle, by its
 * position (to cancel it) or by its tag (to help with the jobs of one group). */
#ifndef LP_HANDOFF_RING_H
#define LP_HANDOFF_RING_H

#include "base/platform.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lp_ring_cell;

struct lp_ring {
    struct lp_ring_cell *cells;
    uint64_t mask;
    unsigned shift; /* capacity == 1 << shift */
    uint64_t limit;
    /* Producers and consumers move different words, which must not share a line. */
    LP_OWN_LINE _Atomic uint64_t tail; /* the next position to fill */
    LP_OWN_LINE _Atomic uint64_t head; /* the next position to empty */
    /* Threads that wait for room (queue_policy = "block"), and what they sleep on. */
    _Atomic uint32_t room_wanted;
    _Atomic uint32_t room_epoch;
};

/* limit: how many items may wait. 0 or -ENOMEM. */
int lp_ring_init(struct lp_ring *ring, uint64_t limit);
void lp_ring_fini(struct lp_ring *ring);

/* Puts an item in. Before anybody can see the item, its position (for lp_ring_withdraw) is stored in
 * *position. False: `limit` items are waiting. The publication is ordered before the caller's later
 * seq_cst loads (it ends with a seq_cst store). */
bool lp_ring_push(struct lp_ring *ring, void *item, const void *tag, uint64_t *position);

/* The same, with a note that lp_ring_pop_if and lp_ring_peek read without touching the item. */
bool lp_ring_push_noted(struct lp_ring *ring, void *item, const void *tag, uint64_t note,
                        uint64_t *position);

/* The oldest item that is completely in, or NULL. */
void *lp_ring_pop(struct lp_ring *ring);

/* The same if `wanted` says so of its note, else NULL. */
void *lp_ring_pop_if(struct lp_ring *ring, bool (*wanted)(uint64_t note, const void *arg),
                     const void *arg);

/* The note of the item that waits `behind` places behind the oldest; false if there is none there, or
 * one that was taken out. A snapshot. */
bool lp_ring_peek(struct lp_ring *ring, uint64_t behind, uint64_t *note);

/* How many items wait, those included that were taken out of the middle. A snapshot. */
static inline uint64_t lp_ring_count(struct lp_ring *ring)
{
    uint64_t head = atomic_load_explicit(&ring->head, memory_order_seq_cst);
    uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_seq_cst);
    return tail > head ? tail - head : 0;
}

/* Takes the item at a position out if it still waits there. At most one of pop, withdraw and
 * take_tagged gets an item. */
bool lp_ring_withdraw(struct lp_ring *ring, uint64_t position);

/* Takes out the oldest item with that tag at or after *cursor, and moves the cursor so that the next
 * call does not look at the same cells again. Start with a cursor of 0. */
void *lp_ring_take_tagged(struct lp_ring *ring, const void *tag, uint64_t *cursor);

/* Whether something may be waiting; what others do meanwhile may be seen or not. seq_cst, so that it
 * can be the second look before a sleep. */
static inline bool lp_ring_maybe_nonempty(struct lp_ring *ring)
{
    return atomic_load_explicit(&ring->head, memory_order_seq_cst) !=
           atomic_load_explicit(&ring->tail, memory_order_seq_cst);
}

/* Sleeps until there may be room (deadline as lp_futex_wait's). */
void lp_ring_wait_for_room(struct lp_ring *ring, uint64_t deadline_ns);

#endif
