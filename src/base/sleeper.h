/* SPDX-License-Identifier: MIT */
/* What can be seen of a thread's sleep. A test with a clock of its own (runtime/virtual_time.c) goes on
 * to the next moment when every thread of the pools sleeps and nobody has woken it; and some sleep
 * until a time of that clock.
 *
 * Why a thread that has been woken never looks asleep:
 *
 *   sleeper                                   waker
 *   1 called = 0, word = what it sleeps on    1 changes *word
 *   2 adds to `meetings`                      2 adds to `meetings`
 *   3 looks at *word: if it has changed, it   3 who has this `word` gets called = 1
 *     goes back without having slept
 *   4 turns becomes odd, and it sleeps        4 wakes all who sleep on it
 *
 * Of the two steps 2, which change one word (acq_rel), one comes first: if it is the sleeper's, the waker
 * finds it in step 3; if it is the waker's, the sleeper sees the change in step 3. Outside of such tests
 * step 2 is left out, and 3 of the waker: nobody looks, and such a test begins when all sleep. */
#ifndef LP_BASE_SLEEPER_H
#define LP_BASE_SLEEPER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct lp_sleeper {
    struct lp_sleeper *next; /* on the list of all: guarded by its lock */
    /* Written by the thread, read by wakers and by who watches; all seq_cst, so that who watches sees them
     * in their order. */
    _Atomic uintptr_t word;
    _Atomic uint64_t turns; /* odd: asleep; grows with every sleep and every end of one */
    _Atomic uint32_t timed; /* 1: the machine's clock ends it */
    _Atomic uint64_t until_ns; /* of the virtual clock; UINT64_MAX: only who wakes it ends it */
    _Atomic uint64_t order;    /* of several that end at one time, the lowest ends first */
    _Atomic uint32_t called;   /* 1: it has been woken. Set by wakers, cleared by the thread */
};

/* Puts one on the list of all, or takes it off. Any thread. */
void lp_sleeper_add(struct lp_sleeper *sleeper);
void lp_sleeper_remove(struct lp_sleeper *sleeper);

/* On a thread of a pool's, with virtual time: as lp_futex_wait, but the deadline is of that clock. */
bool lp_sleeper_wait_until(_Atomic uint32_t *word, uint32_t expected, uint64_t until_ns,
                           uint64_t order);

/* Wakes it because its time has come. To be repeated until it has left: a call that comes before it is
 * in the kernel is lost. */
void lp_sleeper_call(struct lp_sleeper *sleeper);

static inline bool lp_sleeper_is_asleep(struct lp_sleeper *sleeper)
{
    return atomic_load_explicit(&sleeper->turns, memory_order_seq_cst) % 2 == 1 &&
           !atomic_load_explicit(&sleeper->called, memory_order_seq_cst) &&
           !atomic_load_explicit(&sleeper->timed, memory_order_seq_cst);
}

#endif
