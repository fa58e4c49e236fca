/* SPDX-License-Identifier: MIT */
/* Owns the measurement of hand-overs at start. The items are no jobs: they go by the ways that
 * broadcasts and posts take, which end at the same futex and the same eventfd. */
#include "runtime/calibrate.h"

#include "adaptive/learner.h"
#include "base/futex.h"
#include "team/worker.h"

#include <sched.h>
#include <stdlib.h>

enum {
    ROUNDS = 3, /* a start is to take less than a millisecond; what follows is learnt on the way */
    LONGEST_WAIT_NS = 2000000
};

struct probe {
    struct lp_item item;
    uint64_t arrived_ns; /* written on the other thread, before `arrived` (release) */
    _Atomic uint32_t arrived;
};

static void arrive(struct lp_item *item)
{
    struct probe *probe = (struct probe *)(void *)item;
    probe->arrived_ns = lp_now_ns();
    atomic_store_explicit(&probe->arrived, 1, memory_order_release);
    lp_futex_wake(&probe->arrived, 1);
}

static void wait_for(struct probe *probe)
{
    while (!atomic_load_explicit(&probe->arrived, memory_order_acquire)) {
        lp_futex_wait(&probe->arrived, 0, UINT64_MAX);
    }
}

/* Until the workers sleep; they search for spin_us at most, and not at all on a busy machine. */
static void wait_until_parked(struct loomp_pool *pool)
{
    uint64_t limit = lp_now_ns() + LONGEST_WAIT_NS;
    struct lp_pool_view view;
    do {
        sched_yield();
        lp_pool_look(pool, true, &view);
    } while ((view.searching || !view.parked) && lp_now_ns() < limit);
}

static double to_worker(struct loomp_pool *pool)
{
    struct probe probe = {.item.run = arrive};
    uint64_t sent_ns = lp_now_ns();
    lp_worker_mail(pool, 0, &probe.item);
    wait_for(&probe);
    return (double)(probe.arrived_ns - sent_ns);
}

static double to_loop(loomp_loop *loop)
{
    struct probe probe = {.item.run = arrive};
    uint64_t sent_ns = lp_now_ns();
    lp_loop_push(loop, &probe.item);
    wait_for(&probe);
    return (double)(probe.arrived_ns - sent_ns);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values)
{
    qsort(values, ROUNDS, sizeof *values, compare);
    return values[ROUNDS / 2];
}

void lp_calibrate(struct loomp_pool *pool, loomp_loop *loop)
{
    double parked[ROUNDS], searching[ROUNDS], done[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        wait_until_parked(pool);
        parked[i] = to_worker(pool);
        searching[i] = to_worker(pool); /* it has only just been at work */
        done[i] = to_loop(loop);
    }
    struct lp_adaptive_beliefs beliefs = {median(searching), median(parked), median(done)};
    lp_adaptive_believe(&beliefs);
}
