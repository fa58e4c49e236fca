/* SPDX-License-Identifier: MIT */
/* Owns the region of TASKS jobs. The gang team's threads enter it; the tasks that the jobs create are
 * run by all of them.
 *
 * A job waits in its queue until a thread has time for it. What the region has of it before that is a
 * token: a task that takes the next job when a thread begins it. So a job that has not begun can be
 * cancelled, can be run by whoever waits for it, and jobs begin in the order of the queue, whatever
 * libomp does with the tasks.
 *
 * A token runs one job, then creates as many new ones as jobs wait and threads are without one, and
 * ends. It creates them at its end because a thread that waits for the children of its job may run
 * any descendant of its token: a token among them would put an unrelated job on top of the one that
 * waits. libomp keeps the ancestors of a living task, so that this chain of tokens costs memory for as
 * long as the region lasts, which therefore takes no more in after LONGEST jobs. */
#include "team/tasks_region.h"

#include "team/openmp.h"
#include "team/worker.h"

#include <omp.h>

enum { LONGEST = 4096, LOOKED_AT = 64 };

/* Whether a job belongs into the region: one that asks for more threads than it has does not, and one
 * that asks for all does into one that has all. */
static bool fits(uint64_t note, const void *arg)
{
    const struct loomp_pool *pool = arg;
    unsigned width = lp_note_width(note), most = pool->gang.tasks.most;
    width = width && width < most ? width : most;
    return lp_note_kind(note) == LOOMP_TASKS && width <= pool->gang.tasks.width;
}

unsigned lp_tasks_region_width(struct loomp_pool *pool, uint64_t note)
{
    unsigned most = lp_gang_most(pool);
    unsigned widest = lp_note_width(note);
    for (int row = 0; row < LP_PRIORITIES; row++) {
        for (uint64_t i = 0; widest && i < LOOKED_AT; i++) {
            uint64_t next;
            if (!lp_ring_peek(&pool->gangs[row], i, &next) ||
                lp_note_kind(next) != LOOMP_TASKS) {
                break;
            }
            unsigned width = lp_note_width(next);
            widest = !width || width > widest ? width : widest;
        }
    }
    return widest && widest < most ? widest : most;
}

/* The next job, if it is one that belongs here. If it is not, the region takes no more in: it would keep
 * a GANG waiting, or a job that wants more threads, or one whose turn it is. */
static void *take(struct loomp_pool *pool)
{
    struct lp_tasks_region *region = &pool->gang.tasks;
    bool is_other = false;
    void *item = lp_pool_ends(pool) ? NULL : lp_pool_take_gang_if(pool, fits, pool, &is_other);
    if (item) {
        atomic_fetch_add_explicit(&region->taken, 1, memory_order_relaxed);
    } else if (is_other) {
        atomic_store_explicit(&region->takes_in, 0, memory_order_relaxed);
    }
    return item;
}

/* Relaxed, both: a job more or less. */
static bool takes_in(struct lp_tasks_region *region)
{
    return atomic_load_explicit(&region->takes_in, memory_order_relaxed) &&
           atomic_load_explicit(&region->taken, memory_order_relaxed) < LONGEST;
}

static uint64_t count_waiting(struct loomp_pool *pool)
{
    uint64_t count = 0;
    for (int row = 0; row < LP_PRIORITIES; row++) {
        count += lp_ring_count(&pool->gangs[row]);
    }
    return count;
}

/* A token that was counted; the count is what keeps the number of jobs under way at the region's
 * width. Relaxed: it orders nothing. */
static bool count_token(struct lp_tasks_region *region)
{
    uint32_t tokens = atomic_load_explicit(&region->tokens, memory_order_relaxed);
    while (tokens < region->width) {
        if (atomic_compare_exchange_weak_explicit(&region->tokens, &tokens, tokens + 1,
                                                  memory_order_relaxed, memory_order_relaxed)) {
            return true;
        }
    }
    return false;
}

/* The priority of a token as a task, if the user has priorities enabled (OMP_MAX_TASK_PRIORITY): that of
 * the job which it will find if nothing comes in between. Among tokens it makes no difference, but
 * tasks of other jobs stand in the same line. */
static int priority_of_next(struct loomp_pool *pool)
{
    int most = omp_get_max_task_priority();
    for (int row = 0; most && row < LP_PRIORITIES; row++) {
        if (lp_ring_count(&pool->gangs[row])) {
            return most * (LP_PRIORITIES - 1 - row) / (LP_PRIORITIES - 1);
        }
    }
    return 0;
}

static bool create_tokens(struct loomp_pool *pool, bool has_token);

static void run_token(struct loomp_pool *pool, void *item)
{
    struct lp_tasks_region *region = &pool->gang.tasks;
    item = item ? item : take(pool);
    if (item) {
        lp_pool_stir(pool);
        /* As a task of its own: what the job does to the ICVs must not reach the tokens created below. */
        lp_team_run(pool, item); /* the item may be gone from here on */
    }
    /* The last of it: who counts tokens (runtime/virtual_time.c) takes the thread to be idle then. */
    if (!item || !create_tokens(pool, true)) {
        atomic_fetch_sub_explicit(&region->tokens, 1, memory_order_relaxed);
    }
}

/* The first takes over the caller's token, if it has one; whether it did. */
static bool create_tokens(struct loomp_pool *pool, bool has_token)
{
    struct lp_tasks_region *region = &pool->gang.tasks;
    bool hands_on = has_token;
    if (!takes_in(region)) {
        return false;
    }
    for (uint64_t waiting = count_waiting(pool); waiting && (hands_on || count_token(region));
         waiting--) {
        hands_on = false;
        int priority = priority_of_next(pool);
#pragma omp task firstprivate(pool) priority(priority) default(none)
        run_token(pool, NULL);
    }
    return has_token && !hands_on;
}

/* A team of one runs every task where it is created: tokens would end up inside each other. */
static void run_alone(struct loomp_pool *pool, void *item)
{
    while (item) {
        void (*run)(void *item) = pool->options.ops.run;
#pragma omp task if (0) firstprivate(run, item) default(none)
        {
            lp_openmp_isolate_thread(); /* of this task only */
            run(item);
        }
        item = takes_in(&pool->gang.tasks) ? take(pool) : NULL;
    }
}

static void run_together(struct loomp_pool *pool, void *item, int threads)
{
#pragma omp parallel num_threads(threads) default(none) firstprivate(pool, item)
    {
#pragma omp single nowait
        {
#pragma omp task firstprivate(pool, item) default(none)
            run_token(pool, item);
            create_tokens(pool, false);
        }
    }
}

void lp_tasks_region_run(struct loomp_pool *pool, void *item, unsigned width, bool takes_more)
{
    struct lp_tasks_region *region = &pool->gang.tasks;
    region->width = width;
    region->most = lp_gang_most(pool);
    atomic_store_explicit(&region->takes_in, takes_more, memory_order_relaxed);
    atomic_store_explicit(&region->tokens, 1, memory_order_relaxed);
    atomic_store_explicit(&region->taken, 1, memory_order_relaxed);
    atomic_store_explicit(&region->open, 1, memory_order_relaxed);
    if (width == 1) {
        run_alone(pool, item);
    } else {
        lp_openmp_own_regions();
        omp_set_num_threads((int)width); /* what omp_get_max_threads says in the jobs */
        run_together(pool, item, (int)width);
    }
    atomic_store_explicit(&region->open, 0, memory_order_relaxed);
}

int lp_team_with_children(int (*work)(void *arg), void *arg)
{
    int status = 0;
#pragma omp taskgroup
    status = work(arg);
    return status;
}
