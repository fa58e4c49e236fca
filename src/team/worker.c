/* SPDX-License-Identifier: MIT */
/* Owns the life of a worker. Each worker runs this on its own thread; what others read of it are
 * `busy` and its card.
 *
 * One place, one team: the gang leader writes `claim` and then reads each `busy` below it; a worker
 * writes its `busy` and then reads `claim`. All four are seq_cst, so at least one of the two sees
 * the other, and a place is never used by both. The exception is relief, which is wanted.
 *
 *   state of a worker        place   leaves it when
 *   runs, searches           busy    the queues are empty; the gang claims its place
 *   parked                   free    woken for work, stop
 *   paused (place claimed)   free    the place is given back and there is work; relief; stop
 *   relieving                free    the queues are empty, or the places are given back */
#include "team/worker.h"

#include "base/futex.h"
#include "base/self.h"
#include "team/openmp.h"

enum { LOOKS_PER_CLOCK = 64, JOBS_BEFORE_MAIL = 64 };

void lp_team_run(struct loomp_pool *pool, void *item)
{
    void (*run)(void *item) = pool->options.ops.run;
#pragma omp task if (0) firstprivate(run, item) default(none)
    run(item);
}

static bool is_the_gangs(struct loomp_pool *pool, unsigned index)
{
    return index < atomic_load_explicit(&pool->claim, memory_order_seq_cst);
}

/* By a gang, or by nobody: beyond the pool's limit. */
static bool is_claimed(struct loomp_pool *pool, unsigned index)
{
    return is_the_gangs(pool, index) || index >= lp_pool_open(pool);
}

static void tell_gang_leader(struct loomp_pool *pool)
{
    uint32_t attention = atomic_load_explicit(&pool->attention, memory_order_seq_cst);
    if (attention == LP_HEAR_ALL ||
        (attention == LP_HEAR_CLAIMED && is_claimed(pool, (unsigned)lp_self.index))) {
        lp_pool_wake_for_gang(pool);
    }
}

static void take_place(struct lp_worker *worker)
{
    atomic_store_explicit(&worker->busy, 1, memory_order_seq_cst);
}

static void free_place(struct loomp_pool *pool, struct lp_worker *worker)
{
    atomic_store_explicit(&worker->busy, 0, memory_order_seq_cst);
    tell_gang_leader(pool);
}

/* After an idle worker has taken something: those who brought more while it searched or woke up may
 * have woken nobody. */
static void look_behind(struct loomp_pool *pool, struct lp_worker *worker)
{
    if (worker->was_idle) {
        worker->was_idle = false;
        if (lp_pool_has_serial(pool)) {
            lp_pool_wake_worker(pool);
        }
    }
}

static void run_dones(struct loomp_pool *pool, struct lp_worker *worker)
{
    struct lp_item *item = lp_completions_take(&pool->dones);
    look_behind(pool, worker);
    lp_card_state(&worker->card, LOOMP_STATE_BUSY);
    while (item) {
        struct lp_item *next = item->next;
        item->run(item); /* the item may be gone from here on */
        item = next;
        lp_card_count(&worker->card);
    }
}

/* Relaxed: a gang that pauses (gang_team.c) asks to hear of job boundaries and then looks at this; should
 * it see too few, the next boundary tells it, and when none comes the queues are empty, which it sees. */
static void count_start(struct lp_worker *worker)
{
    uint64_t started = atomic_load_explicit(&worker->started, memory_order_relaxed); /* our own */
    atomic_store_explicit(&worker->started, started + 1, memory_order_relaxed);
    if (lp_self.relieving) {
        lp_card_add(&worker->card.relieved);
    }
}

void lp_worker_mail(struct loomp_pool *pool, unsigned index, struct lp_item *item)
{
    struct lp_worker *worker = &pool->workers[index];
    lp_completions_push(&worker->mail, item);
    /* The thread sleeps either parked or in a wait of its job. Both look at the mail after they have
     * announced themselves (the parking's bit, lp_pool_listen), and this comes after the push. */
    lp_parking_wake_slot(&pool->parking, index);
    lp_pool_call(&worker->card);
}

static bool has_mail(struct lp_worker *worker)
{
    return !lp_completions_empty(&worker->mail);
}

