/* SPDX-License-Identifier: MIT */
/* Owns the list of named pools, and opening and closing at run time. Plain threads enter; whoever
 * starts or stops the runtime does so for all of them. */
#include "runtime/pools.h"

#include "base/error.h"
#include "base/log.h"
#include "base/self.h"
#include "job/job.h"
#include "placement/openmp_environment.h"
#include "runtime/runtime.h"
#include "settings/settings.h"
#include "team/teams.h"

#include <errno.h>
#include <loomp/pool.h>
#include <stdlib.h>
#include <string.h>

static struct lp_ledger *const ledger = &lp_tracked;

/* ---- making and freeing ---------------------------------------------------------------------- */

/* A thread that searches uses up a quota that somebody else will miss later. */
static double spin_us(const struct lp_parts *parts)
{
    unsigned usable = (unsigned)lp_cpuset_count(parts->plan.usable);
    bool limited = parts->plan.quota && parts->plan.quota < usable &&
                   !lp_settings_is_set(parts->config, LP_SPIN_US);
    return limited ? 0.0 : lp_settings_double(parts->config, LP_SPIN_US);
}

static uint64_t ns_of(double us)
{
    return (uint64_t)(us * 1000);
}

struct lp_pool_options lp_pools_options(struct lp_parts *parts, const struct lp_pool_plan *plan)
{
    const loomp_config *config = parts->config;
    struct lp_pool_options options = {
        .name = plan->name,
        .prefix = lp_settings_text(config, LP_PREFIX),
        .topology = &parts->survey.topology,
        .places = plan->places,
        .threads = plan->count,
        .blocking = plan->blocking,
        .queue_limit = (uint64_t)lp_settings_int(config, LP_QUEUE_LIMIT),
        .ops = {lp_job_run, lp_job_note},
        .runtime = &lp_process.runtime,
    };
    if (!plan->blocking) {
        options.crowded = lp_plan_is_crowded(&parts->plan);
        options.local_memory = lp_settings_choice(config, LP_MEMORY) == 0;
        options.stirred = lp_settings_bool(config, LP_FOLLOW) ? &parts->stirred : NULL;
        options.stack_bytes =
            lp_openmp_stack_bytes((size_t)lp_settings_int(config, LP_COMPUTE_STACK_SIZE));
        options.spin_ns = ns_of(spin_us(parts));
        options.relief_ns = ns_of(lp_settings_double(config, LP_GANG_RELIEF_US));
        options.max_share = lp_settings_double(config, LP_GANG_MAX_SHARE);
    }
    return options;
}

int lp_pools_make(struct loomp_pool **out, const struct lp_pool_options *options)
{
    struct loomp_pool *pool = aligned_alloc(LP_CACHE_LINE, sizeof *pool);
    if (!pool) {
        return lp_fail(-ENOMEM, "no memory for the pool %s", options->name);
    }
    int err = lp_pool_init(pool, options);
    if (!err) {
        err = lp_teams_start(pool);
        if (err) {
            lp_pool_fini(pool);
        }
    }
    if (err) {
        free(pool);
        return err;
    }
    *out = pool;
    return 0;
}

void lp_pools_discard(struct loomp_pool *pool)
{
    if (pool) {
        lp_pool_fini(pool);
        free(pool);
    }
}

void lp_pools_free(struct loomp_pool *pool)
{
    if (pool) {
        lp_teams_stop(pool);
        lp_pools_discard(pool);
    }
}

/* ---- the list -------------------------------------------------------------------------------- */

static struct lp_named_pool *find(struct lp_parts *parts, const char *name)
{
    LP_EACH_NAMED(parts, entry)
    {
        if (strcmp(entry->name, name) == 0) {
            return entry;
        }
    }
    return NULL;
}

static struct lp_named_pool *new_entry(const char *name)
{
    struct lp_named_pool *entry = calloc(1, sizeof *entry);
    if (!entry) {
        lp_fail(-ENOMEM, "no memory for the pool %s", name);
        return NULL;
    }
    snprintf(entry->name, sizeof entry->name, "%s", name);
    return entry;
}

static void free_entry(struct lp_named_pool *entry)
{
    lp_pools_free(atomic_load_explicit(&entry->pool, memory_order_relaxed));
    lp_plan_fini(&entry->plan);
    free(entry);
}

