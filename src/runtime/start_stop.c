/* SPDX-License-Identifier: MIT */
/* Owns starting and stopping. Start builds bottom up and on a failure takes down what it built;
 * stop is the same way back once nothing is under way. Entered by plain threads, one at a time. */
#include "base/error.h"
#include "base/log.h"
#include "base/object_pool.h"
#include "base/self.h"
#include "job/job.h"
#include "placement/affinity.h"
#include "placement/openmp_environment.h"
#include "runtime/adaptive.h"
#include "runtime/runtime.h"
#include "settings/settings.h"
#include "team/openmp.h"
#include "team/teams.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct lp_process lp_process = {
    .lock = PTHREAD_MUTEX_INITIALIZER,
};

static struct lp_ledger *const ledger = &lp_tracked;

static void set_gate(enum lp_gate gate)
{
    atomic_store_explicit(&ledger->gate, gate, memory_order_seq_cst);
}

/* In a forked child none of our threads exists, and no lock can be trusted. */
static void after_fork_in_child(void)
{
    set_gate(LP_GATE_CHILD);
    lp_self = (struct lp_self){0};
}

static void freeze_all(struct lp_parts *parts, uint64_t deadline)
{
    LP_EACH_NAMED(parts, entry)
    {
        if (lp_named_pool_of(entry)) {
            lp_pool_freeze(lp_named_pool_of(entry), deadline);
        }
    }
    lp_pool_freeze(parts->blocking, deadline);
    lp_pool_freeze(parts->compute, deadline);
}

/* exit() with teams at work. Registered when libomp has started, and so called before libomp's own
 * end. A thread of ours cannot wait for itself, and exit inside a job works without. */
static void before_exit(void)
{
    if (lp_self.role != LP_PLAIN || lp_self.inside || pthread_mutex_trylock(&lp_process.lock)) {
        return;
    }
    uint32_t gate = atomic_load_explicit(&ledger->gate, memory_order_seq_cst);
    if (gate == LP_GATE_OPEN || gate == LP_GATE_SHUT) {
        lp_follow_stop(lp_process.parts.follower);
        lp_process.parts.follower = NULL;
        uint64_t deadline = lp_now_ns() + 1000000000u;
        freeze_all(&lp_process.parts, 0); /* all at once, before any is waited for */
        freeze_all(&lp_process.parts, deadline);
    }
    pthread_mutex_unlock(&lp_process.lock);
}

static void register_handlers(void)
{
    pthread_atfork(NULL, NULL, after_fork_in_child);
    atexit(before_exit);
}

/* ---- settings -------------------------------------------------------------------------------- */

static int read_settings(struct lp_parts *parts, const loomp_config *given)
{
    parts->config = given ? lp_settings_copy(given) : loomp_config_new();
    if (!parts->config) {
        return lp_fail(-ENOMEM, "no memory for the settings");
    }
    int err = lp_settings_read_openmp(parts->config);
    if (err || given) {
        return err;
    }
    const char *file = lp_settings_environment("LOOMP_CONFIG");
    err = file && *file ? loomp_config_file(parts->config, file) : 0;
    return err ? err : loomp_config_env(parts->config, "LOOMP");
}

static void apply_process_settings(const loomp_config *config)
{
    struct lp_rank rank;
    int32_t level = lp_settings_choice(config, LP_LOG_LEVEL);
    bool alone = lp_rank_read(&rank, &lp_process_environment, -1, 0) || rank.local == 0;
    if (lp_settings_bool(config, LP_LOG_RANK0_ONLY) && !alone) {
        level = LOOMP_LOG_NONE;
    }
    lp_log_set_level(level);
    lp_object_pool_set_limit((size_t)lp_settings_int(config, LP_CALL_POOL_SIZE));
}

/* ---- the parts ------------------------------------------------------------------------------- */

static int make_plan(struct lp_parts *parts)
{
    const struct lp_survey_options here = {.root = "", .environment = lp_process_environment};
    int err = lp_survey_make(&parts->survey, &here, parts->config);
    if (err) {
        return err;
    }
    err = lp_survey_plan(&parts->survey, parts->config, -1, &parts->plan);
    /* By a plan for another machine, which is for trying things out, nobody is bound. */
    parts->plan.pin &= parts->survey.topology.is_this_system;
    for (unsigned i = 0; !err && i < parts->plan.warnings.count; i++) {
        lp_log(LOOMP_LOG_WARNING, "%s", parts->plan.warnings.entries[i].text);
    }
    return err;
}

