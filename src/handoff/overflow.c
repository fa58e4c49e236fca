/* SPDX-License-Identifier: MIT */
/* Owns the list beside a full queue. Any thread enters every function but init and fini. A lock is
 * enough here: the way in is rare, and who looks at an empty list takes none. */
#include "handoff/overflow.h"

#include <stddef.h>

void lp_overflow_init(struct lp_overflow *overflow)
{
    pthread_mutex_init(&overflow->lock, NULL);
    overflow->first = NULL;
    overflow->last = &overflow->first;
    atomic_init(&overflow->count, 0);
}

void lp_overflow_fini(struct lp_overflow *overflow)
{
    pthread_mutex_destroy(&overflow->lock);
}

void lp_overflow_put(struct lp_overflow *overflow, struct lp_overflow_link *link, void *item,
                     const void *tag)
{
    *link = (struct lp_overflow_link){.item = item, .tag = tag};
    pthread_mutex_lock(&overflow->lock);
    *overflow->last = link;
    overflow->last = &link->next;
    atomic_fetch_add_explicit(&overflow->count, 1, memory_order_seq_cst);
    pthread_mutex_unlock(&overflow->lock);
}

static void *take(struct lp_overflow *overflow, bool any, const void *tag)
{
    void *item = NULL;
    if (!lp_overflow_maybe_nonempty(overflow)) {
        return NULL;
    }
    pthread_mutex_lock(&overflow->lock);
    for (struct lp_overflow_link **at = &overflow->first; *at; at = &(*at)->next) {
        struct lp_overflow_link *link = *at;
        if (any || link->tag == tag) {
            item = link->item;
            *at = link->next;
            if (overflow->last == &link->next) {
                overflow->last = at;
            }
            atomic_fetch_sub_explicit(&overflow->count, 1, memory_order_seq_cst);
            break;
        }
    }
    pthread_mutex_unlock(&overflow->lock);
    return item;
}

void *lp_overflow_take(struct lp_overflow *overflow)
{
    return take(overflow, true, NULL);
}

void *lp_overflow_take_tagged(struct lp_overflow *overflow, const void *tag)
{
    return take(overflow, false, tag);
}