/* With the process's lock, or at the start, before there are readers. */
static void append(struct lp_parts *parts, struct lp_named_pool *entry)
{
    _Atomic(struct lp_named_pool *) *link = &parts->named;
    while (lp_named_next(link)) {
        link = &lp_named_next(link)->next;
    }
    atomic_store_explicit(link, entry, memory_order_release);
}

/* Out of the list; when this returns nobody reads the entry any more. */
static void take_out(struct lp_parts *parts, struct lp_named_pool *entry)
{
    pthread_mutex_lock(&lp_process.lock);
    _Atomic(struct lp_named_pool *) *link = &parts->named;
    while (lp_named_next(link) != entry) {
        link = &lp_named_next(link)->next;
    }
    /* The entry keeps its next, for readers that stand on it. seq_cst: before the readers are
     * looked at, see runtime.h. */
    atomic_store_explicit(link, lp_named_next(&entry->next), memory_order_seq_cst);
    lp_runtime_wait_for_readers();
    pthread_mutex_unlock(&lp_process.lock);
}

/* ---- those of the settings ------------------------------------------------------------------- */

int lp_pools_start(struct lp_parts *parts)
{
    int err = 0;
    for (unsigned i = 1; !err && i < parts->plan.pool_count; i++) {
        const struct lp_pool_plan *plan = &parts->plan.pools[i];
        struct lp_named_pool *entry = new_entry(plan->name);
        if (!entry) {
            return -ENOMEM;
        }
        append(parts, entry);
        struct lp_pool_options options = lp_pools_options(parts, plan);
        options.prefix = plan->name;
        options.named = true;
        struct loomp_pool *pool = NULL;
        err = lp_pools_make(&pool, &options);
        atomic_store_explicit(&entry->pool, pool, memory_order_release);
    }
    return err;
}

void lp_pools_stop(struct lp_parts *parts)
{
    struct lp_named_pool *entry;
    while ((entry = lp_named_next(&parts->named))) {
        atomic_store_explicit(&parts->named, lp_named_next(&entry->next), memory_order_relaxed);
        free_entry(entry);
    }
}

/* ---- opening --------------------------------------------------------------------------------- */

static int check_caller(const char *call)
{
    if (lp_self.role != LP_PLAIN || lp_self.inside) {
        return lp_fail(-EDEADLK, "%s belongs on a plain thread: in a job or on a thread of loomp's "
                                 "it would wait for itself",
                       call);
    }
    return 0;
}

static int set_option(loomp_config *config, const char *name, const char *member,
                      const char *value)
{
    char key[2 * LP_POOL_NAME];
    snprintf(key, sizeof key, "pools.%s.%s", name, member);
    return loomp_config_set(config, key, value ? value : "");
}

/* The options by the rules of the settings pools.NAME.*, through which their sentences come. */
static int read_options(const char *name, const struct loomp_pool_options *options,
                        loomp_config **out)
{
    if (options->size != sizeof *options) {
        return lp_fail(-EINVAL, "loomp_pool_open: the options of pool %s are not those of this "
                                "version, or loomp_pool_options_init was not called",
                       name);
    }
    if (options->blocking > 1) {
        return lp_fail(-EINVAL, "pools.%s.blocking is %u, neither 0 nor 1", name,
                       options->blocking);
    }
    loomp_config *config = loomp_config_new();
    if (!config) {
        return lp_fail(-ENOMEM, "no memory for the options of pool %s", name);
    }
    char threads[16];
    snprintf(threads, sizeof threads, "%u", options->threads);
    int err = set_option(config, name, "threads", threads);
    if (!err) {
        err = set_option(config, name, "blocking", options->blocking ? "true" : "false");
    }
    if (!err) {
        err = set_option(config, name, "cpus", options->cpus);
    }
    if (!err) {
        err = set_option(config, name, "gpu", options->gpu);
    }
    if (err) {
        loomp_config_free(config);
        return err;
    }
    *out = config;
    return 0;
}

