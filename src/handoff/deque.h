/* SPDX-License-Identifier: MIT */
/* The local queue of a worker: bounded, no locks, no allocation after init. One thread, the owner,
 * puts items in and takes the newest; other threads, the thieves, take the oldest; and any thread
 * takes an item out of the middle, by its ticket (to cancel it) or by its tag (to help with the
 * jobs of one group). At most one of pop, pop_tagged, steal, withdraw and take_tagged gets an
 * item. */
#ifndef LP_HANDOFF_DEQUE_H
#define LP_HANDOFF_DEQUE_H

#include "base/platform.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LP_DEQUE_FULL = 1 };

struct lp_deque_cell {
    _Atomic uint64_t word; /* stamp << 1, and LP_DEQUE_FULL while an item waits in it */
    /* Written by the owner before the word says full, read by anybody who has seen it; relaxed,
     * because a reader whose compare-exchange of the word then fails throws them away. */
    _Atomic(void *) item;
    _Atomic(const void *) tag;
    uint64_t unused; /* two cells to a line of 64 bytes */
};

struct lp_deque {
    struct lp_deque_cell *cells;
    uint64_t mask;
    unsigned shift; /* capacity == 1 << shift */
    /* The owner's: bottom is written by it and read by all, the rest is its alone. Thieves move
     * top, which must not share a line with what the owner writes all the time. */
    LP_OWN_LINE _Atomic uint64_t bottom; /* above every item */
    uint64_t high;                       /* the indices from here on were never used */
    uint64_t stamp;                      /* how often a cell was filled */
    uint64_t top_seen;                   /* top, or what it was */
    LP_OWN_LINE _Atomic uint64_t top;    /* no item is below; only grows */
};

/* capacity: how many items may wait, rounded up to a power of two, at least 2. 0 or -ENOMEM. */
int lp_deque_init(struct lp_deque *deque, unsigned capacity);
void lp_deque_fini(struct lp_deque *deque);

/* Owner. Puts an item in; false: the deque is full. What was taken out by ticket or tag counts as
 * long as there are both older and newer items.
 *
 * *ticket (for lp_deque_withdraw) is written before anybody can get the item, and not after
 * somebody has: the item may be gone on return. It can be written more than once, and also if the
 * answer is false. 0 is nobody's ticket. The publication is ordered before the caller's later
 * seq_cst loads (a seq_cst store follows it). */
bool lp_deque_push(struct lp_deque *deque, void *item, const void *tag, uint64_t *ticket);

/* Owner. The newest item; NULL: empty. */
void *lp_deque_pop(struct lp_deque *deque);

/* Owner. The newest item if that is its tag, otherwise NULL. */
void *lp_deque_pop_tagged(struct lp_deque *deque, const void *tag);

/* The oldest item. NULL only if there was none at some moment during the call. */
void *lp_deque_steal(struct lp_deque *deque);

/* Takes the item with that ticket out if it still waits; false for a ticket however old. */
bool lp_deque_withdraw(struct lp_deque *deque, uint64_t ticket);

/* Takes out the oldest item with that tag. NULL only if none waited during the whole call. */
void *lp_deque_take_tagged(struct lp_deque *deque, const void *tag);

/* How many items wait; what others do meanwhile may be seen or not. */
unsigned lp_deque_count(struct lp_deque *deque);

/* Whether something may be waiting. The loads of top and bottom are seq_cst, so that it can be the
 * second look before a sleep: after a push whose store of bottom these loads follow, the word of a
 * cell below that bottom is seen full, or as what came later. The cell of an item that the owner
 * took as the last one stays below bottom and does not count; if more such cells follow, the answer
 * is true, and a steal passes them. */
static inline bool lp_deque_maybe_nonempty(struct lp_deque *deque)
{
    uint64_t top = atomic_load_explicit(&deque->top, memory_order_seq_cst);
    uint64_t bottom = atomic_load_explicit(&deque->bottom, memory_order_seq_cst);
    if (top + 1 != bottom) {
        return top < bottom;
    }
    return atomic_load_explicit(&deque->cells[top & deque->mask].word, memory_order_acquire) &
           LP_DEQUE_FULL;
}

#endif