static void run_mail(struct lp_worker *worker)
{
    struct lp_item *item = lp_completions_take(&worker->mail);
    while (item) {
        struct lp_item *next = item->next;
#pragma omp task if (0) firstprivate(item) default(none)
        item->run(item); /* the item may be gone from here on */
        item = next;
    }
}

void lp_worker_answer(struct loomp_pool *pool)
{
    struct lp_worker *worker = &pool->workers[lp_self.index];
    run_mail(worker);
    run_dones(pool, worker);
}

/* What a worker runs next: with mail, first what it has submitted itself, but not for ever. */
static void *take(struct loomp_pool *pool, struct lp_worker *worker)
{
    if (!has_mail(worker)) {
        return lp_pool_take_serial(pool, &worker->taker);
    }
    bool is_time = ++worker->taker.takes % JOBS_BEFORE_MAIL == 0;
    return is_time ? NULL : lp_queues_take_local(&pool->serial, (unsigned)lp_self.index);
}

/* Takes one piece of work and runs it; false if there is none. */
static bool serve_one(struct loomp_pool *pool, struct lp_worker *worker)
{
    if (!lp_completions_empty(&pool->dones)) {
        run_dones(pool, worker);
        return true;
    }
    void *item = take(pool, worker);
    if (!item && has_mail(worker)) {
        look_behind(pool, worker);
        lp_card_state(&worker->card, LOOMP_STATE_BUSY);
        run_mail(worker);
        return true;
    }
    if (!item) {
        return false;
    }
    worker->relief_at_ns = 0;
    count_start(worker);
    lp_pool_stir(pool);
    tell_gang_leader(pool);
    look_behind(pool, worker);
    lp_card_state(&worker->card, LOOMP_STATE_BUSY);
    lp_team_run(pool, item); /* the item may be gone from here on */
    lp_card_count(&worker->card);
    return true;
}

static bool has_work(struct loomp_pool *pool, struct lp_worker *worker)
{
    return lp_pool_has_serial(pool) || has_mail(worker);
}

/* Looks for work for as long as a gap usually takes, if that is shorter than waking up. */
static void search(struct loomp_pool *pool, struct lp_worker *worker, unsigned index,
                   uint64_t idle_since)
{
    if (!worker->spin_ns || worker->gap_ns > worker->spin_ns) {
        return;
    }
    lp_card_state(&worker->card, LOOMP_STATE_SEARCHING);
    atomic_fetch_add_explicit(&pool->searching, 1, memory_order_seq_cst);
    do {
        for (int i = 0; i < LOOKS_PER_CLOCK; i++) {
            if (has_work(pool, worker) || is_claimed(pool, index) || lp_pool_ends(pool)) {
                goto found;
            }
            lp_relax();
        }
    } while (lp_now_ns() - idle_since < worker->spin_ns);
found:
    atomic_fetch_sub_explicit(&pool->searching, 1, memory_order_seq_cst);
}

/* Without work: searches, then sleeps until there is some. Ends holding the place again, which the
 * caller then checks against the claim. */
static void idle(struct loomp_pool *pool, struct lp_worker *worker, unsigned index)
{
    uint64_t since = lp_now_ns();
    worker->was_idle = true;
    search(pool, worker, index, since);
    uint64_t until = 0;
    if (!has_work(pool, worker) && !is_claimed(pool, index)) {
        lp_queues_settle(&pool->serial, (int)index);
        free_place(pool, worker);
        lp_card_state(&worker->card, LOOMP_STATE_PARKED);
        lp_parking_announce(&pool->parking, index);
        if (has_work(pool, worker) || lp_pool_ends(pool)) {
            lp_parking_withdraw(&pool->parking, index);
        } else {
            lp_parking_sleep(&pool->parking, index, UINT64_MAX);
            until = lp_parking_woken_at_ns(&pool->parking, index);
        }
        take_place(worker);
    }
    uint64_t gap = (until > since ? until : lp_now_ns()) - since;
    /* A long night must not hide that the days are busy: what is beyond four searches counts as
     * four. */
    uint64_t most = 4 * worker->spin_ns;
    worker->gap_ns = (3 * worker->gap_ns + (gap < most ? gap : most)) / 4;
}

