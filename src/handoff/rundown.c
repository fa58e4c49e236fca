/* SPDX-License-Identifier: MIT */
/* Owns the counting of uses. Any thread enters and leaves; one closes and waits. */
#include "handoff/rundown.h"

#include "base/futex.h"

bool lp_rundown_enter(struct lp_rundown *rundown, unsigned uses, bool inside)
{
    uint32_t before = atomic_fetch_add_explicit(&rundown->word, uses, memory_order_seq_cst);
    if (!(before & LP_RUNDOWN_CLOSED) || (inside && before != LP_RUNDOWN_CLOSED)) {
        return true;
    }
    lp_rundown_leave(rundown, uses);
    return false;
}

void lp_rundown_hold(struct lp_rundown *rundown)
{
    /* The known use keeps the word from being waited for, so nothing is ordered by this. */
    atomic_fetch_add_explicit(&rundown->word, 1, memory_order_relaxed);
}

void lp_rundown_leave(struct lp_rundown *rundown, unsigned uses)
{
    uint32_t before = atomic_fetch_sub_explicit(&rundown->word, uses, memory_order_seq_cst);
    if (before == (LP_RUNDOWN_CLOSED | uses)) {
        /* The word may be gone: only its address is used. */
        lp_futex_wake(&rundown->word, 1);
    }
}

void lp_rundown_close(struct lp_rundown *rundown)
{
    atomic_fetch_or_explicit(&rundown->word, LP_RUNDOWN_CLOSED, memory_order_seq_cst);
}

void lp_rundown_wait(struct lp_rundown *rundown)
{
    uint32_t word;
    while ((word = atomic_load_explicit(&rundown->word, memory_order_seq_cst)) !=
           LP_RUNDOWN_CLOSED) {
        lp_futex_wait(&rundown->word, word, UINT64_MAX);
    }
}
