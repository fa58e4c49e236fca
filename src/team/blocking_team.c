/* SPDX-License-Identifier: MIT */
/* Owns the threads of a blocking pool. They run on the I/O CPUs and spend their time asleep in the
 * kernel, so they never search. Any thread wakes; a submitter may have to start a thread, at most as
 * many times as the pool has threads. */
#include "team/blocking_team.h"

#include "base/self.h"
#include "team/openmp.h"
#include "team/worker.h"

void lp_blocking_team_answer(struct loomp_pool *pool)
{
    struct lp_item *item = lp_completions_take(&pool->dones);
    while (item) {
        struct lp_item *next = item->next;
        item->run(item); /* the item may be gone from here on */
        item = next;
    }
}

static void serve(struct loomp_pool *pool, struct lp_thread_card *card, struct lp_taker *taker)
{
    for (;;) {
        lp_blocking_team_answer(pool);
        void *item = lp_pool_ends(pool) ? NULL : lp_pool_take_serial(pool, taker);
        if (!item) {
            return;
        }
        lp_card_state(card, LOOMP_STATE_BUSY);
        if (lp_pool_has_serial(pool)) {
            lp_blocking_team_wake(pool);
        }
        lp_team_run(pool, item); /* the item may be gone from here on */
        lp_card_count(card);
    }
}

static void blocking_main(void *arg)
{
    struct loomp_pool *pool = arg;
    /* One thread is started at a time, so each finds its own slot. */
    unsigned index = pool->blocking.next;
    struct lp_thread_card *card = &pool->blocking.cards[index];
    struct lp_taker taker = {.worker = LP_NO_WORKER};
    lp_openmp_isolate_thread();
    lp_openmp_expect_one_thread();
    lp_pool_adopt_thread(pool, LP_TEAM_BLOCKING, index);
    atomic_store_explicit(&pool->blocking.starting, 0, memory_order_seq_cst);
    while (!lp_pool_ends(pool)) {
        serve(pool, card, &taker);
        lp_queues_settle(&pool->serial, LP_NO_WORKER);
        lp_card_state(card, LOOMP_STATE_PARKED);
        lp_parking_announce(&pool->parking, index);
        if (lp_pool_has_serial(pool) || lp_pool_ends(pool)) {
            lp_parking_withdraw(&pool->parking, index);
        } else {
            lp_parking_sleep(&pool->parking, index, UINT64_MAX);
        }
    }
    lp_pool_sleep_if_frozen(pool);
    lp_pool_drop_thread();
}

/* Starts one more thread, unless one is on its way: that one looks for more work when it is there,
 * and comes back here if there is. */
static int start_one(struct loomp_pool *pool)
{
    struct lp_blocking *blocking = &pool->blocking;
    int err = 0;
    if (atomic_load_explicit(&blocking->count, memory_order_relaxed) == pool->options.threads) {
        return 0; /* as many as there may be */
    }
    pthread_mutex_lock(&blocking->lock);
    unsigned count = atomic_load_explicit(&blocking->count, memory_order_relaxed);
    if (count < pool->options.threads &&
        !atomic_load_explicit(&blocking->starting, memory_order_seq_cst)) {
        atomic_store_explicit(&blocking->starting, 1, memory_order_seq_cst);
        blocking->next = count;
        err = lp_thread_start(&blocking->threads[count], "blocking", 0, blocking_main, pool);
        if (err) {
            atomic_store_explicit(&blocking->starting, 0, memory_order_seq_cst);
        } else {
            atomic_store_explicit(&blocking->count, count + 1, memory_order_release);
        }
    }
    pthread_mutex_unlock(&blocking->lock);
    return err;
}

int lp_blocking_team_prepare(struct loomp_pool *pool)
{
    return atomic_load_explicit(&pool->blocking.count, memory_order_acquire) ? 0
                                                                             : start_one(pool);
}

void lp_blocking_team_wake(struct loomp_pool *pool)
{
    if (!lp_parking_wake_lowest(&pool->parking, 0)) {
        /* All are at work, or about to look again: a thread too many is parked, and if one cannot
         * be started the work is left to those that exist. */
        start_one(pool);
    }
}

void lp_blocking_team_stop(struct loomp_pool *pool)
{
    unsigned count = atomic_load_explicit(&pool->blocking.count, memory_order_acquire);
    lp_parking_wake_all(&pool->parking);
    for (unsigned i = 0; i < count; i++) {
        lp_thread_join(pool->blocking.threads[i]);
    }
}
