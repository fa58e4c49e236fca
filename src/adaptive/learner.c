/* SPDX-License-Identifier: MIT */
/* Owns the learners: one for each loop that has placed a call, made then and ended with the loop,
 * and one for all other threads. A learner is entered by its thread; the traces are read by
 * anybody. */
#include "adaptive/learner.h"

#include "adaptive/trace.h"
#include "base/error.h"
#include "base/self.h"
#include "base/stopwatch.h"
#include "base/thread.h"
#include "loop/loop.h"

#include <errno.h>
#include <math.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

enum {
    MOST_POOLS = 16,
    PATIENCE = 32, /* looks */
    MOST_YIELDS = 100000
};

struct pool_costs {
    const struct loomp_pool *pool;
    struct lp_handover handover;
};

struct lp_learner {
    struct lp_learner *next, **link; /* on the list of all, guarded by its lock */
    loomp_loop *loop;                /* NULL: of the threads without one */
    int index;                       /* of the loop */
    uint64_t random;                 /* the state of SplitMix64 */
    unsigned local_count;
    struct lp_site_local **locals; /* by the record's id; NULL: not used here */
    unsigned pool_count;
    struct pool_costs pools[MOST_POOLS];
    struct lp_trace trace;
};

static struct lp_adaptive_settings current = {.seed = 1};
static struct lp_adaptive_beliefs beliefs;

/* Guards the list of learners, not what is in them. */
static pthread_mutex_t learners_lock = PTHREAD_MUTEX_INITIALIZER;
static struct lp_learner *learners;

/* The one of threads without a loop. Who sets visiting from 0 (acquire) has it until the store of 0
 * (release); nobody waits for it but who ends it. */
static struct lp_learner *visitors;
static _Atomic uint32_t visiting;

/* ---- a learner's life ------------------------------------------------------------------------ */

static struct lp_learner *new_learner(loomp_loop *loop, int index)
{
    struct lp_learner *learner = calloc(1, sizeof *learner);
    if (!learner) {
        return NULL;
    }
    learner->loop = loop;
    learner->index = index;
    /* Each of the runtime's loops has a sequence of its own; attached ones and threads without
     * share one. */
    learner->random = current.seed + 0x9e3779b97f4a7c15u * (uint64_t)(index + 2) * 1000003u;
    lp_trace_init(&learner->trace, current.trace); /* without memory there is no trace */
    pthread_mutex_lock(&learners_lock);
    learner->next = learners;
    learner->link = &learners;
    if (learners) {
        learners->link = &learner->next;
    }
    learners = learner;
    pthread_mutex_unlock(&learners_lock);
    return learner;
}

static void free_learner(struct lp_learner *learner)
{
    pthread_mutex_lock(&learners_lock);
    *learner->link = learner->next;
    if (learner->next) {
        learner->next->link = learner->link;
    }
    pthread_mutex_unlock(&learners_lock);
    for (unsigned i = 0; i < learner->local_count; i++) {
        if (learner->locals[i]) {
            lp_site_local_flush(learner->locals[i], &current.policy.model);
            free(learner->locals[i]);
        }
    }
    free(learner->locals);
    lp_trace_fini(&learner->trace);
    free(learner);
}

static void end_of_loop(loomp_loop *loop, void *arg)
{
    (void)loop;
    lp_self.learner = NULL;
    free_learner(arg);
}

static struct lp_learner *new_learner_of_loop(loomp_loop *loop)
{
    struct lp_learner *learner = new_learner(loop, lp_self.index);
    if (learner && loomp_loop_at_exit(loop, end_of_loop, learner)) {
        free_learner(learner);
        learner = NULL;
    }
    lp_self.learner = learner;
    return learner;
}

static struct lp_learner *take_visitors(bool make)
{
    for (int i = 0; atomic_exchange_explicit(&visiting, 1, memory_order_acquire); i++) {
        if (i == PATIENCE) {
            return NULL;
        }
        lp_relax();
    }
    if (!visitors && make) {
        visitors = new_learner(NULL, -1);
    }
    if (!visitors) {
        atomic_store_explicit(&visiting, 0, memory_order_release);
    }
    return visitors;
}

/* Whether it must not depend on luck where the site's calls go. */
static bool is_told(const struct lp_site_record *record)
{
    return current.policy.mode == LP_FROZEN ||
           (current.pin && current.pin(current.config, record->name).arm);
}

