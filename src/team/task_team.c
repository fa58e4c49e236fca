/* SPDX-License-Identifier: MIT */
/* Owns the persistent region of a pool. Its leader is a thread of loomp's, the others are libomp's.
 *
 * Each worker runs its jobs inside a region of one thread: it costs nothing per job, and orphaned
 * worksharing constructs of a job bind to that team of one instead of to the workers (probe
 * inner-region). */
#include "team/task_team.h"

#include "base/futex.h"
#include "base/log.h"
#include "base/self.h"
#include "team/openmp.h"
#include "team/worker.h"

#include <omp.h>

/* The last worker to arrive says how many there are; nobody serves before everybody is in place. */
static void arrive(struct loomp_pool *pool)
{
    unsigned threads = (unsigned)omp_get_num_threads();
    if (atomic_fetch_add_explicit(&pool->arrived, 1, memory_order_acq_rel) + 1 == threads) {
        pool->width = threads;
        atomic_store_explicit(&pool->limit, threads, memory_order_relaxed);
        atomic_store_explicit(&pool->ready, 1, memory_order_release);
        lp_futex_wake(&pool->ready, 1);
    }
}

static void lead(void *arg)
{
    struct loomp_pool *pool = arg;
    int threads = (int)pool->options.threads;
    lp_openmp_own_regions();
#pragma omp parallel num_threads(threads) default(none) firstprivate(pool)
    {
        unsigned index = (unsigned)omp_get_thread_num();
        lp_pool_adopt_thread(pool, LP_TEAM_OMP, index);
        arrive(pool);
        if (omp_get_num_threads() == 1) {
            /* A team of one already. libomp loses some 200 bytes at each region in such a team that gcc
             * has compiled (GOMP_parallel). */
            lp_worker_loop(pool, index);
        } else {
#pragma omp parallel num_threads(1) default(none) firstprivate(pool, index)
            lp_worker_loop(pool, index);
        }
        lp_pool_drop_thread();
    }
}

int lp_task_team_start(struct loomp_pool *pool)
{
    atomic_store_explicit(&pool->arrived, 0, memory_order_relaxed);
    atomic_store_explicit(&pool->ready, 0, memory_order_relaxed);
    int err = lp_thread_start(&pool->leader, "omp", pool->options.stack_bytes, lead, pool);
    if (err) {
        return err;
    }
    while (!atomic_load_explicit(&pool->ready, memory_order_acquire)) {
        lp_futex_wait(&pool->ready, 0, UINT64_MAX);
    }
    if (pool->width < pool->options.threads) {
        lp_log(LOOMP_LOG_WARNING,
               "pool %s: OpenMP gave the task team %u of %u threads (OMP_THREAD_LIMIT, KMP_LIBRARY "
               "or the like)",
               pool->options.name, pool->width, pool->options.threads);
    }
    return 0;
}

void lp_task_team_stop(struct loomp_pool *pool)
{
    lp_parking_wake_all(&pool->parking);
    lp_thread_join(pool->leader);
}
