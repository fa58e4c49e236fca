/* SPDX-License-Identifier: MIT */
/* Owns --verify: when a program's team has formed, and whether its threads are where the plan has
 * them. It looks at /proc until that is decided, then once more when the program has ended. */
#include "tools/run/run.h"

#include "base/platform.h"

#include <stdlib.h>

/* A team that does not look as planned may still be forming: it is judged when it has not changed
 * for so long. */
enum { SETTLED_MS = 1000 };

struct watch {
    const struct run_expectation *expectation;
    struct run_threads last;
    uint64_t changed_ns; /* when `last` became what it is */
    unsigned most;       /* threads seen at once */
    bool drifted;
};

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

static void report_thread(struct watch *watch, const struct run_thread *thread,
                          const lp_cpuset *expected, const char *relation)
{
    char is[256], should[256];
    lp_cpuset_format(thread->mask, is, sizeof is);
    lp_cpuset_format(expected, should, sizeof should);
    run_say("verify: thread %s (%d) may run on CPUs %s, expected %s%s", thread->name, thread->tid,
            is, relation, should);
    watch->drifted = true;
}

/* Says for every thread that is amiss what is, and for every place without a thread. */
static void report(struct watch *watch, const struct run_threads *threads, const int *thread_of,
                   const int *place_of)
{
    const struct run_expectation *expectation = watch->expectation;
    const struct lp_pool_plan *compute = lp_plan_compute(expectation->plan);
    unsigned next = 0; /* place without a thread */
    for (unsigned i = 0; i < threads->count; i++) {
        if (place_of[i] >= 0) {
            continue;
        }
        while (next < expectation->threads && thread_of[next] >= 0) {
            next++;
        }
        if (next < expectation->threads) {
            report_thread(watch, &threads->entries[i],
                          compute->places[next++ % compute->count].cpus, "");
        } else if (!lp_cpuset_is_within(threads->entries[i].mask, expectation->mask)) {
            report_thread(watch, &threads->entries[i], expectation->mask, "some of ");
        }
    }
}

/* One look. True: it is decided. */
static bool judge(struct watch *watch, struct run_threads *threads)
{
    const struct run_expectation *expectation = watch->expectation;
    uint64_t now = lp_now_ns();
    if (threads->count > watch->most) {
        watch->most = threads->count;
    }
    bool unchanged = run_threads_equal(threads, &watch->last);
    bool settled = unchanged && now - watch->changed_ns >= SETTLED_MS * UINT64_C(1000000);
    if (!unchanged) {
        watch->changed_ns = now;
    }
    if (threads->count < expectation->threads) {
        return false;
    }
    int *thread_of = malloc((expectation->threads + threads->count) * sizeof *thread_of);
    if (!thread_of) {
        return false; /* looked at again */
    }
    int *place_of = thread_of + expectation->threads;
    for (unsigned i = 0; i < expectation->threads + threads->count; i++) {
        thread_of[i] = -1;
    }
    bool good = match(expectation, threads, thread_of, place_of) == expectation->threads;
    for (unsigned i = 0; i < threads->count; i++) {
        good = good && lp_cpuset_is_within(threads->entries[i].mask, expectation->mask);
    }
    /* Good once may be about to change; twice is good. A team of one cannot be told from a program
     * that has not come to OpenMP yet, so it is never judged amiss. */
    bool decided = (good && unchanged) || (settled && expectation->threads > 1);
    if (decided && good) {
        run_say("verify: process %d: the team of %u is where the plan has it", threads->pid,
                expectation->threads);
    } else if (decided) {
        report(watch, threads, thread_of, place_of);
    }
    free(thread_of);
    return decided;
}

static bool look(struct watch *watch, int pid)
{
    struct run_threads threads;
    if (run_threads_look(&threads, pid)) {
        return false;
    }
    bool decided = judge(watch, &threads);
    run_threads_fini(&watch->last);
    watch->last = threads;
    return decided;
}

/* Often at first and while a team seems to form, then less and less. */
static int pause_ms(const struct watch *watch, uint64_t begin_ns)
{
    uint64_t age_s = (lp_now_ns() - begin_ns) / 1000000000u;
    bool forms =
        watch->last.count >= watch->expectation->threads && watch->expectation->threads > 1;
    return forms || age_s < 2 ? 20 : age_s < 30 ? 100 : 1000;
}

/* Of a process that has ended the kernel still knows the first thread. */
static void look_at_end(struct watch *watch, int pid)
{
    struct run_threads threads;
    if (watch->last.pid != pid || watch->last.count == 0 || run_threads_look(&threads, pid)) {
        return;
    }
    const struct run_thread *before = &watch->last.entries[0];
    if (threads.count && threads.entries[0].tid == before->tid &&
        !lp_cpuset_equal(threads.entries[0].mask, before->mask)) {
        run_say("verify: the mask of the first thread has changed since its team formed");
        report_thread(watch, &threads.entries[0], before->mask, "");
    }
    run_threads_fini(&threads);
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
    struct watch watch = {.expectation = expectation, .changed_ns = begin_ns};
    bool decided = false;
    while (!run_child_wait(&child, decided ? -1 : pause_ms(&watch, begin_ns))) {
        decided = look(&watch, child.pid);
    }
    if (decided) {
        look_at_end(&watch, child.pid);
    } else {
        run_say("verify: the program ended before a team of %u was seen where the plan has it; at "
                "most %u threads were there at once",
                expectation->threads, watch.most);
    }
    run_threads_fini(&watch.last);
    return run_child_end(&child, strict && watch.drifted ? RUN_FAILED : 0);
}
