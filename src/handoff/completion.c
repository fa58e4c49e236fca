/* SPDX-License-Identifier: MIT */
/* Owns the completion stack. Producers never wait for each other or for the consumer; because the
 * consumer takes the whole stack at once there is no ABA. */
#include "handoff/completion.h"

bool lp_completions_push(struct lp_completions *stack, struct lp_item *item)
{
    struct lp_item *top = atomic_load_explicit(&stack->top, memory_order_relaxed);
    do {
        item->next = top;
    } while (!atomic_compare_exchange_weak_explicit(&stack->top, &top, item, memory_order_seq_cst,
                                                    memory_order_relaxed));
    return !top;
}

struct lp_item *lp_completions_take(struct lp_completions *stack)
{
    struct lp_item *item = NULL;
    if (atomic_load_explicit(&stack->top, memory_order_relaxed)) {
        item = atomic_exchange_explicit(&stack->top, NULL, memory_order_seq_cst);
    }
    struct lp_item *oldest = NULL;
    while (item) {
        struct lp_item *next = item->next;
        item->next = oldest;
        oldest = item;
        item = next;
    }
    return oldest;
}