/* The learner for the calling thread, to be given back; NULL: there is none now. */
static __attribute__((noinline)) struct lp_learner *make_learner(loomp_loop *loop)
{
    return loop ? new_learner_of_loop(loop) : take_visitors(true);
}

static inline struct lp_learner *take_learner(loomp_loop *loop)
{
    return loop && lp_self.learner ? lp_self.learner : make_learner(loop);
}

/* The same for who only looks, perhaps when no runtime runs: none is made. */
static struct lp_learner *take_learner_if_any(void)
{
    return lp_self.loop ? lp_self.learner : take_visitors(false);
}

static inline void give_learner(struct lp_learner *learner)
{
    if (!learner->loop) {
        atomic_store_explicit(&visiting, 0, memory_order_release);
    }
}

void lp_adaptive_start(const struct lp_adaptive_settings *settings)
{
    lp_stopwatch_init();
    beliefs = (struct lp_adaptive_beliefs){0, 0, 0};
    current = *settings;
}

void lp_adaptive_stop(void)
{
    while (atomic_exchange_explicit(&visiting, 1, memory_order_acquire)) {
        sched_yield(); /* somebody looks at it */
    }
    if (visitors) {
        free_learner(visitors);
        visitors = NULL;
    }
    atomic_store_explicit(&visiting, 0, memory_order_release);
}

const struct lp_adaptive_settings *lp_adaptive_settings(void)
{
    return &current;
}

void lp_adaptive_believe(const struct lp_adaptive_beliefs *measured)
{
    beliefs = *measured;
}

/* ---- what it holds --------------------------------------------------------------------------- */

static bool make_room(struct lp_learner *learner, unsigned id)
{
    unsigned count = learner->local_count ? learner->local_count : 16;
    while (count <= id) {
        count *= 2;
    }
    struct lp_site_local **locals = realloc(learner->locals, count * sizeof *locals);
    if (!locals) {
        return false;
    }
    memset(locals + learner->local_count, 0, (count - learner->local_count) * sizeof *locals);
    learner->locals = locals;
    learner->local_count = count;
    return true;
}

static struct lp_site_local *new_local(struct lp_learner *learner, struct lp_site_record *record)
{
    if (record->id >= learner->local_count && !make_room(learner, record->id)) {
        return NULL;
    }
    struct lp_site_local *local = malloc(sizeof *local);
    if (local) {
        lp_site_local_init(local, record, current.policy.mode == LP_FROZEN);
        if (current.pin) {
            local->state.pin = current.pin(current.config, record->name);
        }
        learner->locals[record->id] = local;
    }
    return local;
}

/* What the learner has of a site, made at its first use there; NULL without memory. */
static inline struct lp_site_local *local_of(struct lp_learner *learner,
                                             struct lp_site_record *record)
{
    struct lp_site_local *local =
        record->id < learner->local_count ? learner->locals[record->id] : NULL;
    return local ? local : new_local(learner, record);
}

static void init_handover(struct lp_handover *handover)
{
    lp_handover_init(handover);
    if (beliefs.parked > 0) {
        handover->to_start[LP_POOL_SEARCHING].value = beliefs.searching;
        handover->to_start[LP_POOL_PARKED].value = beliefs.parked;
        handover->to_done.value = beliefs.to_done;
    }
}

/* With more pools than there is room for, the last ones share. */
static struct lp_handover *handover_of(struct lp_learner *learner, const struct loomp_pool *pool)
{
    for (unsigned i = 0; i < learner->pool_count; i++) {
        if (learner->pools[i].pool == pool) {
            return &learner->pools[i].handover;
        }
    }
    if (learner->pool_count == MOST_POOLS) {
        return &learner->pools[MOST_POOLS - 1].handover;
    }
    struct pool_costs *costs = &learner->pools[learner->pool_count++];
    costs->pool = pool;
    init_handover(&costs->handover);
    return &costs->handover;
}

/* ---- choosing -------------------------------------------------------------------------------- */

/* What a decision looks at, and the states that the pool is in: for tasks, and for gangs, which
 * wait for each other. */
struct outlook {
    const struct lp_loop_load *loop;
    struct lp_pool_load pool;
    uint64_t now_ns; /* 0: unknown */
    unsigned state, gang_state;
};

