/* SPDX-License-Identifier: MIT */
/* Owns what one may ask a runtime: is it idle, wait for that, who runs where. Any thread. */
#include "runtime/runtime.h"

#include "base/error.h"
#include "base/futex.h"
#include "base/self.h"
#include "job/job.h"
#include "settings/settings.h"
#include "team/openmp.h"

#include <errno.h>
#include <loomp/version.h>
#include <stdlib.h>
#include <string.h>

unsigned loomp_version(void)
{
    return LOOMP_VERSION;
}

static struct lp_ledger *const ledger = &lp_tracked;

int lp_runtime_check(loomp_runtime *runtime)
{
    if (runtime != &lp_process.runtime) {
        return lp_fail(-EINVAL, "%s", runtime ? "this is no runtime" : "the runtime is NULL");
    }
    return lp_ledger_check(ledger);
}

static bool is_up(loomp_runtime *runtime)
{
    uint32_t gate = atomic_load_explicit(&ledger->gate, memory_order_seq_cst);
    return runtime == &lp_process.runtime && (gate == LP_GATE_OPEN || gate == LP_GATE_SHUT);
}

loomp_runtime *loomp_default(void)
{
    return is_up(&lp_process.runtime) ? &lp_process.runtime : NULL;
}

unsigned lp_runtime_announce_reader(void)
{
    for (;;) {
        unsigned side = atomic_load_explicit(&lp_process.reading_side, memory_order_seq_cst);
        atomic_fetch_add_explicit(&lp_process.readers[side], 1, memory_order_seq_cst);
        if (atomic_load_explicit(&lp_process.reading_side, memory_order_seq_cst) == side) {
            return side;
        }
        lp_runtime_withdraw_reader(side);
    }
}

void lp_runtime_withdraw_reader(unsigned side)
{
    atomic_fetch_sub_explicit(&lp_process.readers[side], 1, memory_order_seq_cst);
    if (atomic_load_explicit(&lp_process.awaited, memory_order_seq_cst)) {
        lp_futex_wake(&lp_process.readers[side], 1); /* who waits tolerates a wake too many */
    }
}

void lp_runtime_wait_for_readers(void)
{
    unsigned side = atomic_load_explicit(&lp_process.reading_side, memory_order_relaxed);
    atomic_store_explicit(&lp_process.awaited, 1, memory_order_seq_cst);
    atomic_store_explicit(&lp_process.reading_side, !side, memory_order_seq_cst);
    uint32_t readers;
    while ((readers = atomic_load_explicit(&lp_process.readers[side], memory_order_seq_cst))) {
        lp_futex_wait(&lp_process.readers[side], readers, UINT64_MAX);
    }
    atomic_store_explicit(&lp_process.awaited, 0, memory_order_seq_cst);
}

/* The side on which the parts stay until it is withdrawn; -1 (and nothing to end) if nothing is up. */
static int begin_reading(loomp_runtime *runtime)
{
    unsigned side = lp_runtime_announce_reader();
    if (is_up(runtime)) {
        return (int)side;
    }
    lp_runtime_withdraw_reader(side);
    return -1;
}

static void end_reading(int side)
{
    lp_runtime_withdraw_reader((unsigned)side);
}

loomp_runtime *loomp_current(void)
{
    return lp_self.runtime;
}

loomp_loop *loomp_loop_at(loomp_runtime *runtime, int index)
{
    loomp_loop *loop = NULL;
    int side = begin_reading(runtime);
    if (side >= 0) {
        struct lp_parts *parts = &lp_process.parts;
        loop = index >= 0 && (unsigned)index < parts->loop_count ? parts->loops[index] : NULL;
        end_reading(side);
    }
    return loop;
}

int loomp_loop_count(loomp_runtime *runtime)
{
    int count = 0;
    int side = begin_reading(runtime);
    if (side >= 0) {
        count = (int)lp_process.parts.loop_count;
        end_reading(side);
    }
    return count;
}

static struct loomp_pool *find_pool(struct lp_parts *parts, const char *name)
{
    if (strcmp(name, "compute") == 0) {
        return parts->compute;
    }
    if (strcmp(name, "blocking") == 0) {
        return parts->blocking;
    }
    LP_EACH_NAMED(parts, entry)
    {
        if (strcmp(entry->name, name) == 0) {
            return lp_named_pool_of(entry);
        }
    }
    return NULL;
}

