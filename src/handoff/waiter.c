/* SPDX-License-Identifier: MIT */
/* Owns the waiting of threads on a waiter of their own. */
#include "handoff/waiter.h"

#include "base/clock.h"
#include "base/futex.h"
#include "base/self.h"
#include "base/sleeper.h"

#include <stddef.h>

static void wake_thread(struct lp_waiter *waiter)
{
    struct lp_thread_waiter *thread = (struct lp_thread_waiter *)(void *)waiter;
    _Atomic uint32_t *word = &thread->woken;
    atomic_store_explicit(word, LP_WOKEN, memory_order_release);
    /* The waiter may be gone from here on; the wake-up needs only the number of its address. */
    lp_futex_wake(word, 1);
}

void lp_thread_waiter_init(struct lp_thread_waiter *waiter)
{
    waiter->waiter = (struct lp_waiter){.wake = wake_thread};
    atomic_init(&waiter->woken, LP_ASLEEP);
}

void lp_thread_waiter_stir(struct lp_thread_waiter *waiter)
{
    uint32_t asleep = LP_ASLEEP; /* the end, if it has come, must stay */
    if (atomic_compare_exchange_strong_explicit(&waiter->woken, &asleep, LP_STIRRED,
                                                memory_order_release, memory_order_relaxed)) {
        lp_futex_wake(&waiter->woken, 1);
    }
}

void lp_thread_waiter_settle(struct lp_thread_waiter *waiter)
{
    uint32_t stirred = LP_STIRRED;
    /* acquire: what the stirrer did before is seen */
    atomic_compare_exchange_strong_explicit(&waiter->woken, &stirred, LP_ASLEEP,
                                            memory_order_acquire, memory_order_relaxed);
}

uint64_t lp_wait_deadline_ns(double timeout_s)
{
    return lp_self.sleeper ? lp_clock_deadline_ns(timeout_s) : lp_deadline_ns(timeout_s);
}

/* Behind the jobs whose time comes at the same moment: who waits for them is not too late. */
static bool wait(_Atomic uint32_t *word, uint64_t deadline_ns)
{
    bool has_virtual_limit = deadline_ns != UINT64_MAX && lp_self.sleeper && lp_clock_is_virtual();
    return has_virtual_limit ? lp_sleeper_wait_until(word, LP_ASLEEP, deadline_ns, UINT64_MAX)
                             : lp_futex_wait(word, LP_ASLEEP, deadline_ns);
}

bool lp_thread_waiter_sleep(struct lp_thread_waiter *waiter, uint64_t deadline_ns)
{
    while (!lp_thread_waiter_woken(waiter)) {
        if (!wait(&waiter->woken, deadline_ns)) {
            return lp_thread_waiter_woken(waiter);
        }
    }
    return true;
}

void lp_waiters_wake(struct lp_waiter *list)
{
    while (list) {
        struct lp_waiter *next = list->next;
        list->wake(list);
        list = next;
    }
}
