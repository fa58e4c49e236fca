/* SPDX-License-Identifier: MIT */
/* Owns the figures of a pool: sums of what its threads count, each for itself. Any thread reads. */
#include "base/error.h"
#include "job/job.h"
#include "team/pool.h"

#include <errno.h>
#include <string.h>

/* Relaxed: a snapshot of single counts. */
static uint64_t read_count(const _Atomic uint64_t *count)
{
    return atomic_load_explicit((_Atomic uint64_t *)(uintptr_t)count, memory_order_relaxed);
}

static void add_card(struct loomp_pool_stats *stats, const struct lp_thread_card *card)
{
    stats->serial += read_count(&card->kinds[LOOMP_SERIAL]);
    stats->tasks += read_count(&card->kinds[LOOMP_TASKS]);
    stats->gangs += read_count(&card->kinds[LOOMP_GANG]);
    stats->gangs_narrowed += read_count(&card->gangs_narrowed);
    stats->helped += read_count(&card->helped);
    stats->stolen += read_count(&card->stolen);
    stats->relieved += read_count(&card->relieved);
    stats->broadcasts += read_count(&card->broadcasts);
}

static void add_cards(struct loomp_pool_stats *stats, const struct loomp_pool *pool)
{
    for (unsigned i = 0; i < pool->options.threads; i++) {
        if (pool->options.blocking) {
            add_card(stats, &pool->blocking.cards[i]);
        } else {
            add_card(stats, &pool->workers[i].card);
            add_card(stats, &pool->gang.cards[i]);
        }
    }
}

int loomp_pool_stats_read(loomp_pool *pool, struct loomp_pool_stats *stats)
{
    if (!pool || !stats || stats->size < sizeof stats->size) {
        return lp_fail(-EINVAL, "loomp_pool_stats_read: the %s", !pool    ? "pool is NULL"
                                                                 : !stats ? "result is NULL"
                                                                          : "size is not set");
    }
    struct loomp_pool_stats all = {.size = stats->size, .threads = pool->width};
    all.queued = lp_queues_count(&pool->serial);
    for (int row = 0; row < LP_PRIORITIES && !pool->options.blocking; row++) {
        all.queued_gangs += lp_ring_count(&pool->gangs[row]);
    }
    all.withdrawn = read_count(&pool->withdrawn);
    all.expired = read_count(&pool->expired);
    add_cards(&all, pool);
    memcpy(stats, &all, stats->size < sizeof all ? stats->size : sizeof all);
    return 0;
}