loomp_pool *loomp_pool_named(loomp_runtime *runtime, const char *name)
{
    loomp_pool *pool = NULL;
    int side = name ? begin_reading(runtime) : -1;
    if (side >= 0) {
        pool = find_pool(&lp_process.parts, name);
        end_reading(side);
    }
    return pool;
}

const char *loomp_pool_name(const loomp_pool *pool)
{
    return pool ? pool->options.name : NULL;
}

int loomp_pool_threads(loomp_pool *pool)
{
    return pool ? (int)pool->width : 0;
}

int loomp_thread_index(loomp_pool *pool)
{
    return pool && lp_self.pool == pool ? lp_self.index : -1;
}

/* ---- idle --------------------------------------------------------------------------------------- */

bool loomp_is_idle(loomp_runtime *runtime)
{
    return runtime == &lp_process.runtime && lp_ledger_idle(ledger);
}

int loomp_shutdown(loomp_runtime *runtime)
{
    int err = lp_runtime_check(runtime);
    if (err) {
        return err;
    }
    uint32_t open = LP_GATE_OPEN;
    atomic_compare_exchange_strong_explicit(&ledger->gate, &open, LP_GATE_SHUT,
                                            memory_order_seq_cst, memory_order_seq_cst);
    return 0;
}

struct loop_waiter {
    struct lp_waiter waiter;
    loomp_loop *loop;
};

static void wake_loop(struct lp_waiter *waiter)
{
    lp_loop_nudge(((struct loop_waiter *)(void *)waiter)->loop);
}

/* On an attached loop's own thread: runs the loop, which may be what the work waits for. */
static bool run_loop_until_idle(loomp_loop *loop, uint64_t deadline_ns)
{
    struct loop_waiter waiter = {.waiter = {.wake = wake_loop}, .loop = loop};
    bool idle;
    for (;;) {
        lp_ledger_watch(ledger, &waiter.waiter);
        uint64_t now = lp_now_ns();
        idle = lp_ledger_idle(ledger);
        if (!idle && now < deadline_ns) {
            lp_loop_run_once(loop, deadline_ns == UINT64_MAX ? -1
                                                             : (double)(deadline_ns - now) / 1e9);
        }
        lp_ledger_unwatch(ledger, &waiter.waiter);
        if (idle || now >= deadline_ns) {
            return idle;
        }
    }
}

static bool sleep_until_idle(uint64_t deadline_ns)
{
    struct lp_thread_waiter waiter;
    lp_thread_waiter_init(&waiter);
    lp_ledger_watch(ledger, &waiter.waiter);
    bool woken = lp_thread_waiter_sleep(&waiter, deadline_ns);
    lp_ledger_unwatch(ledger, &waiter.waiter);
    return woken;
}

static int count_state(int state)
{
    int busy = 0, count = loomp_threads(&lp_process.runtime, NULL, 0);
    struct loomp_thread_info *threads = calloc((size_t)count, sizeof *threads);
    if (threads) {
        int filled = loomp_threads(&lp_process.runtime, threads, count);
        for (int i = 0; i < filled && i < count; i++) {
            busy += threads[i].state == state;
        }
        free(threads);
    }
    return busy;
}

int loomp_wait_idle(loomp_runtime *runtime, double timeout_s)
{
    int err = lp_runtime_check(runtime);
    if (err) {
        return err;
    }
    loomp_loop *own = lp_self.loop;
    if (lp_self.inside || (lp_self.role != LP_PLAIN && !(own && lp_loop_is_attached(own) &&
                                                         !lp_loop_is_running(own)))) {
        return lp_fail(-EDEADLK, "loomp_wait_idle in a job, on a thread of loomp's, or inside ev_run, would "
                                 "wait for itself; use loomp_shutdown_notify");
    }
    uint64_t deadline = lp_deadline_ns(timeout_s);
    bool idle = timeout_s == 0 ? lp_ledger_idle(ledger)
                : own          ? run_loop_until_idle(own, deadline)
                               : sleep_until_idle(deadline);
    if (!idle) {
        return lp_fail(-ETIMEDOUT, "%llu jobs, posts or notifications are still under way; %d "
                                   "threads of loomp's are busy",
                       (unsigned long long)lp_ledger_pending(ledger),
                       count_state(LOOMP_STATE_BUSY));
    }
    return 0;
}

