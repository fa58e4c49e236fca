/* SPDX-License-Identifier: MIT */
/* Owns groups: the counter, the first error, who waits for zero.
 *
 * All that matters is in one word: the count, whether anybody waits, and the first error. So
 * whoever sees a count of zero may free the group: the compare-exchange that made it zero was the
 * last touch. With waiters, their list is taken before that compare-exchange, under a lock that is
 * not the group's own, and they are woken after it. */
#include "base/error.h"
#include "base/self.h"
#include "job/job.h"
#include "loop/loop.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

struct __attribute__((may_alias)) group_words {
    _Atomic uint64_t word;
    struct lp_waiter *waiters; /* guarded by the lock of this group */
    /* The one notification. */
    struct lp_item item;
    struct lp_waiter waiter;
    /* NULL: none pending. Claimed by who asks (compare-exchange), let go of on the loop (release). */
    _Atomic(loomp_loop *) loop;
    loomp_group_fn fn;
    void *arg;
};

_Static_assert(sizeof(struct group_words) <= sizeof(((loomp_group *)0)->private_),
               "a group has room for its words");

#define COUNT_MASK 0x7fffffffull
#define WAITED_FOR 0x80000000ull

enum { LOCKS = 64 };

/* Each guards the lists of the groups that hash to it. Only those who wait, and the job that ends a
 * wait, take one. */
static pthread_mutex_t locks[LOCKS] = {[0 ... LOCKS - 1] = PTHREAD_MUTEX_INITIALIZER};

static pthread_mutex_t *lock_of(const loomp_group *group)
{
    uintptr_t address = (uintptr_t)group;
    return &locks[(address >> 4 ^ address >> 10) % LOCKS];
}

static struct group_words *words_of(loomp_group *group)
{
    return (struct group_words *)(void *)group->private_;
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
    group->runtime_ = NULL;
}

void lp_group_join(loomp_group *group)
{
    struct group_words *words = words_of(group);
    uint64_t word = atomic_load_explicit(&words->word, memory_order_relaxed);
    uint64_t next;
    do {
        /* The first to come forgets the errors of the last time. */
        next = word & COUNT_MASK ? word + 1 : 1;
    } while (!atomic_compare_exchange_weak_explicit(&words->word, &word, next,
                                                    memory_order_relaxed, memory_order_relaxed));
}

static uint64_t with_status(uint64_t word, int32_t status)
{
    return status && !status_in(word) ? word | (uint64_t)(uint32_t)status << 32 : word;
}

static void wake_all(struct lp_waiter *list, int32_t status)
{
    for (struct lp_waiter *waiter = list; waiter; waiter = waiter->next) {
        waiter->status = status;
    }
    lp_waiters_wake(list);
}

/* Leaves a group that is waited for. */
static void leave_with_waiters(loomp_group *group, int32_t status)
{
    struct group_words *words = words_of(group);
    pthread_mutex_t *lock = lock_of(group);
    pthread_mutex_lock(lock);
    struct lp_waiter *list = words->waiters;
    uint64_t word = atomic_load_explicit(&words->word, memory_order_relaxed);
    uint64_t next;
    do {
        next = with_status(word, status) - 1;
        if (!(next & COUNT_MASK)) {
            words->waiters = NULL; /* put back below if somebody joins meanwhile */
            next &= ~WAITED_FOR;
        } else {
            words->waiters = list;
        }
        /* acq_rel: all that the jobs did is seen by who sees zero */
    } while (!atomic_compare_exchange_weak_explicit(&words->word, &word, next,
                                                    memory_order_acq_rel, memory_order_relaxed));
    /* With zero the group may be gone from here on. */
    pthread_mutex_unlock(lock);
    if (!(next & COUNT_MASK)) {
        wake_all(list, status_in(next));
    }
}

