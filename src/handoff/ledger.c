/* SPDX-License-Identifier: MIT */
/* Owns the counts of accepted and finished work. Any thread enters; the lock is taken only by those
 * who wait for idle and by who wakes them. The argument is in the header. */
#include "handoff/ledger.h"

#include "base/error.h"
#include "base/self.h"

#include <errno.h>

struct lp_ledger lp_tracked = {.lock = PTHREAD_MUTEX_INITIALIZER};
struct lp_ledger lp_untracked = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* Which line this thread counts on: handed out in turn, so neighbours rarely share. */
static unsigned line_of_thread(void)
{
    static _Atomic unsigned next;
    static _Thread_local unsigned mine __attribute__((tls_model("initial-exec")));
    if (!mine) {
        mine = atomic_fetch_add_explicit(&next, 1, memory_order_relaxed) % LP_LEDGER_LINES + 1;
    }
    return mine - 1;
}

int lp_ledger_check(struct lp_ledger *ledger)
{
    switch (atomic_load_explicit(&ledger->gate, memory_order_seq_cst)) {
    case LP_GATE_OPEN:
    case LP_GATE_SHUT:
        return 0;
    case LP_GATE_CHILD:
        return lp_fail(-EOWNERDEAD, "loomp was started by the parent process; a forked child "
                                    "cannot use it");
    default:
        return lp_fail(-ESHUTDOWN, "the runtime is stopped");
    }
}

static uint64_t sum_finished(struct lp_ledger *ledger)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < LP_LEDGER_LINES; i++) {
        sum += atomic_load_explicit(&ledger->lines[i].finished, memory_order_seq_cst);
    }
    return sum;
}

static uint64_t sum_accepted(struct lp_ledger *ledger)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < LP_LEDGER_LINES; i++) {
        sum += atomic_load_explicit(&ledger->lines[i].accepted, memory_order_seq_cst);
    }
    return sum;
}

uint64_t lp_ledger_pending(struct lp_ledger *ledger)
{
    uint64_t finished = sum_finished(ledger);
    return sum_accepted(ledger) - finished;
}

bool lp_ledger_idle(struct lp_ledger *ledger)
{
    return lp_ledger_pending(ledger) == 0;
}

bool lp_ledgers_idle(void)
{
    uint64_t finished = sum_finished(&lp_tracked) + sum_finished(&lp_untracked);
    return sum_accepted(&lp_tracked) + sum_accepted(&lp_untracked) == finished;
}

/* Wakes who watches, if idle. Under the lock, so that unwatch can promise that a waiter is left
 * alone; `wake` calls no user code. */
static void wake_watchers_if_idle(struct lp_ledger *ledger)
{
    if (!lp_ledger_idle(ledger)) {
        return;
    }
    pthread_mutex_lock(&ledger->lock);
    /* Look again: who is in the list now may have come, with new work, since the first look. */
    if (lp_ledger_idle(ledger)) {
        struct lp_waiter *list = ledger->list;
        ledger->list = NULL;
        atomic_store_explicit(&ledger->watchers, 0, memory_order_seq_cst);
        lp_waiters_wake(list);
    }
    pthread_mutex_unlock(&ledger->lock);
}

static void finish(struct lp_ledger *ledger, uint64_t entries)
{
    atomic_fetch_add_explicit(&ledger->lines[line_of_thread()].finished, entries,
                              memory_order_seq_cst);
    if (atomic_load_explicit(&ledger->watchers, memory_order_seq_cst)) {
        wake_watchers_if_idle(ledger);
    }
}

void lp_ledger_finish(struct lp_ledger *ledger)
{
    finish(ledger, 1);
}

int lp_ledger_enter(struct lp_ledger *ledger)
{
    if (atomic_load_explicit(&ledger->gate, memory_order_relaxed) == LP_GATE_CHILD) {
        return lp_ledger_check(ledger);
    }
    lp_ledger_hold(ledger); /* seq_cst, before the look at the gate, as in accept */
    int err = lp_ledger_check(ledger);
    if (err) {
        finish(ledger, 1);
    }
    return err;
}

int lp_ledger_accept(struct lp_ledger *ledger)
{
    if (atomic_load_explicit(&ledger->gate, memory_order_relaxed) == LP_GATE_CHILD) {
        return lp_ledger_check(ledger); /* the parent's counts stay as they were */
    }
    atomic_fetch_add_explicit(&ledger->lines[line_of_thread()].accepted, 2, memory_order_seq_cst);
    uint32_t gate = atomic_load_explicit(&ledger->gate, memory_order_seq_cst);
    if (gate == LP_GATE_OPEN || (gate == LP_GATE_SHUT && lp_self.inside)) {
        return 0;
    }
    finish(ledger, 2);
    if (gate == LP_GATE_SHUT) {
        return lp_fail(-ESHUTDOWN, "the runtime is shutting down and takes no work from outside");
    }
    return lp_ledger_check(ledger);
}

void lp_ledger_hold(struct lp_ledger *ledger)
{
    atomic_fetch_add_explicit(&ledger->lines[line_of_thread()].accepted, 1, memory_order_seq_cst);
}

void lp_ledger_settle(struct lp_ledger *ledger)
{
    pthread_mutex_lock(&ledger->lock);
    pthread_mutex_unlock(&ledger->lock);
}

void lp_ledger_watch(struct lp_ledger *ledger, struct lp_waiter *waiter)
{
    pthread_mutex_lock(&ledger->lock);
    waiter->next = ledger->list;
    ledger->list = waiter;
    atomic_fetch_add_explicit(&ledger->watchers, 1, memory_order_seq_cst);
    pthread_mutex_unlock(&ledger->lock);
    wake_watchers_if_idle(ledger);
}

bool lp_ledger_unwatch(struct lp_ledger *ledger, struct lp_waiter *waiter)
{
    bool found = false;
    pthread_mutex_lock(&ledger->lock);
    for (struct lp_waiter **link = &ledger->list; *link; link = &(*link)->next) {
        if (*link == waiter) {
            *link = waiter->next;
            atomic_fetch_sub_explicit(&ledger->watchers, 1, memory_order_seq_cst);
            found = true;
            break;
        }
    }
    pthread_mutex_unlock(&ledger->lock);
    return found;
}