struct shutdown_notice {
    struct lp_item item;
    struct lp_waiter waiter;
    loomp_loop *loop;
    loomp_shutdown_fn fn;
    void *arg;
};

static void run_shutdown_notice(struct lp_item *item)
{
    struct shutdown_notice notice = *(struct shutdown_notice *)(void *)item;
    free(item);
    lp_loop_settle(notice.loop);
    notice.fn(&lp_process.runtime, notice.arg);
}

static void wake_shutdown_notice(struct lp_waiter *waiter)
{
    struct shutdown_notice *notice =
        LOOMP_CONTAINER(waiter, struct shutdown_notice, waiter);
    lp_loop_push(notice->loop, &notice->item);
}

int loomp_shutdown_notify(loomp_runtime *runtime, loomp_loop *loop, loomp_shutdown_fn fn, void *arg)
{
    if (!loop || !fn) {
        return lp_fail(-EINVAL, "loomp_shutdown_notify: the %s is NULL", loop ? "function" : "loop");
    }
    struct shutdown_notice *notice = malloc(sizeof *notice);
    if (!notice) {
        return lp_fail(-ENOMEM, "no memory for loomp_shutdown_notify");
    }
    lp_ledger_hold(ledger); /* this call, so that stop does not free the loop under it */
    int err = loomp_shutdown(runtime);
    if (err) {
        free(notice);
        lp_ledger_finish(ledger);
        return err;
    }
    *notice = (struct shutdown_notice){.item = {.run = run_shutdown_notice},
                                       .waiter = {.wake = wake_shutdown_notice},
                                       .loop = loop,
                                       .fn = fn,
                                       .arg = arg};
    lp_loop_expect(loop);
    lp_ledger_watch(ledger, &notice->waiter);
    lp_ledger_finish(ledger);
    return 0;
}

/* ---- run until complete -------------------------------------------------------------------------- */

struct main_call {
    loomp_main_fn fn;
    void *arg;
    int result;
};

static void run_main(loomp_loop *loop, void *arg)
{
    struct main_call *call = arg;
    call->result = call->fn(loop, call->arg);
}

int loomp_run_until_complete(loomp_runtime *runtime, loomp_main_fn fn, void *arg)
{
    int err = lp_runtime_check(runtime);
    if (err) {
        return err;
    }
    if (!fn || lp_self.role != LP_PLAIN || lp_self.inside) {
        return fn ? lp_fail(-EDEADLK, "loomp_run_until_complete belongs on a plain thread")
                  : lp_fail(-EINVAL, "loomp_run_until_complete: the function is NULL");
    }
    struct main_call call = {fn, arg, 0};
    err = loomp_post(loomp_loop_at(runtime, 0), run_main, &call);
    if (!err) {
        err = loomp_wait_idle(runtime, -1);
    }
    return err ? err : call.result;
}

/* ---- who runs where ------------------------------------------------------------------------------ */

int loomp_cpus(loomp_runtime *runtime, char *buffer, size_t size)
{
    if (size) {
        *buffer = '\0';
    }
    int length = 0;
    int side = begin_reading(runtime);
    if (side >= 0) {
        length = lp_cpuset_format(lp_process.parts.plan.cpus, buffer, size);
        end_reading(side);
    }
    return length;
}

int loomp_gpu(loomp_runtime *runtime, char *buffer, size_t size)
{
    if (size) {
        *buffer = '\0';
    }
    int length = 0;
    int side = begin_reading(runtime);
    if (side >= 0) {
        length = snprintf(buffer, size, "%s", lp_plan_compute(&lp_process.parts.plan)->gpu);
        end_reading(side);
    }
    return length;
}

struct filler {
    struct loomp_thread_info *threads;
    int max;
    int count;
};

static void add_card(struct filler *filler, const struct lp_thread_card *card, int role)
{
    int tid = lp_card_tid(card);
    if (!tid) {
        return;
    }
    if (filler->count < filler->max) {
        struct loomp_thread_info *info = &filler->threads[filler->count];
        *info = (struct loomp_thread_info){
            .role = role,
            .tid = tid,
            .cpu = card->cpu,
            .state = (int32_t)atomic_load_explicit(
                &((struct lp_thread_card *)(uintptr_t)card)->state, memory_order_relaxed),
            .jobs = atomic_load_explicit(&((struct lp_thread_card *)(uintptr_t)card)->jobs,
                                         memory_order_relaxed),
        };
        memcpy(info->name, card->name, sizeof info->name);
    }
    filler->count++;
}