static void look_at_pool(struct loomp_pool *pool, bool serial, const struct lp_handover *handover,
                         struct outlook *outlook)
{
    struct lp_pool_view view;
    struct lp_pool_load *load = &outlook->pool;
    lp_pool_look(pool, serial, &view);
    unsigned state = lp_pool_state(view.searching, view.parked, view.waiting, pool->width);
    outlook->state = state;
    outlook->gang_state = 0;
    load->width = pool->width;
    load->submit = handover->submit.value;
    load->to_start = lp_handover_to_start(handover, state);
    load->to_done = handover->to_done.value;
    load->backlog = view.waiting ? (double)view.waiting / pool->width : 0;
    load->stale = lp_handover_is_stale(handover, state, outlook->now_ns);
    load->gang_to_start = 0;
    if (!serial) {
        outlook->gang_state = lp_pool_state(false, !view.gang_runs, view.gangs, 1);
        load->gang_to_start =
            lp_handover_gang_wait(handover, outlook->gang_state, (double)view.expected_ns,
                                  (unsigned)view.gangs + view.gang_runs);
    }
}

static void look_at_loop(loomp_loop *loop, struct outlook *outlook)
{
    static const struct lp_loop_view none;
    const struct lp_loop_view *view = loop ? lp_loop_look(loop) : &none;
    outlook->loop = &view->load;
    outlook->now_ns = view->turn_ns;
}

/* What is so much longer than expected is looked at twice. What other programs take is no cost of
 * the work, and would be no smaller elsewhere: on a busy machine one such call in hundreds would
 * rule the second moment. */
#define SUSPECT 4.0F

bool lp_adaptive_is_disturbed(const struct lp_placed *placed)
{
    uint64_t cost_ns = placed->ended_ns - placed->started_ns;
    return (float)cost_ns > SUSPECT * placed->work && lp_thread_was_preempted();
}

static void note(struct lp_placed *placed, const struct lp_choice *choice,
                 const struct outlook *outlook)
{
    placed->arm = (uint8_t)choice->arm;
    placed->width = (uint16_t)choice->width;
    placed->reason = (uint8_t)choice->reason;
    placed->model = (uint8_t)choice->model;
    placed->state = (uint8_t)(choice->arm == LOOMP_TEAM ? outlook->gang_state : outlook->state);
    placed->work = (float)choice->work.cost;
    placed->expected_ns =
        choice->arm == LOOMP_TEAM ? (float)fmin(choice->team_run, LP_MOST_NS) : 0;
    if (!current.trace) {
        return;
    }
    placed->inline_cost = (float)choice->inline_cost;
    placed->task_cost = (float)choice->task_cost;
    placed->team_cost = (float)choice->team_cost;
    placed->ready = (float)outlook->loop->ready;
    placed->rate = (float)outlook->loop->rate;
}

static double cost_of(const struct lp_choice *choice, uint32_t arm)
{
    return arm == LOOMP_INLINE ? choice->inline_cost
           : arm == LOOMP_TASK ? choice->task_cost
                               : choice->team_cost;
}

static void count(struct lp_site_local *local, const struct lp_choice *choice)
{
    struct lp_site_totals *totals = &local->totals;
    totals->arms[choice->arm]++;
    if (choice->reason >= LOOMP_BY_GR0 && choice->reason <= LOOMP_BY_GR3) {
        totals->railed[choice->reason - LOOMP_BY_GR0]++;
    }
    if (choice->arm != choice->cheapest) {
        double regret = cost_of(choice, choice->arm) - cost_of(choice, choice->cheapest);
        if (regret > 0 && regret < INFINITY) {
            totals->regret_ns += regret;
        }
    }
}

/* Nobody can decide now: as if there were no site. */
static void place_without(struct lp_request *request, struct lp_placed *placed)
{
    bool serial = request->call.kind == LOOMP_SERIAL;
    placed->site = NULL;
    placed->expected_ns = 0;
    placed->arm = serial ? LOOMP_TASK : LOOMP_TEAM;
    placed->reason = LOOMP_BY_PLACE;
    placed->width = (uint16_t)(serial ? 1 : request->call.width);
}

/* Sizes often repeat: what takes time is done when another one comes. */
static double ln_size_of(struct lp_site_local *local, uint64_t size)
{
    if (size != local->last_size) {
        struct lp_site_totals *totals = &local->totals;
        if (size && (!totals->size_least || size < totals->size_least)) {
            totals->size_least = size;
        }
        if (size > totals->size_most) {
            totals->size_most = size;
        }
        local->last_size = size;
        local->last_ln_size = lp_ln_size(size);
    }
    return local->last_ln_size;
}

