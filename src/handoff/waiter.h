/* SPDX-License-Identifier: MIT */
/* Everything that can wait, waits through this: a thread that sleeps, a loop that wants a call,
 * later a suspended fiber. Groups and the ledger know only `wake`. */
#ifndef LP_HANDOFF_WAITER_H
#define LP_HANDOFF_WAITER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct lp_waiter {
    struct lp_waiter *next;  /* of whoever it waits for */
    struct lp_waiter **link; /* on the list of a group: what points to it; else NULL */
    /* Called once per registration, on any thread, sometimes with a lock of ours held: it does not
     * block, and it calls no user code. The waiter may be gone when it returns. */
    void (*wake)(struct lp_waiter *waiter);
    int32_t status; /* set by the waker: what the wait came to */
    uint32_t kind;  /* LP_WAITER_*: what it is part of, for walks over the wait graph (job/graph.h) */
};

enum { LP_WAITER_PLAIN = 0, LP_WAITER_EDGE, LP_WAITER_PENDING };

enum { LP_ASLEEP = 0, LP_WOKEN, LP_STIRRED };

/* A thread that sleeps. */
struct lp_thread_waiter {
    struct lp_waiter waiter;
    /* LP_WOKEN is the end: written by the waker (release) as its last touch but for the futex call,
     * which needs only the address. LP_STIRRED is not: whoever writes it keeps the sleeper from
     * going away, by a lock. Read by the sleeper (acquire). */
    _Atomic uint32_t woken;
};

/* Before each registration. */
void lp_thread_waiter_init(struct lp_thread_waiter *waiter);

/* Makes it look round, though its wait goes on. With a lock that keeps it from going away. */
void lp_thread_waiter_stir(struct lp_thread_waiter *waiter);

/* It has looked round: the next sleep is one again, unless the end has come. */
void lp_thread_waiter_settle(struct lp_thread_waiter *waiter);

/* A limit of a wait as loomp's interface has it (lp_is_no_limit): by lp_clock_ns on the threads of the
 * pools, whose waits a test with a clock of its own sees, by lp_now_ns on others. */
uint64_t lp_wait_deadline_ns(double timeout_s);

/* Sleeps until woken or stirred (true) or past the deadline (of lp_wait_deadline_ns, UINT64_MAX:
 * none). */
bool lp_thread_waiter_sleep(struct lp_thread_waiter *waiter, uint64_t deadline_ns);

static inline bool lp_thread_waiter_woken(struct lp_thread_waiter *waiter)
{
    return atomic_load_explicit(&waiter->woken, memory_order_acquire);
}

/* Wakes every waiter of a list that was taken off; each may be gone once it is woken. */
void lp_waiters_wake(struct lp_waiter *list);

#endif
