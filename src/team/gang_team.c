/* SPDX-License-Identifier: MIT */
/* Owns the gang team: the leader's life, the rest region between jobs, and the claim on places.
 *
 * Between jobs the whole team is inside a region of loomp's, because there it searches and sleeps by
 * loomp's rules; libomp's would spin for 200 ms. A job starts by leaving that region.
 *
 * Who enters: the leader (a thread of loomp's) and the threads that libomp gives to its regions. */
#include "team/gang_team.h"

#include "base/error.h"
#include "base/fp_control.h"
#include "base/futex.h"
#include "base/log.h"
#include "base/self.h"
#include "placement/topology.h"
#include "team/openmp.h"
#include "team/tasks_region.h"
#include "team/worker.h"

#include <errno.h>
#include <limits.h>
#include <omp.h>
#include <sched.h>

enum { LOOKS_PER_CLOCK = 64 };

/* ---- places ------------------------------------------------------------------------------------ */

/* Sets the claim, and lets go of what it no longer covers. */
static void set_claim(struct loomp_pool *pool, unsigned width)
{
    unsigned old = atomic_load_explicit(&pool->claim, memory_order_relaxed); /* the leader's own */
    if (old == width) {
        return;
    }
    atomic_store_explicit(&pool->claim, width, memory_order_seq_cst);
    if (width < old) {
        lp_pool_places_freed(pool);
    }
}

struct until {
    struct loomp_pool *pool;
    bool (*holds)(struct until *until);
    enum lp_attention attention;     /* whose doings can bring it about */
    unsigned width;                  /* places_free */
    bool is_for_next;                /* the same: for a job that still waits in its queue */
    uint64_t started;                /* served */
    uint64_t deadline_ns;            /* had_their_share */
};

static bool places_free(struct until *until)
{
    if (until->is_for_next && !lp_pool_has_gang(until->pool)) {
        return true; /* the job that the places were for has been withdrawn */
    }
    for (unsigned i = 0; i < until->width; i++) {
        if (atomic_load_explicit(&until->pool->workers[i].busy, memory_order_seq_cst)) {
            return false;
        }
    }
    return true;
}

/* The leader sleeps until something holds that workers bring about at job boundaries. They tell it
 * as long as `attention` is set: it is set (seq_cst) before the leader looks, and they change what
 * it looks at (seq_cst) before they read it. */
static void sleep_until(struct until *until)
{
    struct loomp_pool *pool = until->pool;
    for (int i = 0; i < LOOKS_PER_CLOCK; i++) {
        if (until->holds(until)) {
            return;
        }
        lp_relax();
    }
    atomic_store_explicit(&pool->attention, until->attention, memory_order_seq_cst);
    while (!until->holds(until)) {
        lp_parking_announce(&pool->gang.parking, 0);
        if (until->holds(until)) {
            lp_parking_withdraw(&pool->gang.parking, 0);
            break;
        }
        lp_parking_sleep(&pool->gang.parking, 0, until->deadline_ns ? until->deadline_ns : UINT64_MAX);
    }
    atomic_store_explicit(&pool->attention, 0, memory_order_relaxed); /* too late is harmless */
}

static void claim_and_wait(struct loomp_pool *pool, unsigned width, bool is_for_next)
{
    set_claim(pool, width);
    sleep_until(&(struct until){.pool = pool,
                                .holds = places_free,
                                .attention = LP_HEAR_CLAIMED,
                                .width = width,
                                .is_for_next = is_for_next});
}

static void claim_places(struct loomp_pool *pool, unsigned width)
{
    claim_and_wait(pool, width, false);
}

/* ---- the rest region ---------------------------------------------------------------------------- */

/* What each thread of the region sees to before it rests: its name and place, the first time; its
 * floating-point control and its CPU, which a job may have changed. */
