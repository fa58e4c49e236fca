/* SPDX-License-Identifier: MIT */
/* Owns groups: the counter, the first error, who is told of zero. Any thread enters.
 *
 * All that matters is in one word: the count, whether anybody waits, the first error, whether it has
 * been reported. So whoever sees a count of zero may free the group: the compare-exchange that made
 * it zero was the last touch. With waiters, their list is taken before that compare-exchange, under
 * a lock that is not the group's own, and they are woken after it, with no lock held.
 *
 * A status is reported where zero is seen: by the compare-exchange that makes it zero, if there are
 * waiters, and otherwise by who comes and finds zero. The first job to join after that begins a new
 * life, without the error. An error that nobody has seen stays. */
#include "job/group.h"

#include "base/error.h"
#include "base/self.h"
#include "job/job.h"
#include "loop/loop.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

/* The lower half of the word; the upper one is the first error. */
#define COUNT_MASK 0x0fffffffull
#define HAS_IO 0x10000000ull     /* loops watch for jobs of it, or have, since the count was zero */
#define CANCELLED 0x20000000ull  /* loomp_group_cancel, since the count was last zero */
#define REPORTED 0x40000000ull   /* somebody has been told the status; only with a count of zero */
#define WAITED_FOR 0x80000000ull /* the list of waiters is not empty */

enum { LOCKS = 64 };

/* Each guards the lists of the groups that hash to it. Only those who wait, who look for what they
 * could do meanwhile, and the job that ends a wait, take one. */
static pthread_mutex_t locks[LOCKS] = {[0 ... LOCKS - 1] = PTHREAD_MUTEX_INITIALIZER};

static pthread_mutex_t *lock_of(const loomp_group *group)
{
    uintptr_t address = (uintptr_t)group;
    return &locks[(address >> 4 ^ address >> 10) % LOCKS];
}

void lp_group_lock(const loomp_group *group)
{
    pthread_mutex_lock(lock_of(group));
}

void lp_group_unlock(const loomp_group *group)
{
    pthread_mutex_unlock(lock_of(group));
}

static int32_t status_in(uint64_t word)
{
    return (int32_t)(uint32_t)(word >> 32);
}

int loomp_group_init(loomp_group *group, loomp_runtime *runtime)
{
    if (!group || !runtime) {
        return lp_fail(-EINVAL, "loomp_group_init: the %s is NULL", group ? "runtime" : "group");
    }
    memset(group, 0, sizeof *group);
    group->runtime_ = runtime;
    return 0;
}

void loomp_group_fini(loomp_group *group)
{
    if (group) {
        group->runtime_ = NULL;
    }
}

void lp_group_join(loomp_group *group)
{
    struct lp_group_words *words = lp_group_words(group);
    uint64_t word = atomic_load_explicit(&words->word, memory_order_relaxed);
    uint64_t next;
    do {
        if (word & COUNT_MASK) {
            next = word + 1;
        } else {
            next = word & REPORTED ? 1 : (word & ~(CANCELLED | HAS_IO)) + 1;
        }
    } while (!atomic_compare_exchange_weak_explicit(&words->word, &word, next,
                                                    memory_order_relaxed, memory_order_relaxed));
}

void lp_group_note_io(loomp_group *group)
{
    /* relaxed: on the same word as a cancellation, so either that sees it, or the job, before it waits,
     * sees the cancellation */
    atomic_fetch_or_explicit(&lp_group_words(group)->word, HAS_IO, memory_order_relaxed);
}

bool lp_group_try_join(loomp_group *group)
{
    struct lp_group_words *words = lp_group_words(group);
    uint64_t word = atomic_load_explicit(&words->word, memory_order_relaxed);
    do {
        if (!(word & COUNT_MASK)) {
            return false;
        }
    } while (!atomic_compare_exchange_weak_explicit(&words->word, &word, word + 1,
                                                    memory_order_relaxed, memory_order_relaxed));
    return true;
}

static uint64_t with_status(uint64_t word, int32_t status)
{
    return status && !status_in(word) ? word | (uint64_t)(uint32_t)status << 32 : word;
}

/* Nobody waits for these any more: takes each off the list, which the caller has emptied. */
static void unlink_all(struct lp_waiter *list)
{
    for (struct lp_waiter *waiter = list; waiter; waiter = waiter->next) {
        waiter->link = NULL;
    }
}

/* Jobs that start after the group first: they still hang on the list of what their own group waits for,
 * and who waits for this group may free it when it wakes up. */