static int start_compute(struct lp_parts *parts)
{
    struct lp_pool_options options = lp_pools_options(parts, lp_plan_compute(&parts->plan));
    struct lp_openmp_environment environment;
    bool touch = lp_settings_choice(parts->config, LP_BIND) == 0;
    lp_openmp_environment_warn();
    int err = lp_openmp_environment_set(&environment, &parts->plan, touch, options.stack_bytes);
    if (err) {
        return err;
    }
    bool has_places = environment.has_places;
    if (environment.user_binds) {
        lp_log(LOOMP_LOG_INFO, "the environment says where OpenMP threads go (OMP_PLACES, "
                               "OMP_PROC_BIND or the like); it is left as it is, and loomp binds "
                               "its own threads");
    }
    err = lp_pools_make(&parts->compute, &options);
    lp_openmp_environment_restore(&environment);
    if (err) {
        return err;
    }
    parts->openmp_places = lp_openmp_places();
    if (has_places && parts->openmp_places != (int)options.threads) {
        lp_log(LOOMP_LOG_INFO,
               "libomp was started before loomp and knows %d places instead of the plan's %u; "
               "loomp's threads are bound directly, regions of the application's own are not",
               parts->openmp_places, options.threads);
    }
    parts->two_runtimes = lp_openmp_warn_of_two();
    return 0;
}

static int start_blocking(struct lp_parts *parts, const struct lp_place *place)
{
    const loomp_config *config = parts->config;
    return lp_pools_make(&parts->blocking,
                     &(struct lp_pool_options){
                         .name = "blocking",
                         .prefix = lp_settings_text(config, LP_PREFIX),
                         .topology = &parts->survey.topology,
                         .places = place,
                         .threads = (unsigned)lp_settings_int(config, LP_BLOCKING_THREADS),
                         .blocking = true,
                         .queue_limit = (uint64_t)lp_settings_int(config, LP_QUEUE_LIMIT),
                         .ops = {lp_job_run, lp_job_note},
                         .runtime = &lp_process.runtime,
                     });
}

static int start_loops(struct lp_parts *parts)
{
    parts->loops = calloc(parts->plan.io_count, sizeof *parts->loops);
    if (!parts->loops) {
        return lp_fail(-ENOMEM, "no memory for %u loops", parts->plan.io_count);
    }
    for (unsigned i = 0; i < parts->plan.io_count; i++) {
        int err = lp_loop_start(&parts->loops[i],
                                &(struct lp_loop_options){
                                    .runtime = &lp_process.runtime,
                                    .prefix = lp_settings_text(parts->config, LP_PREFIX),
                                    .index = (int)i,
                                    .alone = parts->plan.io_count == 1,
                                    .topology = &parts->survey.topology,
                                    .place = &parts->plan.io[i],
                                });
        if (err) {
            return err;
        }
        parts->loop_count = i + 1;
    }
    return 0;
}

/* The teams first: a team thread that has handed a completion over may still be waking its loop. But
 * `compute` itself after the loops, which look at it when they choose (job/decision.c). */
static void free_parts(struct lp_parts *parts)
{
    lp_follow_stop(parts->follower);
    lp_pools_stop(parts);
    if (parts->compute) {
        lp_teams_stop(parts->compute);
    }
    lp_pools_free(parts->blocking);
    for (unsigned i = 0; i < parts->loop_count; i++) {
        lp_loop_stop(parts->loops[i]);
    }
    lp_pools_discard(parts->compute);
    lp_stop_adaptive(parts);
    free(parts->loops);
    lp_plan_fini(&parts->plan);
    lp_survey_fini(&parts->survey);
    loomp_config_free(parts->config);
    memset((void *)parts, 0, sizeof *parts);
}

static void bind_pool_again(const struct lp_topology *topology, const struct loomp_pool *pool,
                            const lp_cpuset *allowed)
{
    const struct lp_place *places = pool->options.places;
    if (pool->options.blocking) {
        for (unsigned i = 0; i < pool->options.threads; i++) {
            lp_tid_bind_within(topology, lp_card_tid(&pool->blocking.cards[i]), places[0].cpus,
                               allowed);
        }
        return;
    }
    for (unsigned i = 0; i < pool->width; i++) {
        lp_tid_bind_within(topology, lp_card_tid(&pool->workers[i].card), places[i].cpus, allowed);
    }
    for (unsigned i = 0; i < pool->gang.threads; i++) {
        lp_tid_bind_within(topology, lp_card_tid(&pool->gang.cards[i]), places[i].cpus, allowed);
    }
}