/* ---- relief -------------------------------------------------------------------------------------- */

/* One worker at a time may run work without a place of its own, the kernel sharing a CPU between it
 * and a gang: lp_self.relieving says that it is the calling one. */
static bool take_relief(struct loomp_pool *pool)
{
    uint32_t nobody = 0;
    lp_self.relieving = atomic_compare_exchange_strong_explicit(
        &pool->relief, &nobody, 1, memory_order_seq_cst, memory_order_seq_cst);
    return lp_self.relieving;
}

static void drop_relief(struct loomp_pool *pool)
{
    if (lp_self.relieving) {
        lp_self.relieving = false;
        atomic_store_explicit(&pool->relief, 0, memory_order_seq_cst);
        lp_pool_wake_place_waiters(pool);
        if (lp_pool_has_serial(pool)) {
            lp_pool_wake_worker(pool); /* the next one to relieve */
        }
    }
}

static void start_clock(struct loomp_pool *pool, struct lp_worker *worker, bool work)
{
    if (!work) {
        worker->relief_at_ns = 0;
    } else if (!worker->relief_at_ns) {
        worker->relief_at_ns = lp_now_ns() + pool->options.relief_ns;
    }
}

/* A gang has all places and work is waiting: after relief_ns, serves it until the queues are empty or
 * the places come back. */
static void relieve(struct loomp_pool *pool, struct lp_worker *worker, unsigned index)
{
    if (!take_relief(pool)) {
        return;
    }
    bool in_time = true;
    while (in_time && lp_pool_all_claimed(pool)) {
        lp_parking_announce(&pool->parking, index);
        if (!lp_pool_all_claimed(pool)) {
            lp_parking_withdraw(&pool->parking, index);
            break;
        }
        in_time = lp_parking_sleep(&pool->parking, index, worker->relief_at_ns);
    }
    /* In time means that the places have come back; should another gang have them by the time that we
     * try, the clock goes on. A job that waits drops the relief, and goes on with its place or with
     * relief, whichever it gets first; the relief is left to those that want it for that, because the
     * gang may be waiting for them. */
    while (!in_time && lp_self.relieving && lp_pool_all_claimed(pool) &&
           !atomic_load_explicit(&pool->relief_wanted, memory_order_seq_cst) &&
           serve_one(pool, worker)) {
    }
    lp_card_state(&worker->card, LOOMP_STATE_PAUSED);
    drop_relief(pool);
    free_place(pool, worker);
}

/* Mail that has waited for relief_ns behind a gang is run beside it. */
static void relieve_mail(struct loomp_pool *pool, struct lp_worker *worker)
{
    if (has_mail(worker) && take_relief(pool)) {
        run_mail(worker);
        drop_relief(pool);
    }
}

/* The place belongs to a gang, or the job before this gave it up: waits until it is ours. */
static void pause(struct loomp_pool *pool, struct lp_worker *worker, unsigned index)
{
    free_place(pool, worker);
    lp_card_state(&worker->card, LOOMP_STATE_PAUSED);
    worker->was_idle = true;
    while (is_claimed(pool, index) && !lp_pool_ends(pool)) {
        lp_parking_announce(&pool->parking, index);
        bool work = lp_pool_has_serial(pool);
        start_clock(pool, worker, work || has_mail(worker));
        bool relief = work && lp_pool_all_claimed(pool) &&
                      !atomic_load_explicit(&pool->relief, memory_order_seq_cst) &&
                      !atomic_load_explicit(&pool->relief_wanted, memory_order_seq_cst);
        if (relief || !is_claimed(pool, index) || lp_pool_ends(pool)) {
            lp_parking_withdraw(&pool->parking, index);
            if (relief) {
                relieve(pool, worker, index);
            }
            continue;
        }
        if (work && !lp_pool_all_claimed(pool)) {
            /* Whoever woke or counted on this worker needs another one. */
            lp_pool_wake_worker(pool);
        }
        /* Mail that has come since the clock was started, which would not run for it, wakes us. */
        bool is_timed = worker->relief_at_ns && has_mail(worker);
        if (!lp_parking_sleep(&pool->parking, index,
                              is_timed ? worker->relief_at_ns : UINT64_MAX)) {
            relieve_mail(pool, worker);
            worker->relief_at_ns = 0; /* if the relief was not to be had: another round */
        }
    }
    take_place(worker);
}