static void settle(struct loomp_pool *pool, unsigned index)
{
    bool is_known = lp_self.pool == pool && lp_self.role == LP_GANG && lp_self.index == (int)index;
    if (!is_known && !lp_pool_retake_thread(pool, index)) {
        lp_pool_adopt_thread(pool, LP_TEAM_GANG, index);
        /* Outside of this region a member runs only what jobs bring; the leader counts each job. */
        lp_self.inside = index > 0;
        return;
    }
    lp_fp_restore(lp_self.fp_control);
    int cpu = sched_getcpu();
    const struct lp_place *place = &pool->options.places[index];
    if (cpu >= 0 && !lp_cpuset_has(place->cpus, (unsigned)cpu)) {
        lp_bind_thread(pool->options.topology, place->cpus);
    }
}

/* A member waits for the leader to open the gate, spinning only while the gang holds the places. */
static void wait_at_gate(struct loomp_pool *pool, unsigned index, uint32_t closed)
{
    struct lp_gang *gang = &pool->gang;
    while (atomic_load_explicit(&gang->linger, memory_order_relaxed) &&
           index < atomic_load_explicit(&pool->claim, memory_order_relaxed) &&
           atomic_load_explicit(&gang->gate, memory_order_acquire) == closed) {
        lp_relax();
    }
    if (atomic_load_explicit(&gang->gate, memory_order_acquire) == closed) {
        /* Asleep for longer: the moment to make sure of the whole mask. */
        lp_bind_thread(pool->options.topology, pool->options.places[index].cpus);
        lp_card_state(&gang->cards[index], LOOMP_STATE_PARKED);
        atomic_fetch_add_explicit(&gang->gate_sleepers, 1, memory_order_seq_cst);
        while (atomic_load_explicit(&gang->gate, memory_order_seq_cst) == closed) {
            lp_futex_wait(&gang->gate, closed, UINT64_MAX);
        }
        atomic_fetch_sub_explicit(&gang->gate_sleepers, 1, memory_order_relaxed);
    }
    lp_card_state(&gang->cards[index], LOOMP_STATE_BUSY);
}

static void open_gate(struct lp_gang *gang)
{
    /* seq_cst: either we see the sleeper's announcement, or it sees the open gate. */
    atomic_fetch_add_explicit(&gang->gate, 1, memory_order_seq_cst);
    if (atomic_load_explicit(&gang->gate_sleepers, memory_order_seq_cst)) {
        lp_futex_wake(&gang->gate, INT_MAX);
    }
}

/* The last thread to arrive in the first region says how large it is. */
static void arrive(struct loomp_pool *pool)
{
    unsigned threads = (unsigned)omp_get_num_threads();
    if (atomic_fetch_add_explicit(&pool->arrived, 1, memory_order_acq_rel) + 1 == threads) {
        pool->gang.threads = threads;
        atomic_store_explicit(&pool->ready, 1, memory_order_release);
        lp_futex_wake(&pool->ready, 1);
    }
}

static void rest(struct loomp_pool *pool, void (*wait)(void *arg), void *arg)
{
    struct lp_gang *gang = &pool->gang;
    uint32_t closed = atomic_load_explicit(&gang->gate, memory_order_relaxed); /* leader's own */
    bool first = !atomic_load_explicit(&pool->ready, memory_order_relaxed);
    int threads = (int)pool->options.threads;
#pragma omp parallel num_threads(threads) default(none) \
    firstprivate(pool, gang, wait, arg, closed, first)
    {
        unsigned index = (unsigned)omp_get_thread_num();
        settle(pool, index);
        if (first) {
            arrive(pool);
        }
        if (index == 0) {
            wait(arg);
            open_gate(gang);
        } else {
            wait_at_gate(pool, index, closed);
            bool takes_part = index < gang->item_width;
            lp_openmp_spin_in_barriers(takes_part);
            if (!takes_part) {
                lp_pool_lend_thread();
            }
        }
    }
}

/* ---- the leader --------------------------------------------------------------------------------- */

/* After a gang, keeps the places and the members awake for a moment, in case another follows. */
static void linger(struct loomp_pool *pool)
{
    uint64_t since = lp_now_ns();
    while (!lp_pool_has_gang(pool) && !lp_pool_has_serial(pool) && !lp_pool_ends(pool)) {
        for (int i = 0; i < LOOKS_PER_CLOCK; i++) {
            lp_relax();
        }
        if (lp_now_ns() - since > pool->workers[0].spin_ns) {
            return;
        }
    }
}