static void add_pool(struct filler *filler, const struct loomp_pool *pool)
{
    if (pool->options.blocking) {
        for (unsigned i = 0; i < pool->options.threads; i++) {
            add_card(filler, &pool->blocking.cards[i], LOOMP_THREAD_BLOCKING);
        }
        return;
    }
    for (unsigned i = 0; i < pool->width; i++) {
        add_card(filler, &pool->workers[i].card, LOOMP_THREAD_OMP);
    }
    for (unsigned i = 0; i < pool->gang.threads; i++) {
        add_card(filler, &pool->gang.cards[i], LOOMP_THREAD_GANG);
    }
}

int loomp_threads(loomp_runtime *runtime, struct loomp_thread_info *threads, int max)
{
    int side = begin_reading(runtime);
    if (side < 0) {
        return 0;
    }
    struct lp_parts *parts = &lp_process.parts;
    struct filler filler = {threads, max, 0};
    for (unsigned i = 0; i < parts->loop_count; i++) {
        if (filler.count < max) {
            lp_loop_describe(parts->loops[i], &threads[filler.count]);
        }
        filler.count++;
    }
    add_pool(&filler, parts->compute);
    add_pool(&filler, parts->blocking);
    LP_EACH_NAMED(parts, entry)
    {
        if (lp_named_pool_of(entry)) {
            add_pool(&filler, lp_named_pool_of(entry));
        }
    }
    end_reading(side);
    return filler.count;
}

static void describe_threads(loomp_runtime *runtime, FILE *out)
{
    static const char *const states[] = {"parked", "searching", "busy", "paused"};
    int count = loomp_threads(runtime, NULL, 0);
    struct loomp_thread_info *threads = calloc((size_t)count + 1, sizeof *threads);
    if (!threads) {
        return;
    }
    int filled = loomp_threads(runtime, threads, count);
    fprintf(out, "%-16s %8s %4s  %-9s %s\n", "thread", "tid", "CPU", "state", "jobs");
    for (int i = 0; i < filled && i < count; i++) {
        char cpu[16] = "any";
        if (threads[i].cpu >= 0) {
            snprintf(cpu, sizeof cpu, "%d", threads[i].cpu);
        }
        fprintf(out, "%-16s %8d %4s  %-9s %llu\n", threads[i].name, threads[i].tid, cpu,
                states[threads[i].state & 3], (unsigned long long)threads[i].jobs);
    }
    free(threads);
}

static void describe_reasons(const struct lp_reasons *reasons, FILE *out)
{
    for (unsigned i = 0; i < reasons->count; i++) {
        fprintf(out, "%s: %s\n", reasons->entries[i].key, reasons->entries[i].text);
    }
}

void loomp_describe(loomp_runtime *runtime, FILE *out)
{
    int side = begin_reading(runtime);
    if (side < 0) {
        fprintf(out, "loomp %s: no runtime is running\n", LOOMP_VERSION_STRING);
        return;
    }
    struct lp_parts *parts = &lp_process.parts;
    char cpus[256];
    loomp_cpus(runtime, cpus, sizeof cpus);
    fprintf(out, "loomp %s on CPUs %s\n", LOOMP_VERSION_STRING, cpus);
    fprintf(out, "OpenMP runtime: %s, %d places known to it%s\n", lp_openmp_path(),
            parts->openmp_places, parts->two_runtimes ? "; libgomp is loaded too" : "");
    fprintf(out, "bind: %s\n", lp_settings_choice(parts->config, LP_BIND) == 0 ? "openmp"
                                                                             : "direct");
    static const char *const adopted[] = {"compute.threads", "places", "pin"};
    for (size_t i = 0; i < sizeof adopted / sizeof adopted[0]; i++) {
        const char *source = loomp_config_source(parts->config, adopted[i]);
        if (strncmp(source, "OMP_", 4) == 0) {
            fprintf(out, "openmp: %s of the environment is taken as %s = %s\n", source, adopted[i],
                    loomp_config_value(parts->config, adopted[i]));
        }
    }
    describe_reasons(&parts->plan.reasons, out);
    LP_EACH_NAMED(parts, entry)
    {
        if (entry->opened && lp_named_pool_of(entry)) {
            describe_reasons(&entry->plan.reasons, out);
        }
    }
    end_reading(side);
    describe_threads(runtime, out);
}
