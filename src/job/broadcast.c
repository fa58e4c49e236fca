/* SPDX-License-Identifier: MIT */
/* Owns broadcasts: one call on every worker of a pool. Any thread sends one; each worker runs its part
 * from its mail; the last one to end tells the sender. */
#include "base/error.h"
#include "base/fp_control.h"
#include "base/self.h"
#include "job/job.h"
#include "loop/loop.h"
#include "team/worker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct broadcast;

struct part {
    struct lp_item item;
    struct broadcast *broadcast;
};

struct broadcast {
    loomp_pool *pool;
    loomp_broadcast_fn fn;
    void *arg;
    int count;
    int *results;
    loomp_group *group; /* that the sender waits for; NULL: it does not */
    loomp_broadcast_done_fn done;
    loomp_loop *home;
    struct lp_item item;   /* done, on its way home */
    _Atomic uint32_t left; /* parts; acq_rel, so that the last one sees all results */
    struct part parts[];   /* then the results, if the caller has no room for them */
};

static int first_error(const struct broadcast *broadcast)
{
    for (int i = 0; i < broadcast->count; i++) {
        if (broadcast->results[i]) {
            return broadcast->results[i];
        }
    }
    return 0;
}

static void finish(struct broadcast *broadcast)
{
    loomp_loop *home = broadcast->home;
    lp_self.inside++;
    broadcast->done(broadcast->pool, first_error(broadcast), broadcast->results, broadcast->count,
                    broadcast->arg);
    lp_self.inside--;
    if (home) {
        lp_loop_settle(home);
    }
    lp_pool_leave(broadcast->pool, 1);
    free(broadcast);
    lp_ledger_finish(&lp_tracked);
}

static void finish_item(struct lp_item *item)
{
    finish((struct broadcast *)(void *)((char *)item - offsetof(struct broadcast, item)));
}

static void end_part(struct broadcast *broadcast)
{
    loomp_group *group = broadcast->group;
    bool is_last = atomic_fetch_sub_explicit(&broadcast->left, 1, memory_order_acq_rel) == 1;
    /* Unless this was the last part, the broadcast may be gone from here on. */
    if (is_last && group) {
        lp_group_leave(group, 0);
    } else if (is_last && broadcast->home) {
        lp_loop_push(broadcast->home, &broadcast->item);
    } else if (is_last) {
        finish(broadcast);
    }
}

/* As a job of its own: not as a part of one that waits on this thread. */
static void run_part(struct lp_item *item)
{
    struct part *part = (struct part *)(void *)item;
    struct broadcast *broadcast = part->broadcast;
    loomp_job *outer = lp_self.job;
    uint64_t fp_control = lp_fp_control();
    lp_self.job = NULL;
    lp_self.inside++;
    lp_card_add(&lp_self.card->broadcasts);
    bool outer_broadcast = lp_self.broadcasting;
    lp_self.broadcasting = true;
    lp_fp_restore(lp_self.fp_control);
    broadcast->results[lp_self.index] =
        broadcast->fn(lp_self.index, broadcast->count, broadcast->arg);
    lp_fp_restore(fp_control);
    lp_self.broadcasting = outer_broadcast;
    lp_self.inside--;
    lp_self.job = outer;
    end_part(broadcast);
}

static struct broadcast *new_broadcast(loomp_pool *pool, loomp_broadcast_fn fn, void *arg,
                                       int *results)
{
    size_t count = pool->width;
    struct broadcast *broadcast =
        calloc(1, sizeof *broadcast + count * (sizeof(struct part) + sizeof(int)));
    if (!broadcast) {
        lp_fail(-ENOMEM, "no memory for a broadcast to %zu threads", count);
        return NULL;
    }
    broadcast->pool = pool;
    broadcast->fn = fn;
    broadcast->arg = arg;
    broadcast->count = (int)count;
    broadcast->results = results ? results : (int *)(void *)&broadcast->parts[count];
    broadcast->item.run = finish_item;
    atomic_store_explicit(&broadcast->left, (uint32_t)count, memory_order_relaxed);
    for (size_t i = 0; i < count; i++) {
        broadcast->parts[i] = (struct part){{NULL, run_part}, broadcast};
    }
    return broadcast;
}

/* All parts but that of the calling worker. Without one of its own the broadcast may be gone on return. */
static void send(struct broadcast *broadcast, int own)
{
    loomp_pool *pool = broadcast->pool;
    for (int i = 0, count = broadcast->count; i < count; i++) {
        if (i != own) {
            lp_worker_mail(pool, (unsigned)i, &broadcast->parts[i].item);
        }
    }
}

/* Counts the call, and the broadcast if it outlives it, or refuses. */
static int accept(const char *name, loomp_pool *pool, loomp_broadcast_fn fn)
{
    if (!pool || !fn) {
        return lp_fail(-EINVAL, "%s: the %s is NULL", name, pool ? "function" : "pool");
    }
    int err = lp_ledger_accept(&lp_tracked);
    if (err) {
        return err;
    }
    if (pool->options.blocking) {
        err = lp_fail(-EINVAL, "%s: the threads of pool %s come and go", name, pool->options.name);
    } else {
        err = lp_pool_enter(pool);
    }
    if (err) {
        lp_ledger_finish(&lp_tracked);
        lp_ledger_finish(&lp_tracked);
    }
    return err;
}

static int broadcast_and_wait(loomp_pool *pool, loomp_broadcast_fn fn, void *arg, int *results)
{
    int err = lp_wait_check("loomp_broadcast", "use loomp_broadcast_async");
    if (err) {
        return err;
    }
    struct broadcast *broadcast = new_broadcast(pool, fn, arg, results);
    if (!broadcast) {
        return -ENOMEM;
    }
    loomp_group group;
    loomp_group_init(&group, pool->options.runtime);
    lp_group_join(&group);
    broadcast->group = &group;
    int own = lp_self.role == LP_WORKER && lp_self.pool == pool ? lp_self.index : -1;
    send(broadcast, own);
    if (own >= 0) {
        run_part(&broadcast->parts[own].item);
    }
    loomp_group_wait(&group, -1);
    err = first_error(broadcast);
    free(broadcast);
    return err;
}

int loomp_broadcast(loomp_pool *pool, loomp_broadcast_fn fn, void *arg, int *results)
{
    int err = accept("loomp_broadcast", pool, fn);
    if (err) {
        return err;
    }
    err = broadcast_and_wait(pool, fn, arg, results);
    lp_pool_leave(pool, 2);
    lp_ledger_finish(&lp_tracked);
    lp_ledger_finish(&lp_tracked);
    return err;
}

int loomp_broadcast_async(loomp_pool *pool, loomp_broadcast_fn fn, void *arg, loomp_loop *home,
                          loomp_broadcast_done_fn done)
{
    if (!done) {
        return lp_fail(-EINVAL, "loomp_broadcast_async: done is NULL");
    }
    int err = accept("loomp_broadcast_async", pool, fn);
    if (err) {
        return err;
    }
    struct broadcast *broadcast = new_broadcast(pool, fn, arg, NULL);
    if (!broadcast) {
        lp_pool_leave(pool, 2);
        lp_ledger_finish(&lp_tracked);
        lp_ledger_finish(&lp_tracked);
        return -ENOMEM;
    }
    broadcast->done = done;
    broadcast->home = home;
    if (home) {
        lp_loop_expect(home);
    }
    send(broadcast, -1);
    lp_pool_leave(pool, 1); /* this call */
    lp_ledger_finish(&lp_tracked);
    return 0;
}