static bool had_their_share(struct until *until)
{
    return !lp_pool_has_serial(until->pool) || lp_now_ns() >= until->deadline_ns ||
           lp_pool_ends(until->pool);
}

/* The SERIAL work that waits behind a gang gets the places for as long as the gang's share of the time
 * asks for, or until there is none left. */
static void leave_a_share(struct loomp_pool *pool)
{
    double share = pool->options.max_share;
    uint64_t held_ns = pool->gang.held_ns;
    pool->gang.held_ns = 0;
    if (share < 1 && held_ns && lp_pool_has_serial(pool)) {
        atomic_store_explicit(&pool->gang.linger, 0, memory_order_relaxed);
        set_claim(pool, 0);
        sleep_until(&(struct until){
            .pool = pool,
            .holds = had_their_share,
            .attention = LP_HEAR_ALL,
            .deadline_ns = lp_now_ns() + (uint64_t)((double)held_ns * (1 - share) / share),
        });
    }
}

static unsigned width_of(struct loomp_pool *pool, uint64_t note)
{
    unsigned width = lp_note_width(note), most = lp_gang_most(pool);
    return lp_note_kind(note) == LOOMP_TASKS ? lp_tasks_region_width(pool, note)
           : width && width < most           ? width
                                             : most;
}

/* Takes the next job. The places come first: as long as they have to be waited for, the job stays where
 * it can be cancelled and where a more urgent one can go before it. NULL: somebody else took it. */
static void *take_job(struct loomp_pool *pool)
{
    struct lp_gang *gang = &pool->gang;
    uint64_t note;
    lp_card_state(&gang->cards[0], LOOMP_STATE_PAUSED);
    atomic_store_explicit(&gang->linger, 0, memory_order_relaxed); /* the places may have to wait */
    claim_and_wait(pool,
                   lp_pool_peek_gang(pool, &note) ? width_of(pool, note) : lp_gang_most(pool), true);
    void *item = lp_pool_take_gang(pool);
    if (item) {
        gang->item_width = width_of(pool, pool->options.ops.note(item));
        claim_places(pool, gang->item_width); /* mostly the same */
    }
    return item;
}

static void wait_for_job(void *arg)
{
    struct loomp_pool *pool = arg;
    struct lp_gang *gang = &pool->gang;
    lp_card_state(&gang->cards[0], LOOMP_STATE_SEARCHING);
    leave_a_share(pool);
    if (atomic_load_explicit(&pool->claim, memory_order_relaxed)) {
        linger(pool);
    }
    gang->item = NULL;
    while (!lp_pool_ends(pool)) {
        gang->item = lp_pool_has_gang(pool) ? take_job(pool) : NULL;
        if (gang->item) {
            lp_pool_stir(pool);
            break;
        }
        atomic_store_explicit(&gang->linger, 0, memory_order_relaxed);
        set_claim(pool, 0);
        lp_card_state(&gang->cards[0], LOOMP_STATE_PARKED);
        lp_parking_announce(&gang->parking, 0);
        if (lp_pool_has_gang(pool) || lp_pool_ends(pool)) {
            lp_parking_withdraw(&gang->parking, 0);
        } else {
            lp_parking_sleep(&gang->parking, 0, UINT64_MAX);
        }
    }
    lp_pool_sleep_if_frozen(pool);
    /* The members of the next rest region spin while the places are held. */
    atomic_store_explicit(&gang->linger, pool->workers[0].spin_ns > 0, memory_order_relaxed);
    lp_card_state(&gang->cards[0], LOOMP_STATE_BUSY);
}

/* A GANG: its regions are the job's own business. */
static void run_gang(struct loomp_pool *pool, void *item)
{
    void (*run)(void *item) = pool->options.ops.run;
    unsigned width = pool->gang.item_width;
    /* A task of its own, so that what the job does to the ICVs ends with it. */
#pragma omp task if (0) firstprivate(run, item, width) default(none)
    {
        lp_openmp_user_regions(width);
        run(item);
    }
    lp_card_count(&pool->gang.cards[0]);
}