static void wake_all(struct lp_waiter *list, int32_t status)
{
    struct lp_waiter *others = NULL;
    while (list) {
        struct lp_waiter *waiter = list;
        list = waiter->next;
        waiter->status = status;
        if (waiter->kind == LP_WAITER_PENDING) {
            waiter->wake(waiter); /* it may be gone from here on */
        } else {
            waiter->next = others;
            others = waiter;
        }
    }
    lp_waiters_wake(others);
}

/* Leaves a group that is waited for. Returns the word that this has left. */
static uint64_t leave_with_waiters(loomp_group *group, int32_t status)
{
    struct lp_group_words *words = lp_group_words(group);
    lp_group_lock(group);
    struct lp_waiter *list = words->waiters;
    uint64_t word = atomic_load_explicit(&words->word, memory_order_relaxed);
    uint64_t next;
    do {
        next = with_status(word, status) - 1;
        if (!(next & COUNT_MASK)) {
            words->waiters = NULL; /* put back below if somebody joins meanwhile */
            next &= ~WAITED_FOR;
            next |= list ? REPORTED : 0;
        } else {
            words->waiters = list;
        }
        /* acq_rel: all that the jobs did is seen by who sees zero */
    } while (!atomic_compare_exchange_weak_explicit(&words->word, &word, next,
                                                    memory_order_acq_rel, memory_order_relaxed));
    /* With zero the group may be gone from here on. */
    if (!(next & COUNT_MASK)) {
        unlink_all(list);
    }
    lp_group_unlock(group);
    if (!(next & COUNT_MASK)) {
        wake_all(list, status_in(next));
    }
    return next;
}

void lp_group_leave(loomp_group *group, int32_t status)
{
    struct lp_group_words *words = lp_group_words(group);
    bool cancels = status && group->flags & LOOMP_GROUP_CANCEL_ON_ERROR;
    uint64_t word = atomic_load_explicit(&words->word, memory_order_relaxed);
    uint64_t next;
    do {
        if ((word & COUNT_MASK) == 1 && (word & WAITED_FOR)) {
            next = leave_with_waiters(group, status);
            break;
        }
        next = with_status(word, status) - 1;
    } while (!atomic_compare_exchange_weak_explicit(&words->word, &word, next,
                                                    memory_order_acq_rel, memory_order_relaxed));
    /* The first error cancels; later ones, as of those that this ends, change nothing. */
    if (cancels && !status_in(word) && next & HAS_IO && next & COUNT_MASK) {
        lp_ios_reconsider();
    }
}

bool lp_group_report(loomp_group *group, int32_t *status)
{
    struct lp_group_words *words = lp_group_words(group);
    /* acquire: all that the jobs did */
    uint64_t word = atomic_load_explicit(&words->word, memory_order_acquire);
    do {
        if (word & COUNT_MASK) {
            return false;
        }
        *status = status_in(word);
    } while (!(word & REPORTED) &&
             !atomic_compare_exchange_weak_explicit(&words->word, &word, word | REPORTED,
                                                    memory_order_acquire, memory_order_acquire));
    return true;
}

bool lp_group_add_waiter(loomp_group *group, struct lp_waiter *waiter, int32_t *status)
{
    struct lp_group_words *words = lp_group_words(group);
    uint64_t word;
    do {
        if (lp_group_report(group, status)) {
            return false;
        }
        word = atomic_load_explicit(&words->word, memory_order_relaxed);
        /* seq_cst: a helper then looks for work once more, and who offers work looks for waiters
         * after it has queued it. */
    } while (!(word & COUNT_MASK) ||
             !atomic_compare_exchange_weak_explicit(&words->word, &word, word | WAITED_FOR,
                                                    memory_order_seq_cst, memory_order_relaxed));
    lp_waiter_insert(&words->waiters, waiter);
    return true;
}

void lp_group_remove_waiter(loomp_group *group, struct lp_waiter *waiter)
{
    struct lp_group_words *words = lp_group_words(group);
    *waiter->link = waiter->next;
    if (waiter->next) {
        waiter->next->link = waiter->link;
    }
    waiter->link = NULL;
    if (!words->waiters) {
        atomic_fetch_and_explicit(&words->word, ~WAITED_FOR, memory_order_relaxed);
    }
}

bool lp_group_wait_with(loomp_group *group, struct lp_waiter *waiter, int32_t *status)
{
    lp_group_lock(group);
    bool waits = lp_group_add_waiter(group, waiter, status);
    lp_group_unlock(group);
    return waits;
}