static void note_settings(void *arg, const struct lp_settings_pool *from)
{
    struct lp_pool_settings *to = arg;
    *to = (struct lp_pool_settings){
        .threads = from->threads, .cpus = from->cpus, .gpu = from->gpu, .blocking = from->blocking};
    snprintf(to->name, sizeof to->name, "%s", from->name);
}

/* Takes the name, and keeps the runtime up for this call: stop waits for it. */
static int reserve(struct lp_named_pool *entry)
{
    struct lp_parts *parts = &lp_process.parts;
    pthread_mutex_lock(&lp_process.lock);
    int err = 0;
    uint32_t gate = atomic_load_explicit(&ledger->gate, memory_order_seq_cst);
    if (gate == LP_GATE_SHUT) {
        err = lp_fail(-ESHUTDOWN, "loomp_pool_open: the runtime is shut down");
    } else if (gate != LP_GATE_OPEN) {
        err = lp_ledger_check(ledger);
    } else if (strcmp(entry->name, "compute") == 0 || strcmp(entry->name, "blocking") == 0 ||
               find(parts, entry->name)) {
        err = lp_fail(-EEXIST, "there is a pool %s already", entry->name);
    } else {
        append(parts, entry);
        lp_ledger_hold(ledger);
    }
    pthread_mutex_unlock(&lp_process.lock);
    return err;
}

/* The CPUs of the pools that have been opened, and whether one of them crowds. */
static int look_at_others(struct lp_parts *parts, lp_cpuset **out, bool *crowds)
{
    lp_cpuset *cpus = lp_cpuset_new();
    if (!cpus) {
        return lp_fail(-ENOMEM, "no memory for a set of CPUs");
    }
    unsigned side = lp_runtime_announce_reader();
    LP_EACH_NAMED(parts, entry)
    {
        if (entry->opened && lp_named_pool_of(entry)) {
            *crowds |= entry->crowds;
            if (!entry->plan.pools[0].blocking) {
                lp_cpuset_or(cpus, entry->plan.cpus);
            }
        }
    }
    lp_runtime_withdraw_reader(side);
    *out = cpus;
    return 0;
}

/* The devices near which a pool can be are looked for at the start only if a setting names one. */
static int plan_more(struct lp_parts *parts, const struct lp_pool_settings *settings,
                     const lp_cpuset *others, struct lp_plan *plan)
{
    struct lp_survey again = {0};
    bool look = *settings->gpu && !parts->survey.looked_for_devices;
    if (look) {
        const struct lp_survey_options here = {
            .root = "", .environment = lp_process_environment, .all_devices = true};
        int err = lp_survey_make(&again, &here, parts->config);
        if (err) {
            return err;
        }
    }
    int err = lp_survey_plan_more(&parts->survey, parts->config, &parts->plan,
                                  look ? &again.devices : NULL, others, settings, plan);
    if (look) {
        lp_survey_fini(&again);
    }
    return err;
}

/* One at a time: what libomp is told as a whole depends on the pools that there are. */
static pthread_mutex_t opening = PTHREAD_MUTEX_INITIALIZER;

static int build(struct lp_parts *parts, struct lp_named_pool *entry,
                 const struct lp_pool_settings *settings, struct loomp_pool **pool)
{
    lp_cpuset *others = NULL;
    bool crowds = lp_plan_is_crowded(&parts->plan);
    int err = look_at_others(parts, &others, &crowds);
    if (err) {
        return err;
    }
    err = plan_more(parts, settings, others, &entry->plan);
    lp_cpuset_free(others);
    if (err) {
        return err;
    }
    for (unsigned i = 0; i < entry->plan.warnings.count; i++) {
        lp_log(LOOMP_LOG_WARNING, "%s", entry->plan.warnings.entries[i].text);
    }
    const struct lp_pool_plan *plan = &entry->plan.pools[0];
    struct lp_pool_options options = lp_pools_options(parts, plan);
    entry->crowds = plan->crowded || plan->borrows || plan->shares;
    options.prefix = plan->name;
    options.crowded = crowds || entry->crowds;
    options.named = true;
    options.counted = true;
    return lp_pools_make(pool, &options);
}

void loomp_pool_options_init(struct loomp_pool_options *options)
{
    if (options) {
        *options = (struct loomp_pool_options){.size = sizeof *options};
    }
}