/* The threads of the follower's runtime, which live as long as it follows. */
static void bind_again(void *arg, const lp_cpuset *allowed)
{
    struct lp_parts *parts = arg;
    const struct lp_topology *topology = &parts->survey.topology;
    for (unsigned i = 0; i < parts->loop_count; i++) {
        struct loomp_thread_info info;
        lp_loop_describe(parts->loops[i], &info);
        lp_tid_bind_within(topology, info.tid, parts->plan.io[i].cpus, allowed);
    }
    bind_pool_again(topology, parts->compute, allowed);
    bind_pool_again(topology, parts->blocking, allowed);
    unsigned side = lp_runtime_announce_reader();
    LP_EACH_NAMED(parts, entry)
    {
        if (lp_named_pool_of(entry)) {
            bind_pool_again(topology, lp_named_pool_of(entry), allowed);
        }
    }
    lp_runtime_withdraw_reader(side);
}

static int start_following(struct lp_parts *parts)
{
    if (!lp_settings_bool(parts->config, LP_FOLLOW) || !parts->survey.topology.is_this_system) {
        return 0;
    }
    return lp_follow_start(&parts->follower,
                           &(struct lp_follow_options){
                               .config = parts->config,
                               .root = "",
                               .topology = &parts->survey.topology,
                               .plan = &parts->plan,
                               .rank = &parts->survey.rank,
                               .pool = parts->compute,
                               .quota = parts->survey.cgroup.quota,
                               .bind_again = bind_again,
                               .bind_arg = parts,
                               .period_ns = 2000000000u,
                           },
                           &parts->stirred);
}

static int build(struct lp_parts *parts, const loomp_config *config)
{
    int err = read_settings(parts, config);
    if (err) {
        return err;
    }
    apply_process_settings(parts->config);
    err = make_plan(parts);
    if (err) {
        return err;
    }
    err = lp_start_adaptive(parts);
    if (err) {
        return err;
    }
    err = start_compute(parts);
    if (err) {
        return err;
    }
    /* The blocking threads use all the I/O CPUs. */
    parts->blocking_place = (struct lp_place){
        .cpus = parts->plan.pin ? parts->plan.io_cpus : parts->plan.cpus, .shared = true};
    err = start_blocking(parts, &parts->blocking_place);
    if (err) {
        return err;
    }
    err = lp_pools_start(parts);
    if (err) {
        return err;
    }
    err = start_loops(parts);
    if (err) {
        return err;
    }
    lp_calibrate_adaptive(parts);
    return start_following(parts);
}

int loomp_start(loomp_runtime **runtime, const loomp_config *config)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    if (!runtime) {
        return lp_fail(-EINVAL, "loomp_start: the place for the runtime is NULL");
    }
    if (atomic_load_explicit(&ledger->gate, memory_order_seq_cst) == LP_GATE_CHILD) {
        return lp_ledger_check(ledger);
    }
    if (lp_self.role != LP_PLAIN) {
        return lp_fail(-EDEADLK, "loomp_start belongs on a plain thread, not on one of loomp's");
    }
    pthread_mutex_lock(&lp_process.lock);
    struct lp_parts *parts = &lp_process.parts;
    int err;
    if (atomic_load_explicit(&ledger->gate, memory_order_seq_cst) != LP_GATE_DOWN) {
        err = lp_fail(-EALREADY, "a runtime is running already: there is one per process "
                                 "(loomp_default)");
    } else {
        err = build(parts, config);
        if (err) {
            free_parts(parts);
        }
    }
    if (!err) {
        struct loomp_runtime *engine = &lp_process.runtime;
        engine->compute = parts->compute;
        engine->blocking = parts->blocking;
        engine->each_pool = lp_pools_each;
        engine->first_loop = parts->loops[0];
        engine->queue_policy =
            (enum lp_queue_policy)lp_settings_choice(parts->config, LP_QUEUE_POLICY);
        atomic_store_explicit(&ledger->discard, 0, memory_order_relaxed);
        pthread_once(&once, register_handlers);
        set_gate(LP_GATE_OPEN);
        *runtime = engine;
    }
    pthread_mutex_unlock(&lp_process.lock);
    return err;
}

/* ---- stopping -------------------------------------------------------------------------------- */

static int check_stopper(loomp_runtime *runtime)
{
    if (runtime != &lp_process.runtime) {
        return lp_fail(-EINVAL, "loomp_stop: this is no runtime");
    }
    if (atomic_load_explicit(&ledger->gate, memory_order_seq_cst) == LP_GATE_CHILD) {
        return lp_ledger_check(ledger);
    }
    if (lp_self.inside ||
        (lp_self.role != LP_PLAIN && !(lp_self.loop && lp_loop_is_attached(lp_self.loop)))) {
        return lp_fail(-EDEADLK,
                       "loomp_stop in a job or on a thread of loomp's would wait for itself; use "
                       "loomp_shutdown_notify");
    }
    if (lp_self.loop && lp_loop_is_running(lp_self.loop)) {
        return lp_fail(-EDEADLK, "loomp_stop inside ev_run of an attached loop; call it after "
                                 "ev_run has returned");
    }
    return 0;
}

