/* SPDX-License-Identifier: MIT */
/* Owns --verify: whether the threads of a program are where the plan has them. It looks at /proc
 * until the program has ended, less and less often, and reports each thread once. */
#include "tools/run/run.h"

#include "base/platform.h"

#include <stdlib.h>
#include <string.h>

/* What looks amiss may be a team that is still forming: while the program runs it is reported when
 * it has lasted so long, at the end when it was seen twice. */
enum {
    SETTLED_MS = 1000
};

/* A thread that was amiss in the last look. */
struct suspect {
    int tid;
    lp_cpuset *mask;
    const lp_cpuset *expected; /* in the plan */
    const char *relation;      /* "" or "some of " */
    char name[32];
    uint64_t since_ns; /* it has had this mask and been amiss */
    unsigned looks;
};

struct suspects {
    unsigned count;
    struct suspect *entries;
};

struct watch {
    const struct run_expectation *expectation;
    struct suspects suspects;
    int *reported; /* thread numbers */
    unsigned reported_count;
    unsigned crowd; /* threads bound to places in the last look, if more than places */
    unsigned crowd_looks;
    uint64_t crowd_since_ns;
    bool crowd_reported;
    bool looked_good; /* the last look */
    bool said_good;
    int first;             /* the first thread in the last look */
    lp_cpuset *first_mask; /* its mask; NULL: there was none */
    unsigned most;         /* threads seen at once */
    bool drifted;
};

/* ---- one look -------------------------------------------------------------------------------- */

/* For each place of the team in turn, the index of a thread that is bound to just that; the rest
 * stays -1. Both arrays were filled with -1. Returns how many were found. */
static unsigned match(const struct run_expectation *expectation, const struct run_threads *threads,
                      int *thread_of, int *place_of)
{
    const struct lp_pool_plan *compute = lp_plan_compute(expectation->plan);
    unsigned found = 0;
    for (unsigned place = 0; place < expectation->threads; place++) {
        const lp_cpuset *cpus = compute->places[place % compute->count].cpus;
        for (unsigned i = 0; i < threads->count; i++) {
            if (place_of[i] < 0 && lp_cpuset_equal(threads->entries[i].mask, cpus)) {
                thread_of[place] = (int)i;
                place_of[i] = (int)place;
                found++;
                break;
            }
        }
    }
    return found;
}

/* How many threads are bound to a place. One that is all of the mask tells nothing: whatever the
 * program starts is there. */
static unsigned count_bound(const struct run_expectation *expectation,
                            const struct run_threads *threads)
{
    const struct lp_pool_plan *compute = lp_plan_compute(expectation->plan);
    unsigned bound = 0;
    for (unsigned i = 0; i < threads->count; i++) {
        const lp_cpuset *mask = threads->entries[i].mask;
        bool is_place = false;
        for (unsigned k = 0; k < compute->count && !is_place; k++) {
            is_place = lp_cpuset_equal(mask, compute->places[k].cpus);
        }
        bound += is_place && !lp_cpuset_equal(mask, expectation->mask);
    }
    return bound;
}

static void free_suspects(struct suspects *suspects)
{
    for (unsigned i = 0; i < suspects->count; i++) {
        lp_cpuset_free(suspects->entries[i].mask);
    }
    free(suspects->entries);
    *suspects = (struct suspects){0};
}

/* Takes the mask out of the look. */
static void suspect(const struct watch *watch, struct suspects *now, struct run_thread *thread,
                    const lp_cpuset *expected, const char *relation)
{
    struct suspect *entry = &now->entries[now->count++];
    *entry = (struct suspect){
        .tid = thread->tid,
        .mask = thread->mask,
        .expected = expected,
        .relation = relation,
        .since_ns = lp_now_ns(),
        .looks = 1,
    };
    memcpy(entry->name, thread->name, sizeof entry->name);
    thread->mask = NULL;
    for (unsigned i = 0; i < watch->suspects.count; i++) {
        const struct suspect *before = &watch->suspects.entries[i];
        if (before->tid == entry->tid && lp_cpuset_equal(before->mask, entry->mask)) {
            entry->since_ns = before->since_ns;
            entry->looks = before->looks + 1;
        }
    }
}

