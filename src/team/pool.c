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

static void init_card(struct lp_thread_card *card)
{
    pthread_mutex_init(&card->lock, NULL);
    lp_sleeper_add(&card->sleeper);
}

static struct lp_thread_card *new_cards(unsigned count)
{
    struct lp_thread_card *cards = calloc(count, sizeof *cards);
    for (unsigned i = 0; cards && i < count; i++) {
        init_card(&cards[i]);
    }
    return cards;
}

static void free_cards(struct lp_thread_card *cards, unsigned count)
{
    for (unsigned i = 0; cards && i < count; i++) {
        lp_sleeper_remove(&cards[i].sleeper);
    }
    free(cards);
}

static void free_workers(struct lp_worker *workers, unsigned count)
{
    for (unsigned i = 0; workers && i < count; i++) {
        lp_sleeper_remove(&workers[i].card.sleeper);
    }
    free(workers);
}

static int init_workers(struct loomp_pool *pool)
{
    unsigned count = pool->options.threads;
    pool->workers = aligned_alloc(LP_CACHE_LINE, count * sizeof *pool->workers);
    pool->gang.cards = new_cards(count);
    if (pool->workers) {
        memset((void *)pool->workers, 0, count * sizeof *pool->workers);
    }
    if (!pool->workers || !pool->gang.cards) {
        return lp_fail(-ENOMEM, "no memory for %u workers", count);
    }
    pool->whole = count;
    for (unsigned i = 0; i < count; i++) {
        const struct lp_place *place = &pool->options.places[i];
        pool->workers[i].spin_ns = place->shared ? 0 : pool->options.spin_ns;
        pool->workers[i].taker.worker = (int)i;
        init_card(&pool->workers[i].card);
        pool->whole = place->sibling && i < pool->whole ? i : pool->whole;
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
    if (!err) {
        err = lp_queues_init(&pool->serial, options->blocking ? NULL : options->places,
                             options->threads, options->queue_limit);
    }
    for (int i = 0; !err && !options->blocking && i < LP_PRIORITIES; i++) {
        err = lp_ring_init(&pool->gangs[i], options->queue_limit);
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
    lp_queues_fini(&pool->serial);
    for (int i = 0; i < LP_PRIORITIES; i++) {
        lp_ring_fini(&pool->gangs[i]);
    }
    lp_overflow_fini(&pool->late_serial);
    lp_overflow_fini(&pool->late_gangs);
    lp_parking_fini(&pool->parking);
    lp_parking_fini(&pool->gang.parking);
    free_workers(pool->workers, pool->options.threads);
    free_cards(pool->gang.cards, pool->options.threads);
    free(pool->blocking.threads);
    free_cards(pool->blocking.cards, pool->options.threads);
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

int lp_pool_enter(struct loomp_pool *pool)
{
    if (!pool->options.counted || lp_rundown_enter(&pool->uses, 2, lp_self.inside)) {
        return 0;
    }
    return lp_fail(-ESHUTDOWN, "pool %s is being closed and takes no work from outside",
                   pool->options.name);
}

static unsigned row_of(int priority)
{
    return priority > 0 ? 0 : priority == 0 ? 1 : 2;
}

/* ---- queues -------------------------------------------------------------------------------------- */

static bool is_own_thread(const struct loomp_pool *pool)
{
    return lp_self.pool == pool && (lp_self.role == LP_WORKER || lp_self.role == LP_GANG);
}

/* The group of queues that is nearest to the calling thread. */
static unsigned own_group(const struct loomp_pool *pool)
{
    const struct lp_queues *queues = &pool->serial;
    return is_own_thread(pool) ? queues->locals[lp_self.index].group
                               : lp_queues_group_of_cache(queues, (int)lp_self.near - 1);
}

bool lp_pool_push_serial(struct loomp_pool *pool, int priority, void *item, const void *tag,
                         bool in_order, struct lp_ticket *ticket)
{
    unsigned row = row_of(priority);
    if (lp_self.role == LP_WORKER && lp_self.pool == pool && !in_order &&
        lp_queues_push_local(&pool->serial, (unsigned)lp_self.index, row, item, tag, ticket)) {
        return true;
    }
    return lp_queues_inject(&pool->serial, own_group(pool), row, item, tag, ticket);
}

bool lp_pool_push_gang(struct loomp_pool *pool, int priority, void *item, const void *tag,
                       struct lp_ticket *ticket)
{
    struct lp_ring *ring = &pool->gangs[row_of(priority)];
    *ticket = (struct lp_ticket){ring, LP_NO_POSITION};
    return lp_ring_push_noted(ring, item, tag, pool->options.ops.note(item), &ticket->position);
}

uint64_t lp_pool_room(struct loomp_pool *pool, bool serial, int priority)
{
    unsigned row = row_of(priority);
    struct lp_ring *ring =
        serial ? &pool->serial.groups[own_group(pool)].rings[row] : &pool->gangs[row];
    uint64_t count = lp_ring_count(ring);
    return count < ring->limit ? ring->limit - count : 0;
}

bool lp_pool_has_serial(struct loomp_pool *pool)
{
    return lp_queues_any(&pool->serial) || !lp_completions_empty(&pool->dones) ||
           lp_overflow_maybe_nonempty(&pool->late_serial);
}

bool lp_pool_has_gang(struct loomp_pool *pool)
{
    for (int i = 0; i < LP_PRIORITIES; i++) {
        if (lp_ring_maybe_nonempty(&pool->gangs[i])) {
            return true;
        }
    }
    return lp_overflow_maybe_nonempty(&pool->late_gangs);
}

void *lp_pool_take_serial(struct loomp_pool *pool, struct lp_taker *taker)
{
    /* What is late was accepted before most of what waits. */
    void *item = lp_overflow_maybe_nonempty(&pool->late_serial)
                     ? lp_overflow_take(&pool->late_serial)
                     : NULL;
    if (item) {
        return item;
    }
    item = lp_queues_take(&pool->serial, taker);
    if (item && taker->stole) {
        lp_card_add(&lp_self.card->stolen);
    }
    return item;
}

/* Relaxed: what counts is that it grows. */
static unsigned first_gang_row(struct loomp_pool *pool)
{
    return lp_first_row(atomic_load_explicit(&pool->gang.takes, memory_order_relaxed));
}

static void count_gang_take(struct loomp_pool *pool)
{
    atomic_fetch_add_explicit(&pool->gang.takes, 1, memory_order_relaxed);
}

void *lp_pool_take_gang(struct loomp_pool *pool)
{
    void *item = lp_overflow_maybe_nonempty(&pool->late_gangs) ? lp_overflow_take(&pool->late_gangs)
                                                               : NULL;
    unsigned first = first_gang_row(pool);
    item = item ? item : lp_ring_pop(&pool->gangs[first]);
    for (unsigned row = 0; !item && row < LP_PRIORITIES; row++) {
        item = row == first ? NULL : lp_ring_pop(&pool->gangs[row]);
    }
    if (item) {
        count_gang_take(pool);
    }
    return item;
}

void *lp_pool_take_gang_if(struct loomp_pool *pool, bool (*wanted)(uint64_t note, const void *arg),
                           const void *arg, bool *is_other)
{
    unsigned first = first_gang_row(pool);
    *is_other = lp_overflow_maybe_nonempty(&pool->late_gangs);
    for (unsigned i = 0; !*is_other && i <= LP_PRIORITIES; i++) {
        unsigned row = i ? i - 1 : first;
        if (i && row == first) {
            continue;
        }
        void *item = lp_ring_pop_if(&pool->gangs[row], wanted, arg);
        if (item) {
            count_gang_take(pool);
            return item;
        }
        *is_other = lp_ring_count(&pool->gangs[row]);
    }
    return NULL;
}

bool lp_pool_peek_gang(struct loomp_pool *pool, uint64_t *note)
{
    unsigned first = first_gang_row(pool);
    bool found = !lp_overflow_maybe_nonempty(&pool->late_gangs) &&
                 lp_ring_peek(&pool->gangs[first], 0, note);
    for (unsigned row = 0; !found && row < LP_PRIORITIES; row++) {
        found = lp_ring_peek(&pool->gangs[row], 0, note);
    }
    return found;
}

void *lp_pool_take_serial_tagged(struct loomp_pool *pool, const void *tag,
                                 struct lp_queue_cursors *cursors)
{
    bool is_worker = lp_self.role == LP_WORKER && lp_self.pool == pool;
    void *item = lp_queues_take_tagged(&pool->serial, is_worker ? lp_self.index : LP_NO_WORKER,
                                       tag, cursors);
    return item ? item : lp_overflow_take_tagged(&pool->late_serial, tag);
}

void *lp_pool_take_gang_tagged(struct loomp_pool *pool, const void *tag,
                               struct lp_gang_cursors *cursors)
{
    void *item = NULL;
    for (int row = 0; !item && row < LP_PRIORITIES; row++) {
        uint64_t from_start = 0;
        item = lp_ring_take_tagged(&pool->gangs[row], tag,
                                   cursors ? &cursors->at[row] : &from_start);
    }
    return item ? item : lp_overflow_take_tagged(&pool->late_gangs, tag);
}

/* ---- calling jobs that wait ---------------------------------------------------------------------- */

void lp_pool_listen(struct loomp_pool *pool, struct lp_thread_waiter *waiter)
{
    struct lp_thread_card *card = lp_self.card;
    pthread_mutex_lock(&card->lock);
    card->waiting = waiter;
    pthread_mutex_unlock(&card->lock);
    /* seq_cst: who pushes something for us and then sees no listener did so before we look for it. */
    if (waiter) {
        atomic_fetch_add_explicit(&pool->listeners, 1, memory_order_seq_cst);
    } else {
        atomic_fetch_sub_explicit(&pool->listeners, 1, memory_order_seq_cst);
    }
}

bool lp_pool_is_called(struct loomp_pool *pool)
{
    return !lp_completions_empty(&pool->dones) ||
           (lp_self.role == LP_WORKER &&
            !lp_completions_empty(&pool->workers[lp_self.index].mail));
}

bool lp_pool_call(struct lp_thread_card *card)
{
    pthread_mutex_lock(&card->lock);
    bool listens = card->waiting;
    if (listens) {
        lp_thread_waiter_stir(card->waiting);
    }
    pthread_mutex_unlock(&card->lock);
    return listens;
}

void lp_pool_call_anyone(struct loomp_pool *pool)
{
    if (!atomic_load_explicit(&pool->listeners, memory_order_seq_cst)) {
        return;
    }
    for (unsigned i = 0; i < pool->options.threads; i++) {
        if (lp_pool_call(pool->options.blocking ? &pool->blocking.cards[i]
                                                : &pool->workers[i].card)) {
            return;
        }
    }
}

/* ---- waking -------------------------------------------------------------------------------------- */

/* Whole cores first, and among them those near the caller. */
static bool wake_in_order(struct loomp_pool *pool, unsigned from, unsigned to)
{
    struct lp_parking *parking = &pool->parking;
    struct lp_queues *queues = &pool->serial;
    const uint64_t *near =
        queues->used_count > 1 ? queues->groups[own_group(pool)].mask : NULL;
    unsigned whole = pool->whole < to ? pool->whole : to;
    if ((near && lp_parking_wake_among(parking, near, from, whole)) ||
        lp_parking_wake_between(parking, from, whole)) {
        return true;
    }
    from = from > whole ? from : whole;
    return (near && lp_parking_wake_among(parking, near, from, to)) ||
           lp_parking_wake_between(parking, from, to);
}

void lp_pool_wake_worker(struct loomp_pool *pool)
{
    /* A searcher that stops searching looks at the queues once more before it parks, and one that
     * finds work looks for more behind it: so none has to be woken beside it. */
    if (atomic_load_explicit(&pool->searching, memory_order_seq_cst)) {
        return;
    }
    unsigned claim = atomic_load_explicit(&pool->claim, memory_order_seq_cst);
    if (wake_in_order(pool, claim, lp_pool_open(pool))) {
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

void lp_pool_withdrew(struct loomp_pool *pool)
{
    if (atomic_load_explicit(&pool->attention, memory_order_seq_cst)) {
        lp_pool_wake_for_gang(pool);
    }
}

void lp_pool_wake_place_waiters(struct loomp_pool *pool)
{
    atomic_fetch_add_explicit(&pool->place_epoch, 1, memory_order_seq_cst);
    if (atomic_load_explicit(&pool->place_waiters, memory_order_seq_cst)) {
        lp_futex_wake(&pool->place_epoch, INT_MAX);
    }
}

void lp_pool_places_freed(struct loomp_pool *pool)
{
    /* Paused workers sleep among the parked; as many as there is work for are woken, one by one. */
    lp_pool_wake_place_waiters(pool);
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
        .card = card,
        .sleeper = &card->sleeper,
        .stack_low = lp_thread_stack_low(),
        .near = options->blocking ? 0 : (unsigned)(place->cache + 1),
        .fp_control = lp_fp_control(),
    };
    atomic_store_explicit(&card->tid, lp_thread_tid(), memory_order_release);
}

static _Thread_local struct lp_self lent __attribute__((tls_model("initial-exec")));

void lp_pool_lend_thread(void)
{
    lent = lp_self;
    lp_self = (struct lp_self){0};
}

bool lp_pool_retake_thread(const struct loomp_pool *pool, unsigned index)
{
    bool is_ours = lent.pool == pool && lent.role == LP_GANG && lent.index == (int)index;
    if (is_ours) {
        lp_self = lent;
    }
    lent = (struct lp_self){0};
    return is_ours;
}

void lp_pool_drop_thread(void)
{
    lp_self = lent = (struct lp_self){0};
    lp_object_pool_release();
}

void lp_pool_look(struct loomp_pool *pool, bool serial, struct lp_pool_view *view)
{
    *view = (struct lp_pool_view){
        .searching = atomic_load_explicit(&pool->searching, memory_order_relaxed) > 0,
        .parked = lp_parking_any(&pool->parking),
        .waiting = lp_queues_waiting(&pool->serial),
    };
    if (serial || pool->options.blocking) {
        return;
    }
    view->gang_runs = atomic_load_explicit(&pool->claim, memory_order_relaxed) > 0;
    view->expected_ns = atomic_load_explicit(&pool->expected_ns, memory_order_relaxed);
    for (int row = 0; row < LP_PRIORITIES; row++) {
        view->gangs += lp_ring_count(&pool->gangs[row]);
    }
}