/* Waits for the jobs that wait_idle does not. */
static void wait_for_untracked(void)
{
    struct lp_thread_waiter waiter;
    lp_thread_waiter_init(&waiter);
    if (!lp_ledger_idle(&lp_untracked)) {
        lp_ledger_watch(&lp_untracked, &waiter.waiter);
        lp_thread_waiter_sleep(&waiter, UINT64_MAX);
    }
    lp_ledger_settle(&lp_untracked);
}

static int detach_own_loop(void)
{
    if (lp_self.loop) {
        int err = loomp_detach(lp_self.loop);
        if (err) {
            return err;
        }
    }
    pthread_mutex_lock(&lp_process.lock);
    bool others = lp_process.attached;
    pthread_mutex_unlock(&lp_process.lock);
    return others ? lp_fail(-EBUSY, "another thread's loop is still attached: call loomp_detach "
                                    "there before loomp_stop")
                  : 0;
}

/* Ends everything if nothing is under way; what the last callbacks brought may be, and then it has
 * to be waited for again. */
static bool take_down(void)
{
    pthread_mutex_lock(&lp_process.lock);
    bool idle = lp_ledgers_idle();
    if (idle && atomic_load_explicit(&ledger->gate, memory_order_seq_cst) == LP_GATE_SHUT) {
        set_gate(LP_GATE_DOWN);
        lp_ledger_settle(ledger);
        lp_runtime_wait_for_readers();
        free_parts(&lp_process.parts);
    }
    pthread_mutex_unlock(&lp_process.lock);
    return idle;
}

static int stop(loomp_runtime *runtime, bool now)
{
    int err = check_stopper(runtime);
    if (err) {
        return err;
    }
    loomp_shutdown(runtime);
    if (now) {
        atomic_store_explicit(&ledger->discard, 1, memory_order_relaxed);
        lp_ios_reconsider();
    }
    for (;;) {
        err = loomp_wait_idle(runtime, -1);
        if (err == -ESHUTDOWN) {
            /* Somebody else has stopped it, or is about to have. */
            pthread_mutex_lock(&lp_process.lock);
            pthread_mutex_unlock(&lp_process.lock);
            return 0;
        }
        if (!err) {
            err = detach_own_loop();
        }
        if (err) {
            return err;
        }
        wait_for_untracked();
        if (take_down()) {
            return 0;
        }
    }
}

int loomp_stop(loomp_runtime *runtime)
{
    return stop(runtime, false);
}

int loomp_stop_now(loomp_runtime *runtime)
{
    return stop(runtime, true);
}

/* ---- attached loops -------------------------------------------------------------------------- */

int loomp_attach(loomp_runtime *runtime, struct ev_loop *ev, loomp_loop **out)
{
    if (!ev || !out) {
        return lp_fail(-EINVAL, "loomp_attach: the %s is NULL", ev ? "result" : "libev loop");
    }
    int err = lp_runtime_check(runtime);
    if (err) {
        return err;
    }
    struct lp_attached *entry = malloc(sizeof *entry);
    if (!entry) {
        return lp_fail(-ENOMEM, "no memory for loomp_attach");
    }
    pthread_mutex_lock(&lp_process.lock);
    err = atomic_load_explicit(&ledger->gate, memory_order_seq_cst) == LP_GATE_OPEN
              ? 0
              : lp_fail(-ESHUTDOWN, "loomp_attach: the runtime is shut down");
    if (!err) {
        err = lp_loop_attach(out, &(struct lp_loop_options){.runtime = runtime, .index = -1, .alone = true}, ev);
    }
    if (err) {
        free(entry);
    } else {
        *entry = (struct lp_attached){lp_process.attached, *out, pthread_self()};
        lp_process.attached = entry;
    }
    pthread_mutex_unlock(&lp_process.lock);
    return err;
}

int loomp_detach(loomp_loop *loop)
{
    if (!loop || !lp_loop_is_attached(loop)) {
        return lp_fail(-EINVAL, "loomp_detach: not an attached loop");
    }
    if (lp_self.loop != loop) {
        return lp_fail(-EPERM, "loomp_detach belongs on the thread that attached the loop");
    }
    int err = lp_loop_detach(loop); /* runs callbacks, so without our lock */
    if (err) {
        return err;
    }
    pthread_mutex_lock(&lp_process.lock);
    for (struct lp_attached **link = &lp_process.attached; *link; link = &(*link)->next) {
        if ((*link)->loop == loop) {
            struct lp_attached *entry = *link;
            *link = entry->next;
            free(entry);
            break;
        }
    }
    pthread_mutex_unlock(&lp_process.lock);
    return 0;
}
