/* SPDX-License-Identifier: MIT */
/* Owns the futex system call, and what can be seen of who sleeps in it (base/sleeper.h). Any thread
 * enters. */
#include "base/futex.h"

#include "base/clock.h"
#include "base/self.h"
#include "base/sleeper.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards the list */
static struct lp_sleeper *list;

/* Where sleepers and wakers meet: only the order of the changes counts. */
static _Atomic uint32_t meetings;

static bool wait(_Atomic uint32_t *word, uint32_t expected, uint64_t deadline_ns)
{
    /* FUTEX_WAIT_BITSET takes an absolute time of CLOCK_MONOTONIC, so that a spurious return does
     * not lengthen the wait. */
    struct timespec until = {(time_t)(deadline_ns / 1000000000u),
                             (long)(deadline_ns % 1000000000u)};
    int saved = errno;
    long r = syscall(SYS_futex, word, FUTEX_WAIT_BITSET_PRIVATE, expected,
                     deadline_ns == UINT64_MAX ? NULL : &until, NULL, FUTEX_BITSET_MATCH_ANY);
    bool in_time = r == 0 || errno != ETIMEDOUT;
    errno = saved;
    return in_time;
}

static void wake(uintptr_t word, int count)
{
    int saved = errno;
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
    errno = saved;
}

static void meet(void)
{
    atomic_fetch_add_explicit(&meetings, 1, memory_order_acq_rel);
}

static bool wait_seen(struct lp_sleeper *sleeper, _Atomic uint32_t *word, uint32_t expected,
                      uint64_t deadline_ns, uint64_t until_ns, uint64_t order)
{
    atomic_store_explicit(&sleeper->called, 0, memory_order_seq_cst);
    atomic_store_explicit(&sleeper->word, (uintptr_t)word, memory_order_seq_cst);
    atomic_store_explicit(&sleeper->timed, deadline_ns != UINT64_MAX, memory_order_seq_cst);
    atomic_store_explicit(&sleeper->until_ns, until_ns, memory_order_seq_cst);
    atomic_store_explicit(&sleeper->order, order, memory_order_seq_cst);
    if (lp_clock_is_virtual()) {
        meet();
    }
    bool in_time = true;
    if (atomic_load_explicit(word, memory_order_seq_cst) == expected) {
        atomic_fetch_add_explicit(&sleeper->turns, 1, memory_order_seq_cst);
        in_time = wait(word, expected, deadline_ns);
        atomic_fetch_add_explicit(&sleeper->turns, 1, memory_order_seq_cst);
    }
    atomic_store_explicit(&sleeper->word, 0, memory_order_seq_cst);
    return in_time;
}

bool lp_futex_wait(_Atomic uint32_t *word, uint32_t expected, uint64_t deadline_ns)
{
    struct lp_sleeper *sleeper = lp_self.sleeper;
    return sleeper ? wait_seen(sleeper, word, expected, deadline_ns, UINT64_MAX, UINT64_MAX)
                   : wait(word, expected, deadline_ns);
}

void lp_futex_wake(_Atomic uint32_t *word, int count)
{
    if (lp_clock_is_virtual()) {
        meet();
        pthread_mutex_lock(&lock);
        for (struct lp_sleeper *sleeper = list; sleeper; sleeper = sleeper->next) {
            if (atomic_load_explicit(&sleeper->word, memory_order_seq_cst) == (uintptr_t)word) {
                atomic_store_explicit(&sleeper->called, 1, memory_order_seq_cst);
            }
        }
        pthread_mutex_unlock(&lock);
        count = INT_MAX; /* all that were called; who wakes in vain looks and sleeps again */
    }
    wake((uintptr_t)word, count);
}

/* ---- sleepers ------------------------------------------------------------------------------------ */

void lp_sleeper_add(struct lp_sleeper *sleeper)
{
    pthread_mutex_lock(&lock);
    sleeper->next = list;
    list = sleeper;
    pthread_mutex_unlock(&lock);
}

void lp_sleeper_remove(struct lp_sleeper *sleeper)
{
    pthread_mutex_lock(&lock);
    for (struct lp_sleeper **link = &list; *link; link = &(*link)->next) {
        if (*link == sleeper) {
            *link = sleeper->next;
            break;
        }
    }
    pthread_mutex_unlock(&lock);
}

bool lp_sleeper_wait_until(_Atomic uint32_t *word, uint32_t expected, uint64_t until_ns,
                           uint64_t order)
{
    if (lp_clock_ns() < until_ns) {
        wait_seen(lp_self.sleeper, word, expected, UINT64_MAX, until_ns, order);
    }
    return lp_clock_ns() < until_ns;
}

void lp_sleeper_call(struct lp_sleeper *sleeper)
{
    atomic_store_explicit(&sleeper->called, 1, memory_order_seq_cst);
    wake(atomic_load_explicit(&sleeper->word, memory_order_seq_cst), INT_MAX);
}
