/* SPDX-License-Identifier: MIT */
/* Owns a pool's queues, and the choice which of its threads to wake. Any thread pushes and wakes; init
 * and fini belong to the thread that starts and stops the runtime. */
#include "team/pool.h"

#include "base/error.h"
#include "base/fp_control.h"
#include "base/futex.h"
#include "base/object_pool.h"
#include "base/self.h"
#include "placement/topology.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static struct lp_thread_card *new_cards(unsigned count)
{
    return calloc(count, sizeof(struct lp_thread_card));
}

static int init_workers(struct loomp_pool *pool)
{
    unsigned count = pool->options.threads;
    pool->workers = aligned_alloc(LP_CACHE_LINE, count * sizeof *pool->workers);
    pool->gang.cards = new_cards(count);
    if (!pool->workers || !pool->gang.cards) {
        return lp_fail(-ENOMEM, "no memory for %u workers", count);
    }
    memset((void *)pool->workers, 0, count * sizeof *pool->workers);
    for (unsigned i = 0; i < count; i++) {
        pool->workers[i].spin_ns = pool->options.places[i].shared ? 0 : pool->options.spin_ns;
    }
    return lp_parking_init(&pool->gang.parking, 1);
}

static int init_blocking(struct loomp_pool *pool)
{
    unsigned count = pool->options.threads;
    pthread_mutex_init(&pool->blocking.lock, NULL);
    pool->blocking.threads = calloc(count, sizeof(lp_thread *));
    pool->blocking.cards = new_cards(count);
    if (!pool->blocking.threads || !pool->blocking.cards) {
        return lp_fail(-ENOMEM, "no memory for %u blocking threads", count);
    }
    return 0;
}

int lp_pool_init(struct loomp_pool *pool, const struct lp_pool_options *options)
{
    memset((void *)pool, 0, sizeof *pool);
    pool->options = *options;
    pool->width = options->threads;
    atomic_store_explicit(&pool->limit, pool->width, memory_order_relaxed);
    lp_overflow_init(&pool->late_serial);
    lp_overflow_init(&pool->late_gangs);
    int err = lp_parking_init(&pool->parking, options->threads);
    for (int i = 0; !err && i < LP_PRIORITIES; i++) {
        err = lp_ring_init(&pool->serial[i], options->queue_limit);
        if (!err && !options->blocking) {
            err = lp_ring_init(&pool->gangs[i], options->queue_limit);
        }
    }
    if (!err) {
        err = options->blocking ? init_blocking(pool) : init_workers(pool);
    }
    if (err) {
        lp_pool_fini(pool);
    }
    return err;
}

void lp_pool_fini(struct loomp_pool *pool)
{
    for (int i = 0; i < LP_PRIORITIES; i++) {
        lp_ring_fini(&pool->serial[i]);
        lp_ring_fini(&pool->gangs[i]);
    }
    lp_overflow_fini(&pool->late_serial);
    lp_overflow_fini(&pool->late_gangs);
    lp_parking_fini(&pool->parking);
    lp_parking_fini(&pool->gang.parking);
    free(pool->workers);
    free(pool->gang.cards);
    free(pool->blocking.threads);
    free(pool->blocking.cards);
    pool->workers = NULL;
    pool->gang.cards = NULL;
    pool->blocking.threads = NULL;
    pool->blocking.cards = NULL;
}

void lp_pool_freeze(struct loomp_pool *pool, uint64_t deadline_ns)
{
    uint32_t threads = pool->options.blocking ? 0 : pool->width + 1; /* workers, and the leader */
    atomic_store_explicit(&pool->frozen, 1, memory_order_seq_cst);
    lp_parking_wake_all(&pool->parking);
    if (!pool->options.blocking) {
        lp_pool_wake_for_gang(pool);
    }
    uint32_t quiet;
    while ((quiet = atomic_load_explicit(&pool->quiet, memory_order_seq_cst)) < threads &&
           lp_futex_wait(&pool->quiet, quiet, deadline_ns)) {
    }
}

void lp_pool_sleep_if_frozen(struct loomp_pool *pool)
{
    if (atomic_load_explicit(&pool->frozen, memory_order_seq_cst)) {
        atomic_fetch_add_explicit(&pool->quiet, 1, memory_order_seq_cst);
        lp_futex_wake(&pool->quiet, 1);
        for (;;) {
            lp_futex_wait(&pool->frozen, 1, UINT64_MAX);
        }
    }
}

struct lp_ring *lp_pool_queue(struct loomp_pool *pool, bool is_gang, int priority)
{
    int row = priority > 0 ? 0 : priority == 0 ? 1 : 2;
    return is_gang ? &pool->gangs[row] : &pool->serial[row];
}