void lp_group_leave(loomp_group *group, int32_t status)
{
    struct group_words *words = words_of(group);
    uint64_t word = atomic_load_explicit(&words->word, memory_order_relaxed);
    do {
        if ((word & COUNT_MASK) == 1 && (word & WAITED_FOR)) {
            leave_with_waiters(group, status);
            return;
        }
    } while (!atomic_compare_exchange_weak_explicit(&words->word, &word,
                                                    with_status(word, status) - 1,
                                                    memory_order_acq_rel, memory_order_relaxed));
}

bool lp_group_is_empty(loomp_group *group, int32_t *status)
{
    uint64_t word = atomic_load_explicit(&words_of(group)->word, memory_order_acquire);
    *status = status_in(word);
    return !(word & COUNT_MASK);
}

bool lp_group_wait_with(loomp_group *group, struct lp_waiter *waiter, int32_t *status)
{
    struct group_words *words = words_of(group);
    pthread_mutex_t *lock = lock_of(group);
    pthread_mutex_lock(lock);
    uint64_t word = atomic_load_explicit(&words->word, memory_order_acquire);
    do {
        if (!(word & COUNT_MASK)) {
            pthread_mutex_unlock(lock);
            *status = status_in(word);
            return false;
        }
        /* seq_cst: a helper then looks for work once more, and who offers work looks for waiters
         * after it has queued it. */
    } while (!atomic_compare_exchange_weak_explicit(&words->word, &word, word | WAITED_FOR,
                                                    memory_order_seq_cst, memory_order_acquire));
    waiter->next = words->waiters;
    words->waiters = waiter;
    pthread_mutex_unlock(lock);
    return true;
}

/* With the lock held: nobody waits any more. */
static void clear_waited_for(struct group_words *words)
{
    if (!words->waiters) {
        atomic_fetch_and_explicit(&words->word, ~WAITED_FOR, memory_order_relaxed);
    }
}

bool lp_group_wait_no_more(loomp_group *group, struct lp_waiter *waiter)
{
    struct group_words *words = words_of(group);
    pthread_mutex_t *lock = lock_of(group);
    bool found = false;
    pthread_mutex_lock(lock);
    for (struct lp_waiter **link = &words->waiters; *link; link = &(*link)->next) {
        if (*link == waiter) {
            *link = waiter->next;
            clear_waited_for(words);
            found = true;
            break;
        }
    }
    pthread_mutex_unlock(lock);
    return found;
}

void lp_group_offer(loomp_group *group, uint32_t kind)
{
    struct group_words *words = words_of(group);
    /* seq_cst: pairs with lp_group_wait_with; the push before this was seq_cst too */
    if (!(atomic_load_explicit(&words->word, memory_order_seq_cst) & WAITED_FOR)) {
        return;
    }
    struct lp_waiter *helpers = NULL;
    pthread_mutex_t *lock = lock_of(group);
    pthread_mutex_lock(lock);
    for (struct lp_waiter **link = &words->waiters; *link;) {
        struct lp_waiter *waiter = *link;
        if (waiter->helps & kind) {
            *link = waiter->next;
            waiter->next = helpers;
            helpers = waiter;
        } else {
            link = &waiter->next;
        }
    }
    clear_waited_for(words);
    pthread_mutex_unlock(lock);
    wake_all(helpers, LP_WAITER_HELP);
}

/* ---- notification ------------------------------------------------------------------------------- */

static void run_notification(struct lp_item *item)
{
    struct group_words *words = (struct group_words *)(void *)((char *)item -
                                                               offsetof(struct group_words, item));
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
    struct group_words *words =
        (struct group_words *)(void *)((char *)waiter - offsetof(struct group_words, waiter));
    /* relaxed: handed over with the waiter */
    lp_loop_push(atomic_load_explicit(&words->loop, memory_order_relaxed), &words->item);
}

int loomp_group_notify(loomp_group *group, loomp_loop *loop, loomp_group_fn fn, void *arg)
{
    if (!group || !loop || !fn) {
        return lp_fail(-EINVAL, "loomp_group_notify: the %s is NULL",
                       !group ? "group" : loop ? "function" : "loop");
    }
    struct group_words *words = words_of(group);
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