static void choose(struct lp_learner *learner, struct lp_site_local *local,
                   struct lp_request *request, struct lp_placed *placed)
{
    struct lp_choice *choice = &local->last;
    struct outlook outlook;
    bool serial = request->call.kind == LOOMP_SERIAL;
    look_at_loop(request->loop, &outlook);
    look_at_pool(request->pool, serial, handover_of(learner, request->pool), &outlook);
    if (lp_site_local_has_news(local)) {
        lp_site_local_hear_of_strikes(local, &current.policy);
    }
    struct lp_call *call = &request->call;
    call->ln_size = ln_size_of(local, request->size);
    lp_policy_choose(&current.policy, &local->state, call, outlook.loop, &outlook.pool,
                     &learner->random, choice);
    lp_policy_decided(&current.policy, &local->state, call, choice);
    placed->site = request->site;
    placed->ln_size = (float)call->ln_size;
    note(placed, choice, &outlook);
    count(local, choice);
    /* Who only submits hears of what is learnt where the calls end. */
    lp_site_local_count(local, &current.policy.model);
}

static void describe_unknown(const struct lp_placed *placed, loomp_decision *decision)
{
    decision->arm = placed->arm;
    decision->width = placed->width;
    decision->reason = placed->reason;
    decision->work_s = decision->work_p95_s = 0;
    decision->inline_s = INFINITY;
    decision->task_s = decision->team_s = NAN;
}

static void describe(const struct lp_choice *choice, loomp_decision *decision)
{
    decision->arm = choice->arm;
    decision->width = choice->width;
    decision->reason = choice->reason;
    decision->work_s = choice->work.cost * 1e-9;
    decision->work_p95_s = choice->work.p95 * 1e-9;
    decision->inline_s = choice->inline_cost * 1e-9;
    decision->task_s = choice->task_cost * 1e-9;
    decision->team_s = choice->team_cost * 1e-9;
}

void lp_adaptive_choose(struct lp_request *request, struct lp_placed *placed,
                        loomp_decision *decision)
{
    struct lp_learner *learner = take_learner(request->loop);
    /* Without memory there will be none however long one waits. */
    for (int i = 0; !learner && !request->loop && i < MOST_YIELDS && is_told(request->site); i++) {
        sched_yield();
        learner = take_learner(NULL);
    }
    struct lp_site_local *local = learner ? local_of(learner, request->site) : NULL;
    if (local) {
        choose(learner, local, request, placed);
        if (decision) {
            describe(&local->last, decision);
        }
    } else {
        place_without(request, placed);
        if (decision) {
            describe_unknown(placed, decision);
        }
    }
    if (learner) {
        give_learner(learner);
    }
}

/* ---- learning -------------------------------------------------------------------------------- */

static double since(uint64_t from_ns, uint64_t to_ns)
{
    int64_t passed = (int64_t)(to_ns - from_ns);
    return passed > 0 ? (double)passed : 0;
}

/* What was disturbed is passed over once in so many calls, a few times in a row at most: more often it is
 * what the work costs here, on a machine that is busy, or has become slow. */
enum {
    EARNS_A_PARDON = 32,
    MOST_EARNED = 3 * EARNS_A_PARDON
};

static void learn_cost(struct lp_site_local *local, const struct lp_placed *placed)
{
    double ln_size = (double)placed->ln_size;
    double cost_ns = since(placed->started_ns, placed->ended_ns);
    struct lp_lesson lesson = {.changed = false};
    if (placed->disturbed && local->earned >= EARNS_A_PARDON) {
        /* Nothing is learnt of the cost; but a loop that was held up was held up. */
        local->earned -= EARNS_A_PARDON;
        lesson.strike =
            lp_policy_is_strike(&current.policy, &local->state, placed->arm, ln_size, cost_ns);
    } else {
        lesson =
            lp_policy_learn(&current.policy, &local->state, &local->batches[placed->model],
                            placed->arm, placed->model, ln_size, cost_ns, (double)placed->work);
        local->changed[placed->model] |= lesson.changed;
        local->earned += local->earned < MOST_EARNED;
    }
    if (lesson.strike) {
        lp_site_local_strike(local);
    }
}