int loomp_pool_open(loomp_runtime *runtime, const char *name,
                    const struct loomp_pool_options *options, loomp_pool **out)
{
    if (!name || !options || !out) {
        return lp_fail(-EINVAL, "loomp_pool_open: the %s NULL",
                       !name      ? "name is"
                       : !options ? "options are"
                                  : "place for the pool is");
    }
    int err = lp_runtime_check(runtime);
    if (!err) {
        err = check_caller("loomp_pool_open");
    }
    if (err) {
        return err;
    }
    if (strcmp(name, "compute") != 0 && strcmp(name, "blocking") != 0) {
        err = lp_pool_name_check(name, "loomp_pool_open");
        if (err) {
            return err;
        }
    }
    struct lp_named_pool *entry = new_entry(name);
    if (!entry) {
        return -ENOMEM;
    }
    entry->opened = true;
    err = reserve(entry);
    if (err) {
        free(entry);
        return err;
    }
    loomp_config *config = NULL;
    struct loomp_pool *pool = NULL;
    err = read_options(name, options, &config);
    if (!err) {
        struct lp_pool_settings settings;
        lp_settings_each_pool(config, note_settings, &settings);
        pthread_mutex_lock(&opening);
        err = build(&lp_process.parts, entry, &settings, &pool);
        if (!err) {
            atomic_store_explicit(&entry->pool, pool, memory_order_release);
            *out = pool;
        }
        pthread_mutex_unlock(&opening);
        loomp_config_free(config);
    }
    if (err) {
        take_out(&lp_process.parts, entry);
        free_entry(entry);
    }
    lp_ledger_finish(ledger);
    return err;
}

/* ---- closing --------------------------------------------------------------------------------- */

/* Finds the entry of a pool that may be closed, and keeps the runtime up meanwhile. */
static int begin_closing(struct lp_parts *parts, const struct loomp_pool *pool,
                         struct lp_named_pool **out)
{
    int err = lp_ledger_check(ledger);
    if (err) {
        return err;
    }
    struct lp_named_pool *found = NULL;
    LP_EACH_NAMED(parts, entry)
    {
        found = lp_named_pool_of(entry) == pool ? entry : found;
    }
    if (pool == parts->compute || pool == parts->blocking || (found && !found->opened)) {
        return lp_fail(-EINVAL, "loomp_pool_close: the pool %s is there until the runtime stops",
                       pool->options.name);
    }
    if (!found) {
        return lp_fail(-ESHUTDOWN, "loomp_pool_close: there is no such pool any more");
    }
    if (found->closing) {
        return lp_fail(-EALREADY, "loomp_pool_close: another thread closes the pool %s",
                       found->name);
    }
    found->closing = true;
    lp_ledger_hold(ledger);
    *out = found;
    return 0;
}

int loomp_pool_close(loomp_pool *pool)
{
    if (!pool) {
        return lp_fail(-EINVAL, "loomp_pool_close: the pool is NULL");
    }
    int err = lp_ledger_check(ledger);
    if (!err) {
        err = check_caller("loomp_pool_close");
    }
    if (err) {
        return err;
    }
    struct lp_named_pool *entry = NULL;
    pthread_mutex_lock(&lp_process.lock);
    err = begin_closing(&lp_process.parts, pool, &entry);
    pthread_mutex_unlock(&lp_process.lock);
    if (err) {
        return err;
    }
    lp_rundown_close(&pool->uses);
    lp_rundown_wait(&pool->uses);
    take_out(&lp_process.parts, entry);
    free_entry(entry);
    lp_ledger_finish(ledger);
    return 0;
}

void lp_pools_each(void (*fn)(struct loomp_pool *pool, void *arg), void *arg)
{
    struct lp_parts *parts = &lp_process.parts;
    unsigned side = lp_runtime_announce_reader();
    if (parts->compute) {
        fn(parts->compute, arg);
    }
    if (parts->blocking) {
        fn(parts->blocking, arg);
    }
    LP_EACH_NAMED(parts, entry)
    {
        struct loomp_pool *pool = lp_named_pool_of(entry);
        if (pool) {
            fn(pool, arg);
        }
    }
    lp_runtime_withdraw_reader(side);
}