bool lp_group_is_waited_for(loomp_group *group)
{
    /* seq_cst: pairs with lp_group_add_waiter; the push before this was seq_cst too */
    return atomic_load_explicit(&lp_group_words(group)->word, memory_order_seq_cst) & WAITED_FOR;
}

/* ---- cancellation ------------------------------------------------------------------------------- */

bool lp_group_is_cancelled(loomp_group *group)
{
    /* relaxed: a wish, which orders nothing */
    uint64_t word = atomic_load_explicit(&lp_group_words(group)->word, memory_order_relaxed);
    return word & CANCELLED || (group->flags & LOOMP_GROUP_CANCEL_ON_ERROR && status_in(word));
}

/* Marks a group that is not empty, and joins it. */
static bool mark_cancelled(loomp_group *group)
{
    struct lp_group_words *words = lp_group_words(group);
    uint64_t word = atomic_load_explicit(&words->word, memory_order_relaxed);
    do {
        if (!(word & COUNT_MASK)) {
            return false;
        }
    } while (!atomic_compare_exchange_weak_explicit(&words->word, &word, (word + 1) | CANCELLED,
                                                    memory_order_seq_cst, memory_order_relaxed));
    return true;
}

void loomp_group_cancel(loomp_group *group)
{
    struct lp_ledger *ledger = &lp_tracked;
    if (!group || !group->runtime_ ||
        atomic_load_explicit(&ledger->gate, memory_order_relaxed) == LP_GATE_CHILD) {
        return;
    }
    /* First this call is counted and then the group is found not to be empty: so something was under
     * way after the counting, and the pools stay until the call has finished. */
    lp_ledger_hold(ledger);
    if (mark_cancelled(group)) {
        lp_jobs_withdraw(group->runtime_, group);
        /* relaxed: the marking was on the same word */
        if (atomic_load_explicit(&lp_group_words(group)->word, memory_order_relaxed) & HAS_IO) {
            lp_ios_reconsider();
        }
        lp_group_leave(group, 0); /* the group may be gone from here on */
    }
    lp_ledger_finish(ledger);
}

/* ---- notification ------------------------------------------------------------------------------- */

static void run_notification(struct lp_item *item)
{
    struct lp_group_words *words =
        (struct lp_group_words *)(void *)((char *)item - offsetof(struct lp_group_words, item));
    loomp_group *group = LOOMP_CONTAINER(words, loomp_group, private_);
    loomp_group_fn fn = words->fn;
    loomp_loop *loop = atomic_load_explicit(&words->loop, memory_order_relaxed);
    void *arg = words->arg;
    int32_t status = words->waiter.status;
    struct lp_ledger *ledger = &lp_tracked;
    atomic_store_explicit(&words->loop, NULL, memory_order_release);
    lp_self.inside++;
    fn(group, status, arg); /* the group may be gone from here on */
    lp_self.inside--;
    lp_loop_settle(loop);
    lp_ledger_finish(ledger);
}

static void wake_notification(struct lp_waiter *waiter)
{
    struct lp_group_words *words =
        (struct lp_group_words *)(void *)((char *)waiter - offsetof(struct lp_group_words, waiter));
    /* relaxed: handed over with the waiter */
    lp_loop_push(atomic_load_explicit(&words->loop, memory_order_relaxed), &words->item);
}

int loomp_group_notify(loomp_group *group, loomp_loop *loop, loomp_group_fn fn, void *arg)
{
    if (!group || !loop || !fn) {
        return lp_fail(-EINVAL, "loomp_group_notify: the %s is NULL",
                       !group ? "group" : loop ? "function" : "loop");
    }
    struct lp_group_words *words = lp_group_words(group);
    struct lp_ledger *ledger = &lp_tracked;
    int err = lp_ledger_accept(ledger);
    if (err) {
        return err;
    }
    loomp_loop *none = NULL;
    if (!atomic_compare_exchange_strong_explicit(&words->loop, &none, loop, memory_order_acquire,
                                                 memory_order_relaxed)) {
        lp_ledger_finish(ledger);
        lp_ledger_finish(ledger);
        return lp_fail(-EBUSY, "loomp_group_notify: a notification of this group is pending");
    }
    words->item.run = run_notification;
    words->waiter = (struct lp_waiter){.wake = wake_notification};
    words->fn = fn;
    words->arg = arg;
    lp_loop_expect(loop);
    int32_t status;
    if (!lp_group_wait_with(group, &words->waiter, &status)) {
        words->waiter.status = status;
        wake_notification(&words->waiter);
    }
    lp_ledger_finish(ledger); /* this call; the group may be gone from here on */
    return 0;
}