static void learn_handover(struct lp_handover *handover, const struct lp_placed *placed,
                           uint64_t done_ns)
{
    lp_handover_learn_start(handover, placed->arm == LOOMP_TEAM, placed->state,
                            since(placed->submitted_ns, placed->started_ns), placed->started_ns);
    if (done_ns) {
        lp_mean_learn(&handover->to_done, since(placed->ended_ns, done_ns));
    }
}

static void trace(struct lp_learner *learner, const struct lp_placed *placed, uint64_t size,
                  uint64_t done_ns)
{
    if (!learner->trace.size) {
        return;
    }
    struct loomp_call call = {
        .site = placed->site->name,
        .size = size,
        .arm = placed->arm,
        .width = placed->width,
        .reason = placed->reason,
        .loop = learner->index,
        .at_s = (double)(lp_clock_ns() - (lp_stopwatch_ns() - placed->submitted_ns)) / 1e9,
        .cost_s = since(placed->started_ns, placed->ended_ns) / 1e9,
        .wait_s = since(placed->submitted_ns, placed->started_ns) / 1e9,
        .return_s = done_ns ? since(placed->ended_ns, done_ns) / 1e9 : 0,
        .work_s = (double)placed->work / 1e9,
        .inline_s = (double)placed->inline_cost / 1e9,
        .task_s = (double)placed->task_cost / 1e9,
        .team_s = (double)placed->team_cost / 1e9,
        .ready = (double)placed->ready,
        .rate = (double)placed->rate * 1e9,
    };
    lp_trace_write(&learner->trace, &call);
}

void lp_adaptive_finish(const struct lp_placed *placed, uint64_t size, struct loomp_pool *pool,
                        uint64_t done_ns)
{
    struct lp_learner *learner = take_learner(lp_self.loop);
    if (!learner) {
        return; /* somebody else is learning: one call less is known */
    }
    struct lp_site_local *local = local_of(learner, placed->site);
    if (local) {
        if (current.policy.mode == LP_LEARN) {
            learn_cost(local, placed);
        }
        lp_site_local_count(local, &current.policy.model);
        if (placed->arm != LOOMP_INLINE && pool) {
            learn_handover(handover_of(learner, pool), placed, done_ns);
        }
        trace(learner, placed, size, done_ns);
    }
    give_learner(learner);
}

void lp_adaptive_submitted(struct loomp_pool *pool, double ns)
{
    struct lp_learner *learner = lp_self.learner;
    if (learner) {
        lp_mean_learn(&handover_of(learner, pool)->submit, ns);
    }
}

void lp_adaptive_flush_here(void)
{
    struct lp_learner *learner = take_learner_if_any();
    for (unsigned i = 0; learner && i < learner->local_count; i++) {
        if (learner->locals[i]) {
            lp_site_local_flush(learner->locals[i], &current.policy.model);
        }
    }
    if (learner) {
        give_learner(learner);
    }
}

bool lp_adaptive_last(struct lp_site_record *record, struct lp_choice *choice)
{
    struct lp_learner *learner = take_learner_if_any();
    bool known = learner && record->id < learner->local_count && learner->locals[record->id] &&
                 learner->locals[record->id]->last.arm;
    if (known) {
        *choice = learner->locals[record->id]->last;
    }
    if (learner) {
        give_learner(learner);
    }
    return known;
}

struct calls {
    struct loomp_call *calls;
    size_t count, room;
    bool failed;
};

static void keep_call(const struct loomp_call *call, void *arg)
{
    struct calls *kept = arg;
    if (kept->count == kept->room) {
        size_t room = kept->room ? 2 * kept->room : 256;
        struct loomp_call *calls = realloc(kept->calls, room * sizeof *calls);
        if (!calls) {
            kept->failed = true;
            return;
        }
        kept->calls = calls;
        kept->room = room;
    }
    kept->calls[kept->count++] = *call;
}

int lp_adaptive_trace(loomp_call_fn fn, void *arg)
{
    struct calls kept = {NULL, 0, 0, false};
    pthread_mutex_lock(&learners_lock);
    for (struct lp_learner *learner = learners; learner; learner = learner->next) {
        lp_trace_read(&learner->trace, keep_call, &kept);
    }
    pthread_mutex_unlock(&learners_lock);
    for (size_t i = 0; i < kept.count; i++) {
        fn(&kept.calls[i], arg); /* without the lock: it may do what it likes */
    }
    free(kept.calls);
    return kept.failed ? lp_fail(-ENOMEM, "no memory for a copy of the trace") : (int)kept.count;
}
