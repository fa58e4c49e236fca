/* SPDX-License-Identifier: MIT */
/* What was accepted long before it could be queued, and then found its queue full: a list without a
 * limit, because the items bring their own links. Oldest first. */
#ifndef LP_HANDOFF_OVERFLOW_H
#define LP_HANDOFF_OVERFLOW_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Embedded in what is put in. */
struct lp_overflow_link {
    struct lp_overflow_link *next;
    void *item;
    const void *tag;
};

struct lp_overflow {
    pthread_mutex_t lock; /* guards the list; taken only while something is in it */
    struct lp_overflow_link *first;
    struct lp_overflow_link **last;
    /* How many are in the list. Written under the lock, read by whoever looks for work; seq_cst, like
     * the words of a ring, because it is looked at a second time before a sleep. */
    _Atomic uint32_t count;
};

void lp_overflow_init(struct lp_overflow *overflow);
void lp_overflow_fini(struct lp_overflow *overflow);

/* Never fails. The item may be gone when this returns. */
void lp_overflow_put(struct lp_overflow *overflow, struct lp_overflow_link *link, void *item,
                     const void *tag);

/* The oldest item, or the oldest with that tag; NULL if there is none. */
void *lp_overflow_take(struct lp_overflow *overflow);
void *lp_overflow_take_tagged(struct lp_overflow *overflow, const void *tag);

static inline bool lp_overflow_maybe_nonempty(struct lp_overflow *overflow)
{
    return atomic_load_explicit(&overflow->count, memory_order_seq_cst);
}

#endif
