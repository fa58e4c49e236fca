/* SPDX-License-Identifier: MIT */
/* The pools beside `compute` and `blocking`: those of the settings, and those opened at run time. */
#ifndef LP_RUNTIME_POOLS_H
#define LP_RUNTIME_POOLS_H

#include "placement/plan.h"
#include "team/pool.h"

struct lp_parts;

/* One of them, in the list lp_parts.named. The list is changed under lp_process.lock and read by who
 * has announced itself as a reader (runtime.h); what was taken out of it is freed when the readers of
 * that moment have gone. */
struct lp_named_pool {
    _Atomic(struct lp_named_pool *) next;
    /* NULL while it is being opened, when only the name counts. Released by who opens, acquired by
     * readers. */
    _Atomic(struct loomp_pool *) pool;
    char name[LP_POOL_NAME];
    bool opened;         /* at run time, and so it may be closed */
    bool closing;        /* guarded by lp_process.lock */
    bool crowds;         /* its threads share CPUs; this and the plan are written before `pool` */
    struct lp_plan plan; /* of this pool alone, if it was opened */
};

static inline struct lp_named_pool *
lp_named_next(_Atomic(struct lp_named_pool *) const *link)
{
    return atomic_load_explicit((_Atomic(struct lp_named_pool *) *)(uintptr_t)link,
                                memory_order_acquire);
}

#define LP_EACH_NAMED(parts, entry)                                              \
    for (struct lp_named_pool *entry = lp_named_next(&(parts)->named); (entry); \
         (entry) = lp_named_next(&(entry)->next))

static inline struct loomp_pool *lp_named_pool_of(struct lp_named_pool *entry)
{
    return atomic_load_explicit(&entry->pool, memory_order_acquire);
}

/* What the settings say of a pool with that plan; the plan must outlive it. */
struct lp_pool_options lp_pools_options(struct lp_parts *parts, const struct lp_pool_plan *plan);

/* Makes a pool and starts its teams. 0 or a negative errno with a sentence. */
int lp_pools_make(struct loomp_pool **pool, const struct lp_pool_options *options);

/* Ends the teams, which have nothing to do any more, and frees the pool; NULL is fine. */
void lp_pools_free(struct loomp_pool *pool);

/* Frees a pool whose teams have been ended. */
void lp_pools_discard(struct loomp_pool *pool);

/* Those of the plan. What was started before an error, lp_pools_stop stops, as all others that there
 * are. By the thread that starts and stops the runtime. */
int lp_pools_start(struct lp_parts *parts);
void lp_pools_stop(struct lp_parts *parts);

/* Calls fn for `compute`, `blocking` and all of these; none goes away meanwhile. By work that the
 * ledger counts. */
void lp_pools_each(void (*fn)(struct loomp_pool *pool, void *arg), void *arg);

#endif