/* Notes every thread that left the mask and, with a team that is complete in number, one for each
 * place that nobody is bound to. */
static void compare(struct watch *watch, struct run_threads *threads, const int *thread_of,
                    const int *place_of)
{
    const struct run_expectation *expectation = watch->expectation;
    const struct lp_pool_plan *compute = lp_plan_compute(expectation->plan);
    struct suspects now = {.entries = calloc(threads->count + 1, sizeof *now.entries)};
    if (!now.entries) {
        return; /* looked at again */
    }
    /* a team of one cannot be told from a program that has not come to OpenMP yet */
    bool is_team = threads->count >= expectation->threads && expectation->threads > 1;
    unsigned next = 0; /* place without a thread */
    for (unsigned i = 0; i < threads->count; i++) {
        struct run_thread *thread = &threads->entries[i];
        if (place_of[i] >= 0) {
            continue;
        }
        while (next < expectation->threads && thread_of[next] >= 0) {
            next++;
        }
        if (is_team && next < expectation->threads) {
            suspect(watch, &now, thread, compute->places[next++ % compute->count].cpus, "");
        } else if (!lp_cpuset_is_within(thread->mask, expectation->mask)) {
            suspect(watch, &now, thread, expectation->mask, "some of ");
        }
    }
    free_suspects(&watch->suspects);
    watch->suspects = now;
}

static void note_crowd(struct watch *watch, unsigned bound)
{
    unsigned crowd =
        bound > watch->expectation->threads && watch->expectation->threads > 1 ? bound : 0;
    if (crowd != watch->crowd) {
        watch->crowd = crowd;
        watch->crowd_looks = 0;
        watch->crowd_since_ns = lp_now_ns();
    }
    watch->crowd_looks++;
}

static void note_first(struct watch *watch, const struct run_threads *threads, int pid)
{
    lp_cpuset_free(watch->first_mask);
    watch->first_mask = NULL;
    if (threads->pid == pid && threads->count) {
        watch->first = threads->entries[0].tid;
        watch->first_mask = lp_cpuset_copy(threads->entries[0].mask);
    }
}

static void judge(struct watch *watch, struct run_threads *threads)
{
    const struct run_expectation *expectation = watch->expectation;
    if (threads->count > watch->most) {
        watch->most = threads->count;
    }
    int *thread_of = malloc((expectation->threads + threads->count) * sizeof *thread_of);
    if (!thread_of) {
        return; /* looked at again */
    }
    int *place_of = thread_of + expectation->threads;
    for (unsigned i = 0; i < expectation->threads + threads->count; i++) {
        thread_of[i] = -1;
    }
    bool complete = match(expectation, threads, thread_of, place_of) == expectation->threads;
    note_crowd(watch, count_bound(expectation, threads));
    compare(watch, threads, thread_of, place_of);
    free(thread_of);
    bool good = complete && watch->suspects.count == 0 && watch->crowd == 0;
    /* good once may be about to change; twice is good */
    if (good && watch->looked_good && !watch->said_good) {
        run_say("verify: process %d: the team of %u is where the plan has it", threads->pid,
                expectation->threads);
        watch->said_good = true;
    }
    watch->looked_good = good;
}

/* ---- what is said ---------------------------------------------------------------------------- */

static bool was_reported(const struct watch *watch, int tid)
{
    for (unsigned i = 0; i < watch->reported_count; i++) {
        if (watch->reported[i] == tid) {
            return true;
        }
    }
    return false;
}

