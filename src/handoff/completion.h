/* SPDX-License-Identifier: MIT */
/* A stack that any thread pushes to and one consumer takes whole, in the order of the pushes.
 * Completions and posts reach their loop this way. */
#ifndef LP_HANDOFF_COMPLETION_H
#define LP_HANDOFF_COMPLETION_H

#include "base/platform.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

/* Embedded in whatever is handed over; run is called by the consumer. */
struct lp_item {
    struct lp_item *next;
    void (*run)(struct lp_item *item);
};

struct lp_completions {
    /* Pushed by anybody (release), taken by the consumer (acquire). seq_cst, because whoever pushes
     * onto an empty stack is the one who wakes the consumer, and a consumer that is about to sleep
     * looks here after it has announced that. */
    LP_OWN_LINE _Atomic(struct lp_item *) top;
};

static inline void lp_completions_init(struct lp_completions *stack)
{
    atomic_init(&stack->top, NULL);
}

/* True if the stack was empty: then it is the caller who wakes the consumer. The item may be gone
 * from here on. */
bool lp_completions_push(struct lp_completions *stack, struct lp_item *item);

/* Everything that was pushed, oldest first. */
struct lp_item *lp_completions_take(struct lp_completions *stack);

static inline bool lp_completions_empty(struct lp_completions *stack)
{
    return !atomic_load_explicit(&stack->top, memory_order_seq_cst);
}

#endif
