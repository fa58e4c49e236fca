/* SPDX-License-Identifier: MIT */
/* The runtime starts, works and stops 500 times: as many threads, descriptors and allocations after
 * the last stop as after the third. By then everything that is made once per process is there.
 * LOOMP_TEST_JOBS below its default of 2 million makes it fewer times, but at least 20. */
#define SUITE "stress start and stop"
#include "../fault/faults.h"
#include "../fault/leftovers.h"
#include "../unit/gate.h"

#include "base/object_pool.h"

#include <malloc.h>
#include <stdatomic.h>
#include <unistd.h>

static int lives(void)
{
    const char *text = getenv("LOOMP_TEST_JOBS");
    long jobs = text ? atol(text) : 2000000;
    return jobs >= 2000000 ? 500 : jobs < 80000 ? 20 : (int)(jobs / 4000);
}

/* glibc's count of used bytes contains a few things that are made late and once, and what fast bins
 * hold; a leak of 50 bytes per life would be more. */
enum { TOLERANCE = 24 << 10 };

static _Atomic long works, dones;

static int count_work(loomp_job *job)
{
    atomic_fetch_add(&works, 1);
    if (job->kind == LOOMP_GANG) {
#pragma omp parallel
        atomic_thread_fence(memory_order_relaxed);
    }
    return 0;
}

static void count_done(loomp_job *job, int status)
{
    (void)job;
    CHECK(status == 0);
    atomic_fetch_add(&dones, 1);
}

static void count_post(loomp_loop *loop, void *arg)
{
    (void)loop;
    (void)arg;
    atomic_fetch_add(&dones, 1);
}

static int count_call(void *arg)
{
    (void)arg;
    atomic_fetch_add(&works, 1);
    return 0;
}

static struct gate meeting;

static int meet(loomp_job *job)
{
    gate_pass(&meeting);
    return count_work(job);
}

/* Gives every worker and both blocking threads a job at once: libomp sets 1 MiB aside for each
 * thread that runs its first task, and blocking threads are started by need. */
static void have_all_threads_meet(loomp_runtime *runtime)
{
    int workers = loomp_pool_threads(loomp_pool_named(runtime, "compute"));
    loomp_job *jobs = calloc((size_t)workers + 2, sizeof *jobs);
    gate_init(&meeting);
    for (int i = 0; i < workers + 2; i++) {
        loomp_job_init(&jobs[i], meet, NULL);
        CHECK((i < 2 ? loomp_submit_blocking(runtime, &jobs[i])
                     : loomp_submit(runtime, &jobs[i])) == 0);
    }
    gate_wait_for_arrivals(&meeting, workers + 2);
    gate_open(&meeting);
    CHECK(loomp_wait_idle(runtime, -1) == 0);
    free(jobs);
}

static void work_on(loomp_runtime *runtime)
{
    loomp_job jobs[6];
    atomic_store(&works, 0);
    atomic_store(&dones, 0);
    for (int i = 0; i < 6; i++) {
        loomp_job_init(&jobs[i], count_work, count_done);
        jobs[i].kind = i % 3 == 1 ? LOOMP_GANG : LOOMP_SERIAL;
        jobs[i].home = i < 3 ? loomp_loop_at(runtime, i % 2) : NULL;
        CHECK((i % 3 == 2 ? loomp_submit_blocking(runtime, &jobs[i])
                          : loomp_submit(runtime, &jobs[i])) == 0);
    }
    CHECK(loomp_call(runtime, count_call, NULL, NULL, NULL) == 0);
    CHECK(loomp_post(loomp_loop_at(runtime, 1), count_post, NULL) == 0);
    CHECK(loomp_wait_idle(runtime, -1) == 0);
    CHECK(atomic_load(&works) == 7 && atomic_load(&dones) == 7);
}

/* What may not grow. */
struct belongings {
    int threads;
    int descriptors;
    long blocks; /* allocated by loomp, exactly */
    size_t bytes; /* allocated by all of the process, as glibc counts; 0 with a sanitizer */
};

static struct belongings belongings(void)
{
    return (struct belongings){.threads = running_threads(),
                               .descriptors = open_descriptors(),
                               .blocks = atomic_load(&live_blocks),
                               .bytes = mallinfo2().uordblks};
}

static struct belongings after_lives(int first, int last)
{
    for (int i = first; i < last; i++) {
        loomp_runtime *runtime = runtime_with(
            workers_under_test(),
            (const char *const[]){"io.threads", "2", "blocking.threads", "2", "spin_us",
                                  i % 2 ? "0" : "25", "queue_limit", "100", NULL});
        if (!runtime) {
            break;
        }
        if (i == 0) {
            have_all_threads_meet(runtime);
        }
        if (i % 3) {
            work_on(runtime);
        }
        CHECK((i % 5 ? loomp_stop(runtime) : loomp_stop_now(runtime)) == 0);
        CHECK(loomp_default() == NULL);
    }
    return belongings();
}

TEST(nothing_grows_from_the_third_stop_to_the_last)
{
    /* As many objects as a life of this test can have out, however fast each comes back. */
    void *first = lp_object_take(), *second = lp_object_take();
    lp_object_give(first);
    lp_object_give(second);
    struct belongings early = after_lives(0, 3);
    struct belongings late = after_lives(3, lives());
    bool good = CHECK(late.threads == early.threads);
    good = CHECK(late.blocks == early.blocks) && good;
    good = CHECK(late.descriptors == early.descriptors) && good;
    good = CHECK(late.bytes <= early.bytes + TOLERANCE) && good;
    if (!good) {
        printf("after the third: %d threads, %ld blocks, %zu bytes; after the last: %d, %ld, %zu\n",
               early.threads, early.blocks, early.bytes, late.threads, late.blocks, late.bytes);
    }
}

/* glibc counts what it caches for each thread as used, which can be 100 KiB more or less after some
 * hundred lives; so the program begins again without those caches. */
static void begin_without_caches(char **argv)
{
    if (!getenv("GLIBC_TUNABLES")) {
        setenv("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0", 1);
        execv("/proc/self/exe", argv);
    }
}

int main(int argc, char **argv)
{
    begin_without_caches(argv);
    return harness_run(argc, argv);
}