static bool is_tasks(struct loomp_pool *pool, const void *item)
{
    return lp_note_kind(pool->options.ops.note(item)) == LOOMP_TASKS;
}

/* An item that the leader took for its own sake, with no job below it. */
static void run_first(struct loomp_pool *pool, void *item)
{
    if (is_tasks(pool, item)) {
        lp_tasks_region_run(pool, item, pool->gang.item_width, true);
    } else {
        run_gang(pool, item);
    }
}

/* With a team of one around it, so that what it has of OpenMP does not meet the team that it is run
 * in. */
static void call_alone(void (*fn)(void *arg), void *arg)
{
    if (omp_get_num_threads() == 1) {
        lp_team_run_outside(fn, arg);
        return;
    }
#pragma omp parallel num_threads(1) default(none) firstprivate(fn, arg)
    fn(arg);
}

void lp_gang_call_narrow(void (*fn)(void *arg), void *arg)
{
    lp_card_add(&lp_self.card->gangs_narrowed);
    call_alone(fn, arg);
}

enum lp_gang_context lp_gang_context(struct loomp_pool *pool)
{
    return lp_self.role != LP_GANG || lp_self.pool != pool ? LP_GANG_ELSEWHERE
           : lp_tasks_region_is_open(pool)                 ? LP_GANG_IN_TASKS
           : lp_self.index == 0 && lp_openmp_level() == 0  ? LP_GANG_AT_TOP
                                                           : LP_GANG_IN_REGION;
}

void lp_gang_run_in_place(struct loomp_pool *pool, void *item)
{
    uint32_t kind = lp_note_kind(pool->options.ops.note(item));
    bool at_top = lp_gang_context(pool) == LP_GANG_AT_TOP;
    if (kind == LOOMP_SERIAL) {
        call_alone(pool->options.ops.run, item);
    } else if (kind == LOOMP_TASKS) {
        if (at_top) {
            /* The job around it may have other settings; they are its own. */
            int width = (int)pool->gang.item_width;
#pragma omp task if (0) firstprivate(pool, item, width) default(none)
            lp_tasks_region_run(pool, item, (unsigned)width, false);
        } else {
            lp_team_run(pool, item);
        }
    } else if (at_top) {
        run_gang(pool, item);
    } else {
        lp_gang_call_narrow(pool->options.ops.run, item);
    }
}

static void spread_over_region(int threads, void (*fn)(void *arg), void *arg)
{
    if (threads < 2) {
        fn(arg); /* libomp loses memory at each region of one thread that gcc has compiled */
        return;
    }
#pragma omp parallel num_threads(threads) default(none) firstprivate(fn, arg)
    fn(arg);
}

void lp_gang_spread(struct loomp_pool *pool, unsigned threads, void (*fn)(void *arg), void *arg)
{
    enum lp_gang_context context = lp_gang_context(pool);
    if (context == LP_GANG_AT_TOP) {
        unsigned width = pool->gang.item_width;
        spread_over_region((int)(threads < width ? threads : width), fn, arg);
    } else if (context == LP_GANG_IN_TASKS) {
#pragma omp taskgroup
        {
            for (unsigned i = 1; i < threads && i < pool->gang.tasks.width; i++) {
#pragma omp task default(none) firstprivate(fn, arg)
                fn(arg);
            }
            fn(arg);
        }
    } else {
        fn(arg);
    }
}

static void lead(void *arg)
{
    struct loomp_pool *pool = arg;
    lp_openmp_start(pool->options.stack_bytes, pool->options.crowded);
    lp_openmp_own_regions();
    if (pool->options.named) {
        lp_openmp_leave_binding_alone();
    }
    for (;;) {
        rest(pool, wait_for_job, pool);
        if (!pool->gang.item) {
            break;
        }
        uint64_t since = lp_now_ns();
        run_first(pool, pool->gang.item);
        pool->gang.held_ns = lp_now_ns() - since;
    }
    set_claim(pool, 0);
    int threads = (int)pool->gang.threads;
#pragma omp parallel num_threads(threads)
    lp_pool_drop_thread();
}