static void report_thread(struct watch *watch, const char *name, int tid, const lp_cpuset *mask,
                          const lp_cpuset *expected, const char *relation)
{
    char is[256], should[256];
    lp_cpuset_format(mask, is, sizeof is);
    lp_cpuset_format(expected, should, sizeof should);
    run_say("verify: thread %s (%d) may run on CPU%s %s, expected %s%s", name, tid,
            lp_cpuset_count(mask) == 1 ? "" : "s", is, relation, should);
    watch->drifted = true;
    int *more = reallocarray(watch->reported, watch->reported_count + 1, sizeof *more);
    if (more) {
        more[watch->reported_count++] = tid;
        watch->reported = more;
    }
}

static bool is_certain(uint64_t since_ns, unsigned looks, bool at_end)
{
    return looks > 1 && (at_end || lp_now_ns() - since_ns >= SETTLED_MS * UINT64_C(1000000));
}

static void report(struct watch *watch, bool at_end)
{
    for (unsigned i = 0; i < watch->suspects.count; i++) {
        const struct suspect *entry = &watch->suspects.entries[i];
        if (is_certain(entry->since_ns, entry->looks, at_end) && !was_reported(watch, entry->tid)) {
            report_thread(watch, entry->name, entry->tid, entry->mask, entry->expected,
                          entry->relation);
        }
    }
    if (watch->crowd && !watch->crowd_reported &&
        is_certain(watch->crowd_since_ns, watch->crowd_looks, at_end)) {
        run_say("verify: %u threads on %u places", watch->crowd, watch->expectation->threads);
        watch->crowd_reported = true;
        watch->drifted = true;
    }
}

static void look(struct watch *watch, int pid)
{
    struct run_threads threads;
    if (run_threads_look(&threads, pid)) {
        return;
    }
    if (threads.count) {
        note_first(watch, &threads, pid);
        judge(watch, &threads);
        report(watch, false);
    }
    run_threads_fini(&threads);
}

/* Of a process that has ended the kernel still knows the first thread. */
static void look_at_end(struct watch *watch, int pid)
{
    struct run_threads threads;
    if (!watch->said_good || !watch->first_mask || was_reported(watch, watch->first) ||
        run_threads_look(&threads, pid)) {
        return;
    }
    if (threads.count && threads.entries[0].tid == watch->first &&
        !lp_cpuset_equal(threads.entries[0].mask, watch->first_mask)) {
        run_say("verify: the mask of the first thread has changed since its team formed");
        report_thread(watch, threads.entries[0].name, watch->first, threads.entries[0].mask,
                      watch->first_mask, "");
    }
    run_threads_fini(&threads);
}

/* Often at first and while something seems amiss, then less and less. */
static int pause_ms(const struct watch *watch, uint64_t begin_ns)
{
    uint64_t age_s = (lp_now_ns() - begin_ns) / 1000000000u;
    bool unsure =
        watch->suspects.count > watch->reported_count || (watch->crowd && !watch->crowd_reported);
    return unsure || age_s < 2 ? 20 : age_s < 30 ? 100 : 1000;
}

int run_verified(char *const *program, char **environment,
                 const struct run_expectation *expectation, bool strict)
{
    struct run_child child;
    int failure = run_child_start(&child, program, environment);
    if (failure) {
        return failure;
    }
    uint64_t begin_ns = lp_now_ns();
    struct watch watch = {.expectation = expectation};
    while (!run_child_wait(&child, pause_ms(&watch, begin_ns))) {
        look(&watch, child.pid);
    }
    report(&watch, true);
    look_at_end(&watch, child.pid);
    if (!watch.said_good && !watch.drifted) {
        run_say("verify: the program ended before a team of %u was seen where the plan has it; at "
                "most %u threads were there at once",
                expectation->threads, watch.most);
    }
    free_suspects(&watch.suspects);
    free(watch.reported);
    lp_cpuset_free(watch.first_mask);
    return run_child_end(&child, strict && watch.drifted ? RUN_FAILED : 0);
}