static bool any(struct lp_ring *rings)
{
    for (int i = 0; i < LP_PRIORITIES; i++) {
        if (lp_ring_maybe_nonempty(&rings[i])) {
            return true;
        }
    }
    return false;
}

/* What is late was accepted before most of what waits, or is nearly done: nothing but HIGH goes before
 * it. */
static void *take(struct lp_ring *rings, struct lp_overflow *late)
{
    void *item = lp_ring_pop(&rings[0]);
    if (!item) {
        item = lp_overflow_take(late);
    }
    for (int i = 1; i < LP_PRIORITIES && !item; i++) {
        item = lp_ring_pop(&rings[i]);
    }
    return item;
}

bool lp_pool_has_serial(struct loomp_pool *pool)
{
    return any(pool->serial) || lp_overflow_maybe_nonempty(&pool->late_serial) ||
           !lp_completions_empty(&pool->dones);
}

bool lp_pool_has_gang(struct loomp_pool *pool)
{
    return any(pool->gangs) || lp_overflow_maybe_nonempty(&pool->late_gangs);
}

void *lp_pool_take_serial(struct loomp_pool *pool)
{
    return take(pool->serial, &pool->late_serial);
}

void *lp_pool_take_gang(struct loomp_pool *pool)
{
    return take(pool->gangs, &pool->late_gangs);
}

void lp_pool_wake_worker(struct loomp_pool *pool)
{
    /* A searcher that stops searching looks at the queues once more before it parks, and one that
     * finds work looks for more behind it: so none has to be woken beside it. */
    if (atomic_load_explicit(&pool->searching, memory_order_seq_cst)) {
        return;
    }
    unsigned claim = atomic_load_explicit(&pool->claim, memory_order_seq_cst);
    if (lp_parking_wake_between(&pool->parking, claim, lp_pool_open(pool))) {
        return;
    }
    /* With a gang on all places, or on all whose jobs do not wait, the last worker keeps the time and
     * serves beside it. */
    if (lp_pool_all_claimed(pool) &&
        !atomic_load_explicit(&pool->relief, memory_order_seq_cst)) {
        lp_parking_wake_highest(&pool->parking);
    }
}

void lp_pool_wake_for_gang(struct loomp_pool *pool)
{
    lp_parking_wake_lowest(&pool->gang.parking, 0);
}

void lp_pool_places_freed(struct loomp_pool *pool)
{
    /* Paused workers sleep among the parked; as many as there is work for are woken, one by one. Jobs
     * that were interrupted by a wait sleep on the epoch (lp_worker_reenter_place). */
    atomic_fetch_add_explicit(&pool->place_epoch, 1, memory_order_seq_cst);
    if (atomic_load_explicit(&pool->place_waiters, memory_order_seq_cst)) {
        lp_futex_wake(&pool->place_epoch, INT_MAX);
    }
    if (lp_pool_has_serial(pool)) {
        lp_pool_wake_worker(pool);
    }
}

void lp_pool_set_limit(struct loomp_pool *pool, unsigned limit)
{
    limit = limit < 1 ? 1 : limit > pool->width ? pool->width : limit;
    unsigned old = atomic_exchange_explicit(&pool->limit, limit, memory_order_seq_cst);
    if (limit > old) {
        lp_pool_places_freed(pool);
    }
}

void lp_pool_adopt_thread(struct loomp_pool *pool, enum lp_role_of_team team, unsigned index)
{
    static const char *const what[] = {"omp", "gang", "blk"};
    const struct lp_pool_options *options = &pool->options;
    const struct lp_place *place = &options->places[options->blocking ? 0 : index];
    struct lp_thread_card *card = team == LP_TEAM_OMP    ? &pool->workers[index].card
                                  : team == LP_TEAM_GANG ? &pool->gang.cards[index]
                                                         : &pool->blocking.cards[index];
    lp_thread_set_name(options->prefix, what[team], (int)index);
    pthread_getname_np(pthread_self(), card->name, sizeof card->name);
    lp_bind_thread(options->topology, place->cpus);
    if (options->local_memory && place->node >= 0) {
        lp_bind_memory(options->topology, place->node);
    }
    card->cpu = lp_cpuset_count(place->cpus) == 1 ? lp_cpuset_first(place->cpus) : -1;
    lp_self = (struct lp_self){
        .role = team == LP_TEAM_OMP    ? LP_WORKER
                : team == LP_TEAM_GANG ? LP_GANG
                                       : LP_BLOCKING,
        .index = (int)index,
        .runtime = options->runtime,
        .pool = pool,
        .fp_control = lp_fp_control(),
    };
    atomic_store_explicit(&card->tid, lp_thread_tid(), memory_order_release);
}

void lp_pool_drop_thread(void)
{
    lp_self = (struct lp_self){0};
    lp_object_pool_release();
}