int lp_gang_team_start(struct loomp_pool *pool)
{
    atomic_store_explicit(&pool->arrived, 0, memory_order_relaxed);
    atomic_store_explicit(&pool->ready, 0, memory_order_relaxed);
    /* A leader that has told libomp to leave binding alone is none for a pool whose places libomp
     * knows. */
    int err = lp_thread_start(&pool->gang.leader, pool->options.named ? "named gang" : "gang",
                              pool->options.stack_bytes, lead, pool);
    if (err) {
        return err;
    }
    while (!atomic_load_explicit(&pool->ready, memory_order_acquire)) {
        lp_futex_wait(&pool->ready, 0, UINT64_MAX);
    }
    if (pool->gang.threads < pool->options.threads) {
        lp_log(LOOMP_LOG_WARNING,
               "pool %s: OpenMP gave the gang team %u of %u threads (OMP_THREAD_LIMIT, "
               "KMP_LIBRARY or the like)",
               pool->options.name, pool->gang.threads, pool->options.threads);
    }
    return 0;
}

void lp_gang_team_stop(struct loomp_pool *pool)
{
    lp_pool_wake_for_gang(pool);
    lp_thread_join(pool->gang.leader);
}

bool lp_gang_at_top_level(struct loomp_pool *pool)
{
    return lp_gang_context(pool) == LP_GANG_AT_TOP;
}

struct rest_in_job {
    struct loomp_pool *pool;
    void (*wait)(void *arg);
    void *arg;
};

static void wait_in_job(void *arg)
{
    struct rest_in_job *resting = arg;
    struct loomp_pool *pool = resting->pool;
    unsigned width = pool->gang.item_width;
    set_claim(pool, 0);
    lp_card_state(&pool->gang.cards[0], LOOMP_STATE_PAUSED);
    resting->wait(resting->arg);
    claim_places(pool, width);
    lp_card_state(&pool->gang.cards[0], LOOMP_STATE_BUSY);
}

void lp_gang_rest_in_job(struct loomp_pool *pool, void (*wait)(void *arg), void *arg)
{
    /* The job's settings must not change the size of our region, nor ours the job's. */
    int dynamic = omp_get_dynamic(), levels = omp_get_max_active_levels();
    uint64_t fp_control = lp_fp_control();
    lp_openmp_own_regions();
    uint32_t lingers = atomic_exchange_explicit(&pool->gang.linger, 0, memory_order_relaxed);
    rest(pool, wait_in_job, &(struct rest_in_job){pool, wait, arg});
    atomic_store_explicit(&pool->gang.linger, lingers, memory_order_relaxed);
    omp_set_dynamic(dynamic);
    omp_set_max_active_levels(levels);
    lp_fp_restore(fp_control);
}

/* As many jobs have begun as were waiting; or none waits any more; or nobody is left to serve them,
 * because every worker's job waits, perhaps for a gang that cannot begin before this one ends. */
static uint64_t count_started(struct loomp_pool *pool)
{
    uint64_t started = 0;
    for (unsigned i = 0; i < pool->width; i++) {
        started += atomic_load_explicit(&pool->workers[i].started, memory_order_seq_cst);
    }
    return started;
}

static bool served(struct until *until)
{
    struct loomp_pool *pool = until->pool;
    return atomic_load_explicit(&pool->blocked, memory_order_seq_cst) >= pool->width ||
           count_started(pool) >= until->started || !lp_pool_has_serial(pool);
}

static void wait_until_served(void *arg)
{
    sleep_until(arg);
}

unsigned lp_gang_pause_for_serial(struct loomp_pool *pool)
{
    if (!lp_pool_has_serial(pool)) {
        return 0;
    }
    uint64_t waiting = lp_queues_count(&pool->serial);
    waiting = waiting ? waiting : 1; /* a done */
    lp_gang_rest_in_job(pool, wait_until_served,
                        &(struct until){.pool = pool,
                                        .holds = served,
                                        .attention = LP_HEAR_ALL,
                                        .started = count_started(pool) + waiting});
    return (unsigned)waiting;
}