void lp_worker_loop(struct loomp_pool *pool, unsigned index)
{
    struct lp_worker *worker = &pool->workers[index];
    lp_openmp_isolate_thread();
    lp_openmp_expect_one_thread();
    take_place(worker);
    while (!lp_pool_ends(pool)) {
        bool holds = atomic_load_explicit(&worker->busy, memory_order_relaxed); /* our own word */
        if (!holds || is_claimed(pool, index)) {
            pause(pool, worker, index);
        } else if (!serve_one(pool, worker)) {
            idle(pool, worker, index);
        }
        drop_relief(pool); /* a job that waited may have gone on with it */
    }
    free_place(pool, worker);
    lp_pool_sleep_if_frozen(pool);
}

void lp_worker_leave_place(struct loomp_pool *pool)
{
    struct lp_worker *worker = &pool->workers[lp_self.index];
    lp_card_state(&worker->card, LOOMP_STATE_PAUSED);
    atomic_fetch_add_explicit(&pool->blocked, 1, memory_order_seq_cst);
    if (lp_self.relieving) {
        tell_gang_leader(pool);
        drop_relief(pool);
    } else {
        free_place(pool, worker);
    }
    if (lp_pool_has_serial(pool)) {
        lp_pool_wake_worker(pool); /* somebody else, perhaps by relief */
    }
}

void lp_worker_reenter_place(struct loomp_pool *pool)
{
    unsigned index = (unsigned)lp_self.index;
    struct lp_worker *worker = &pool->workers[index];
    uint64_t deadline = lp_now_ns() + pool->options.relief_ns;
    for (bool in_time = true;;) {
        take_place(worker);
        if (!is_the_gangs(pool, index)) {
            break;
        }
        free_place(pool, worker);
        in_time = in_time && lp_now_ns() < deadline;
        if (!in_time && take_relief(pool)) {
            break;
        }
        uint32_t epoch = atomic_load_explicit(&pool->place_epoch, memory_order_seq_cst);
        atomic_fetch_add_explicit(&pool->relief_wanted, !in_time, memory_order_seq_cst);
        atomic_fetch_add_explicit(&pool->place_waiters, 1, memory_order_seq_cst);
        /* Look again: a place or the relief that was given back before the announcement did not wake
         * us (lp_pool_wake_place_waiters comes after that: the claim or the relief, then the
         * waiters). */
        if (is_the_gangs(pool, index) &&
            (in_time || atomic_load_explicit(&pool->relief, memory_order_seq_cst))) {
            lp_futex_wait(&pool->place_epoch, epoch, in_time ? deadline : UINT64_MAX);
        }
        atomic_fetch_sub_explicit(&pool->place_waiters, 1, memory_order_seq_cst);
        atomic_fetch_sub_explicit(&pool->relief_wanted, !in_time, memory_order_seq_cst);
    }
    atomic_fetch_sub_explicit(&pool->blocked, 1, memory_order_seq_cst);
    lp_card_state(&worker->card, LOOMP_STATE_BUSY);
}

void lp_worker_count_start(struct loomp_pool *pool)
{
    count_start(&pool->workers[lp_self.index]);
    tell_gang_leader(pool);
}

bool lp_worker_yield(struct loomp_pool *pool, bool local)
{
    bool is_worker = lp_self.role == LP_WORKER;
    struct lp_taker taker = {.worker = LP_NO_WORKER};
    void *item;
    if (local) {
        item = is_worker ? lp_queues_take_local(&pool->serial, (unsigned)lp_self.index) : NULL;
    } else {
        item = lp_pool_take_serial(pool,
                                   is_worker ? &pool->workers[lp_self.index].taker : &taker);
    }
    if (!item) {
        return false;
    }
    if (is_worker) {
        lp_worker_count_start(pool);
    }
    lp_self.yields++;
    lp_team_run(pool, item); /* the item may be gone from here on */
    lp_self.yields--;
    return true;
}
